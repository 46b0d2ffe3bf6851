import Admin
import Switching

/// Follows one release, from answer to answer, until its verdict: through its ramp, its switch and its bake.
struct ReleaseWatch {
  enum Finding: Equatable {
    /// A share of the clients has it. nil: the front door has begun a moment ago, and has no figures yet.
    case ramping(RampReport?)
    /// It is in force, and watched.
    case baking(BakeReport?)
    /// It is in force, and nobody watches it any more.
    case passed
    case takenBack(Receipt)
    /// These receipts do not tell.
    case unclear
  }

  let color: Color
  /// Of its switch; with a ramp that is still to come.
  let generation: UInt64
  let isRamp: Bool
  /// Of its switch, once that is made: as the front door that made it has written it last.
  private(set) var receipt: Receipt?
  /// That front door.
  private(set) var process: FrontDoorProcess?
  private var isOnTrial: Bool

  /// - Parameter answer: to the request. nil where it tells of no switch at all.
  init?(_ answer: StatusReport, to color: Color) {
    self.color = color
    isRamp = answer.isRamping && answer.active != color
    if isRamp {
      generation = answer.generation &+ 1
      isOnTrial = true
      return
    }
    guard let last = answer.lastSwitch else { return nil }
    generation = last.generation
    isOnTrial = answer.isBaking
    if last.to == color { (receipt, process) = (last, answer.process) }
  }

  /// - Parameter receipts: all that are known at present.
  mutating func finding(_ status: StatusReport, _ receipts: [Receipt]) -> Finding {
    if status.generation < generation {
      let isComing = isRamp && status.isRamping && status.generation + 1 == generation
      return isComing ? .ramping(status.ramp) : .unclear
    }
    if let own = receipts.last(where: { $0.generation == generation }) {
      if own.to != color { return .takenBack(own) }
      if process == nil { process = status.process }
      // Another process has counted nothing of what was open.
      if receipt == nil || process == status.process { receipt = own }
    }
    if receipt == nil { return .unclear }
    if status.generation == generation {
      isOnTrial = status.isBaking
      return isOnTrial ? .baking(status.bake) : .passed
    }
    guard let next = receipts.last(where: { $0.generation == generation &+ 1 }) else { return .unclear }
    // In a bake only the way back is open; afterwards another switch is no matter of this release.
    return next.from == color && (next.automatic || isOnTrial) ? .takenBack(next) : .passed
  }
}

/// One run of a front door.
struct FrontDoorProcess: Equatable {
  let pid: Int32
  let startedAt: String
}

extension StatusReport {
  var process: FrontDoorProcess { FrontDoorProcess(pid: pid, startedAt: startedAt) }

  // A front door that has begun a moment ago knows its phase before it has figures, and a pause hides the phase.
  var isRamping: Bool { ramp != nil || phase == .ramping }
  var isBaking: Bool { bake != nil || phase == .baking }
}

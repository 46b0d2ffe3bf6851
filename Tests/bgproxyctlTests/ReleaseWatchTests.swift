import Admin
import Switching
import Testing

@testable import bgproxyctl

/// SplitMix64: the same numbers for the same seed everywhere.
private struct Numbers: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// A front door that makes releases in a random order: what its status and history say after each event.
private struct Model {
  enum Stage { case steady, ramping, baking }

  var active = Color.blue
  var generation: UInt64 = 5
  var history: [Receipt] = []
  var stage = Stage.steady
  var pid: Int32 = 42

  var report: StatusReport {
    var bake = bakeUnderWay
    bake.color = active
    var ramp = rampUnderWay
    ramp.to = active.other
    return status(
      active, generation: generation, last: history.last, bake: stage == .baking ? bake : nil,
      ramp: stage == .ramping ? ramp : nil, pid: pid)
  }

  mutating func record(from: Color, to: Color, isAutomatic: Bool) {
    generation += 1
    active = to
    history.append(receipt(generation, from: from) { $0.automatic = isAutomatic })
    precondition(history.last?.to == to)
  }

  mutating func goOn(bakes: Bool) {
    record(from: active, to: active.other, isAutomatic: false)
    stage = bakes ? .baking : .steady
  }

  /// Takes the release back.
  mutating func goBack(isAutomatic: Bool) {
    let left = stage == .ramping ? active.other : active
    record(from: left, to: left.other, isAutomatic: isAutomatic)
    stage = .steady
  }
}

@Suite struct ReleaseWatchTests {
  private enum Truth: Equatable {
    case passed
    case takenBack(isAutomatic: Bool)
  }

  /// Whatever the release goes through, and however much of it is missed between two looks: once its fate is decided,
  /// that is what the watch finds, and nothing else before.
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func itFindsWhatBecameOfTheRelease(seed: UInt64) {
    var numbers = Numbers(state: seed)
    for round in 0..<200 {
      var model = Model()
      if Bool.random(using: &numbers) { model.goOn(bakes: false) }
      let color = model.active.other
      let bakes = Bool.random(using: &numbers)
      if Bool.random(using: &numbers) { model.stage = .ramping } else { model.goOn(bakes: bakes) }
      guard var watch = ReleaseWatch(model.report, to: color) else {
        Issue.record("seed \(seed), round \(round): no release")
        return
      }
      var truth: Truth? = model.stage == .steady ? .passed : nil
      var seen: ReleaseWatch.Finding?
      for _ in 0..<20 {
        // Looks come between any two events, or they do not. A look right behind the verdict always comes: it is the
        // only way to tell an operator's way back from a switch of theirs after it.
        if Int.random(in: 0..<3, using: &numbers) > 0 || truth != nil {
          seen = look(&watch, model)
          if truth != nil { break }
          if isFinal(seen) { break }
        }
        switch Int.random(in: 0..<6, using: &numbers) {
        case 0 where model.stage == .ramping:
          model.goOn(bakes: bakes)
          if !bakes { truth = .passed }
        case 1 where model.stage == .baking:
          model.stage = .steady
          truth = .passed
        case 2, 3:
          let isAutomatic = Bool.random(using: &numbers)
          model.goBack(isAutomatic: isAutomatic)
          truth = .takenBack(isAutomatic: isAutomatic)
        case 4: model.pid += 1
        default: break
        }
      }
      let place: Comment = "seed \(seed), round \(round): \(truth as Any), found \(seen as Any)"
      switch truth {
      case nil: #expect(!isFinal(seen), place)
      case .passed: #expect(seen == .passed && watch.receipt?.to == color, place)
      case .takenBack(let isAutomatic):
        guard case .takenBack(let receipt) = seen else {
          Issue.record(place)
          continue
        }
        #expect(receipt.automatic == isAutomatic && receipt.from == color, place)
      }
    }
  }

  private func look(_ watch: inout ReleaseWatch, _ model: Model) -> ReleaseWatch.Finding {
    let finding = watch.finding(model.report, [model.history.last].compactMap(\.self))
    return finding == .unclear ? watch.finding(model.report, model.history) : finding
  }

  private func isFinal(_ finding: ReleaseWatch.Finding?) -> Bool {
    switch finding {
    case .passed, .takenBack: true
    case .ramping, .baking, .unclear, nil: false
    }
  }

  @Test func aSwitchAfterTheBakeIsNoWayBack_norIsTheWayBackOfAnotherRamp() throws {
    var watch = try #require(ReleaseWatch(status(bake: bakeUnderWay), to: .green))
    #expect(watch.finding(status(), [receipt()]) == .passed)
    let switched = status(.blue, generation: 3, last: receipt(3, from: .green))
    #expect(watch.finding(switched, [receipt(), receipt(3, from: .green)]) == .passed)

    var other = try #require(ReleaseWatch(status(bake: bakeUnderWay), to: .green))
    let foreign = receipt(3, from: .blue) { $0.automatic = true }
    #expect(other.finding(status(generation: 3, last: foreign), [receipt(), foreign]) == .passed)
    #expect(other.finding(status(ramp: rampUnderWay), [receipt()]) == .passed, "a ramp that has come since")
  }

  @Test func numbersFromElsewhereDoNotEndTheProgram() {
    var watch = ReleaseWatch(ramping(.max), to: .green)
    #expect(watch?.finding(status(generation: .max), []) == .unclear)
    var other = ReleaseWatch(status(generation: .max, last: receipt(.max)), to: .green)
    #expect(other?.finding(status(generation: .max), []) == .passed)
    #expect(ReleaseWatch(status(last: nil), to: .green) == nil)
  }
}

import Admin
import Switching

/// Follows one switch, from answer to answer, until all of its sessions are accounted for.
struct DrainWatch {
  enum Finding: Equatable {
    case draining(DrainReport?)
    /// Another switch came after it: its receipt is in the history now.
    case superseded
    case settled(Receipt)
    /// Another process answers: what became of the sessions is not known.
    case restarted
  }

  let generation: UInt64
  private let process: FrontDoorProcess

  /// - Parameter status: of the front door that made the switch.
  init(_ status: StatusReport, generation: UInt64) { (self.generation, process) = (generation, status.process) }

  func finding(_ status: StatusReport) -> Finding {
    guard status.process == process else { return .restarted }
    guard let receipt = status.lastSwitch, receipt.generation == generation else { return .superseded }
    return receipt.settled ? .settled(receipt) : .draining(status.drain)
  }

  func finding(_ history: HistoryReport) -> Finding {
    guard let receipt = history.history.last(where: { $0.generation == generation }), receipt.settled else {
      return .superseded
    }
    return .settled(receipt)
  }
}

/// Asks for the status until the receipt of the switch that `answer` tells of is settled. Not bounded by `--timeout`:
/// the front door's drain deadline ends it.
func waitUntilSettled(
  _ answer: Answer<StatusReport>, generation: UInt64, _ context: Context
) throws(Failure) -> (receipt: Receipt, last: Answer<StatusReport>) {
  let watch = DrainWatch(answer.content, generation: generation)
  var display = ProgressDisplay(context)
  defer { display.clear() }
  var last = answer
  var unrecorded = 0
  while true {
    var finding = watch.finding(last.content)
    if finding == .superseded {
      finding = watch.finding(try stillAnswering(watch, context.history).content)
    }
    switch finding {
    case .settled(let receipt): return (receipt, last)
    case .restarted: throw .lost(watch, "the front door was restarted (pid \(last.content.pid) answers now)")
    case .superseded:
      unrecorded += 1
      if unrecorded > Waiting.historyPolls { throw .lost(watch, "the history does not hold its receipt") }
    case .draining(let drain):
      if let drain {
        display.show(DrainText(drain: drain, color: last.content.drainingColor, now: context.clock.now()))
      }
    }
    context.clock.sleep(Waiting.pollMilliseconds)
    last = try stillAnswering(watch, context.status)
  }
}

private enum Waiting {
  static let pollMilliseconds: UInt32 = 100
  /// A superseded switch is in the history as soon as its sessions are accounted for, which a barrier later they are.
  static let historyPolls = 100
}

private func stillAnswering<Content>(
  _ watch: DrainWatch, _ ask: () throws(Failure) -> Answer<Content>
) throws(Failure) -> Answer<Content> {
  do { return try ask() } catch {
    throw error.exitCode == .unreachable ? .lost(watch, "the front door went away: \(error.message)") : error
  }
}

extension Failure {
  fileprivate static func lost(_ watch: DrainWatch, _ reason: String) -> Failure {
    .unreachable("switched (generation \(watch.generation)), but what became of its drain is not known: \(reason)")
  }
}

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
  private let startedAt: String
  private let pid: Int32

  /// `status` is the answer to the switch.
  init(_ status: StatusReport) {
    (generation, startedAt, pid) = (status.generation, status.startedAt, status.pid)
  }

  func finding(_ status: StatusReport) -> Finding {
    guard status.pid == pid, status.startedAt == startedAt else { return .restarted }
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
  _ answer: Answer<StatusReport>, _ context: Context
) throws(Failure) -> (receipt: Receipt, last: Answer<StatusReport>) {
  let watch = DrainWatch(answer.content)
  var display = ProgressDisplay(context)
  defer { display.clear() }
  var last = answer
  var unrecorded = 0
  while true {
    var finding = watch.finding(last.content)
    if finding == .superseded {
      let history = try stillAnswering(watch) { () throws(Failure) in
        try context.channel.get("/v1/history", HistoryReport.self)
      }
      finding = watch.finding(history.content)
    }
    switch finding {
    case .settled(let receipt): return (receipt, last)
    case .restarted: throw .lost(watch, "the front door was restarted (pid \(last.content.pid) answers now)")
    case .superseded:
      unrecorded += 1
      if unrecorded > Waiting.historyPolls { throw .lost(watch, "the history does not hold its receipt") }
    case .draining(let drain):
      if let drain { display.show(drain, of: last.content.active.other) }
    }
    context.clock.sleep(Waiting.pollMilliseconds)
    last = try stillAnswering(watch) { () throws(Failure) in try context.status() }
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

import Admin
import Switching

/// `switch --handover --during CMD`: holds the traffic until nothing serves, runs the command here, and has the front
/// door go on where it succeeds. All of it on one connection: its end is the end of the handover.
func handOver(
  _ request: SwitchRequest, during command: String, _ context: Context
) throws(Failure) -> Answer<StatusReport> {
  var beginning = request
  beginning.during = true
  let held = try context.channel.post("/v1/switch", beginning, StatusReport.self, .patient)
  // Nothing was to be done.
  guard held.content.phase == .holding, let hold = held.content.hold else { return held }
  var following = request
  switch try run(command, from: held.content.active, to: request.to, hold, context) {
  case .ended(0):
    following.proceed = true
    return try context.channel.post("/v1/switch", following, StatusReport.self, .following)
  case .ended(let code): following.reason = "the command ended with exit code \(code)"
  case .tooSlow: following.reason = "the command did not end in time"
  case .givenUp:
    throw Failure(
      exitCode: .refused,
      message: "the handover was given up while the command ran: \(held.content.active.rawValue) goes on")
  case .lost(let failure): throw failure
  }
  following.proceed = false
  _ = try context.channel.post("/v1/switch", following, StatusReport.self, .following)
  throw .incomprehensible("/v1/switch")
}

private enum CommandOutcome {
  case ended(Int32)
  case tooSlow
  /// The front door has let the traffic go on.
  case givenUp
  case lost(Failure)
}

private enum Pace {
  /// Looks at the command between two looks at the front door.
  static let looks = 10
  /// Seconds that it has ended before the hold does: the old color must not serve while it still works.
  static let reserve = 0.2
}

/// Runs the command for as long as the hold lasts.
private func run(
  _ command: String, from: Color, to: Color, _ hold: HoldReport, _ context: Context
) throws(Failure) -> CommandOutcome {
  let running = try context.commands.start(
    command,
    [("BGPROXY_FROM", from.rawValue), ("BGPROXY_TO", to.rawValue), ("BGPROXY_UNTIL", hold.until)])
  let end = (Timestamp.seconds(hold.until) ?? .infinity) - Pace.reserve
  // In a short hold, a quarter of it.
  let patience = min(CommandPace.patience, max(0, end - context.clock.now()) / 4)
  var looks = 0
  while true {
    if let code = running.exitCode() { return .ended(code) }
    looks += 1
    var outcome: CommandOutcome?
    if context.clock.now() >= end - patience {
      outcome = .tooSlow
    } else if looks % Pace.looks == 0 {
      do throws(Failure) {
        let status = try context.channel.get("/v1/status", StatusReport.self, .following)
        if status.content.phase != .holding { outcome = .givenUp }
      } catch { outcome = .lost(error) }
    }
    if let outcome {
      running.end(within: patience, context.clock)
      return outcome
    }
    context.clock.sleep(CommandPace.milliseconds)
  }
}

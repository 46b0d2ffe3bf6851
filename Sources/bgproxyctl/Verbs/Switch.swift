import Admin
import Arguments
import Switching

/// `switch`: makes a color active.
func runSwitch(to color: Color, _ context: Context) throws(Failure) -> Reply {
  let arguments = context.arguments
  var request = SwitchRequest(
    to: color, drain: arguments.value(of: Command.Options.drainWindow),
    expect: arguments.value(of: Command.Options.expect).flatMap(Color.init(rawValue:)),
    dryRun: arguments.has(Command.Options.dryRun) ? true : nil, reason: givenReason(arguments))
  if arguments.has(Command.Options.handover) {
    request.handover = true
    request.force = arguments.has(Command.Options.force) ? true : nil
  }
  let before = try context.status().content
  let answer = try order(request, context)
  let paint = context.paint
  if request.dryRun == true { return Reply(text: preview(of: color, answer.content, paint), json: answer.json) }
  if answer.content.generation == before.generation {
    return Reply(text: "\(paint(color)) is active already (generation \(before.generation))\n", json: answer.json)
  }
  return try conclude(answer, heading: "switched", context)
}

private func order(_ request: SwitchRequest, _ context: Context) throws(Failure) -> Answer<StatusReport> {
  if let command = context.arguments.value(of: Command.Options.during) {
    return try handOver(request, during: command, context)
  }
  return try context.channel.post(
    "/v1/switch", request, StatusReport.self, request.handover == true ? .patient : .prompt)
}

/// `rollback`: the way back, once.
func runRollback(_ context: Context) throws(Failure) -> Reply {
  let request = RollbackRequest(
    drain: context.arguments.value(of: Command.Options.drainWindow), reason: givenReason(context.arguments))
  let before = try context.status().content
  let answer = try context.channel.post("/v1/rollback", request, StatusReport.self)
  if before.phase == .holding, answer.content.generation == before.generation {
    return Reply(
      text: "the handover was given up: \(context.paint(answer.content.active)) goes on\n", json: answer.json)
  }
  if answer.content.generation == before.generation {
    let active = context.paint(answer.content.active)
    return Reply(text: "nothing to roll back: \(active) stays active\n", json: answer.json)
  }
  return try conclude(answer, heading: "rolled back", context)
}

private func givenReason(_ arguments: ParsedArguments) -> String? {
  arguments.value(of: Command.Options.reason).flatMap { $0.isEmpty ? nil : $0 }
}

private func preview(of color: Color, _ status: StatusReport, _ paint: Palette) -> String {
  if status.active == color { return "\(paint(color)) is active already: nothing would change\n" }
  let leaving = Units.sessions(status.colors[status.active].sessions)
  return "would switch \(paint(status.active)) → \(paint(color)) (generation \(status.generation + 1)); "
    + "\(leaving) of \(paint(status.active)) would drain\n"
}

/// Prints the receipt of a switch that is done; with `--wait`, once its sessions are accounted for.
private func conclude(
  _ answer: Answer<StatusReport>, heading: String, _ context: Context
) throws(Failure) -> Reply {
  guard let receipt = answer.content.lastSwitch else { throw .incomprehensible("/v1/status") }
  if !context.arguments.has(Command.Options.wait) {
    let text = ReceiptText(receipt: receipt, paint: context.paint).full(heading: heading)
    return Reply(text: text, json: answer.json)
  }
  let (settled, last) = try waitUntilSettled(answer, context)
  var reply = Reply(text: ReceiptText(receipt: settled, paint: context.paint).full(heading: heading), json: last.json)
  if settled.closedSessions { reply.exitCode = .closedSessions }
  if last.content.active != settled.to {
    reply.notice = "\(last.content.active) is active again since generation \(last.content.generation)"
  }
  return reply
}

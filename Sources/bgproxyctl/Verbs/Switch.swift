import Admin
import Arguments
import Switching

/// `switch`: makes a color active.
func runSwitch(to color: Color, _ context: Context) throws(Failure) -> Reply {
  let request = try switchRequest(to: color, context.arguments)
  var before = try context.status().content
  if before.active == color {
    // Without effect: if that has changed just now, the checks are still to come.
    let answer = try ask(request, context)
    if answer.content.active == color { return nothingToDo(answer, request, context) }
    before = answer.content
  }
  let checks = try Checks(context)
  let runner = CheckRunner(before, to: color, context)
  if request.ramp != nil, !context.waits, !checks.after.isEmpty {
    throw Failure(
      exitCode: .refused, message: "the configuration has checks.after, which with --ramp need --wait: nothing was done"
    )
  }
  if !checks.before.isEmpty {
    // What is refused anyway is refused before somebody waits for checks.
    if before.mayRefuse(request) { _ = try ask(request, context) }
    if let failed = try runner.run(checks.before, "before") {
      throw Failure(
        exitCode: .refused,
        message: "the check before the switch failed: \(failed.name): \(failed.problem); nothing was switched")
    }
    // They took their time.
    let now = try context.status()
    if now.content.active == color { return nothingToDo(now, request, context) }
    before = now.content
  }
  if request.dryRun == true {
    let answer = try ask(request, context)
    let text = DryRunText(request: request, status: answer.content, checks: checks, paint: context.paint).text()
    return Reply(text: text, json: answer.json)
  }
  let answer = try order(request, context)
  if answer.content.generation == before.generation, !answer.content.isRamping {
    return nothingToDo(answer, request, context)
  }
  guard var release = Release(answer.content, to: color, checks, runner, context) else {
    throw .incomprehensible("/v1/switch")
  }
  return try release.conclude(answer)
}

private func switchRequest(to color: Color, _ arguments: ParsedArguments) throws(Failure) -> SwitchRequest {
  var request = SwitchRequest(
    to: color, drain: arguments.value(of: Command.Options.drainWindow),
    expect: arguments.value(of: Command.Options.expect).flatMap(Color.init(rawValue:)),
    dryRun: arguments.has(Command.Options.dryRun) ? true : nil, reason: givenReason(arguments))
  request.handover = arguments.has(Command.Options.handover) ? true : nil
  request.force = arguments.has(Command.Options.force) ? true : nil
  request.bake = arguments.value(of: Command.Options.bake)
  if let text = arguments.value(of: Command.Options.ramp) {
    do { request.ramp = try rampSteps(text) } catch {
      throw Failure(exitCode: .usage, message: "--ramp: \(error)")
    }
  }
  return request
}

extension StatusReport {
  /// Whether a refusal can be foreseen.
  fileprivate func mayRefuse(_ request: SwitchRequest) -> Bool {
    if let expect = request.expect, expect != active { return true }
    return isRamping || isBaking || phase == .holding || phase == .stopping
  }
}

/// The same request as a question.
private func ask(_ request: SwitchRequest, _ context: Context) throws(Failure) -> Answer<StatusReport> {
  var question = request
  question.dryRun = true
  return try context.channel.post("/v1/switch", question, StatusReport.self)
}

private func order(_ request: SwitchRequest, _ context: Context) throws(Failure) -> Answer<StatusReport> {
  if let command = context.arguments.value(of: Command.Options.during) {
    return try handOver(request, during: command, context)
  }
  return try context.channel.post(
    "/v1/switch", request, StatusReport.self, request.handover == true ? .patient : .prompt)
}

private func nothingToDo(_ answer: Answer<StatusReport>, _ request: SwitchRequest, _ context: Context) -> Reply {
  let active = "\(context.paint(answer.content.active)) is active already"
  let more = request.dryRun == true ? ": nothing would change" : " (generation \(answer.content.generation))"
  return Reply(text: "\(active)\(more)\n", json: answer.json)
}

func givenReason(_ arguments: ParsedArguments) -> String? {
  arguments.value(of: Command.Options.reason).flatMap { $0.isEmpty ? nil : $0 }
}

/// What a switch would do.
struct DryRunText {
  let request: SwitchRequest
  let status: StatusReport
  let checks: Checks
  let paint: Palette

  func text() -> String {
    let (from, to) = (paint(status.active), paint(request.to))
    var lines: [String] = []
    for step in request.ramp ?? [] {
      lines.append("would give \(to) \(step.percent) % of the clients for \(step.time)")
    }
    let leaving = "\(Units.sessions(status.colors[status.active].sessions)) of \(from) would drain"
    lines.append("would switch \(from) → \(to) (generation \(status.generation &+ 1)); \(leaving)")
    if let bake = request.bake, bake != "0s" {
      lines.append("would watch \(to) for \(bake), and take it back if it fails")
    }
    for check in checks.after {
      lines.append("would run after the switch: \(FailedCheck(command: check, problem: "").name)")
    }
    return lines.map { $0 + "\n" }.joined()
  }
}

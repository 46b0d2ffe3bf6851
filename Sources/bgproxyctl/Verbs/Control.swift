import Admin
import Arguments
import Switching

/// The verbs that act on a front door without switching it.

func runDrain(_ context: Context) throws(Failure) -> Reply {
  let endsNow = context.arguments.has(Command.Options.now)
  let request = DrainRequest(
    extend: context.arguments.value(of: Command.Options.extend), now: endsNow ? true : nil)
  let answer = try context.channel.post("/v1/drain", request, StatusReport.self)
  guard let drain = answer.content.drain else { return Reply(text: "nothing drains\n", json: answer.json) }
  let text = DrainText(drain: drain, color: answer.content.drainingColor, now: context.clock.now())
  return Reply(text: text.line(context.paint) + "\n", json: answer.json)
}

func runReload(_ context: Context) throws(Failure) -> Reply {
  let answer = try context.channel.post("/v1/reload", NoOptions(), ReloadReport.self)
  return Reply(text: NewsText.reload(answer.content, context.paint), json: answer.json)
}

func runStop(_ context: Context) throws(Failure) -> Reply {
  let json = try context.channel.call("POST", "/v1/stop", [], .prompt)
  return Reply(text: "stopping: no new sessions; the open ones drain\n", json: json)
}

func runPause(_ context: Context) throws(Failure) -> Reply {
  let waits = context.arguments.has(Command.Options.waitForQuiet)
  let request = PauseRequest(wait: waits ? true : nil, max: context.arguments.value(of: Command.Options.longest))
  let answer = try context.channel.post("/v1/pause", request, StatusReport.self, waits ? .patient : .prompt)
  guard let hold = HoldText(status: answer.content, paint: context.paint, now: context.clock.now()) else {
    throw .incomprehensible("/v1/pause")
  }
  return Reply(text: "paused: \(hold.line)\n", json: answer.json)
}

func runResume(_ context: Context) throws(Failure) -> Reply {
  let before = try context.status().content
  let answer = try context.channel.post("/v1/resume", NoOptions(), StatusReport.self)
  guard before.phase == .paused else {
    return Reply(text: "not paused: nothing to resume\n", json: answer.json)
  }
  return Reply(text: "resumed: \(Units.sessions(before.held)) waited\n", json: answer.json)
}

/// The body of a request that has no options.
private struct NoOptions: Encodable {}

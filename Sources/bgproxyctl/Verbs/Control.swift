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
  let text = DrainText(drain: drain, color: answer.content.active.other, now: context.clock.now())
  return Reply(text: text.line(context.paint) + "\n", json: answer.json)
}

func runReload(_ context: Context) throws(Failure) -> Reply {
  let answer = try context.channel.post("/v1/reload", NoOptions(), ReloadReport.self)
  return Reply(text: NewsText.reload(answer.content, context.paint), json: answer.json)
}

func runStop(_ context: Context) throws(Failure) -> Reply {
  let json = try context.channel.call("POST", "/v1/stop", [])
  return Reply(text: "stopping: no new sessions; the open ones drain\n", json: json)
}

/// The body of a request that has no options.
private struct NoOptions: Encodable {}

import Admin
import Arguments

/// The verbs that ask and print.

func runStatus(_ context: Context) throws(Failure) -> Reply {
  let answer = try context.status()
  let text = StatusText(status: answer.content, paint: context.paint, now: context.clock.now())
  return Reply(text: text.text(), json: answer.json)
}

func runSessions(_ context: Context) throws(Failure) -> Reply {
  let query = context.arguments.value(of: Command.Options.color).map { "?color=\($0)" } ?? ""
  let answer = try context.channel.get("/v1/sessions" + query, SessionsReport.self)
  return Reply(text: SessionsText.text(answer.content.sessions, context.paint), json: answer.json)
}

func runHealth(_ context: Context) throws(Failure) -> Reply {
  let answer = try context.channel.get("/v1/health", HealthReport.self)
  return Reply(text: HealthText.text(answer.content.health, context.paint, now: context.clock.now()), json: answer.json)
}

func runHistory(_ context: Context) throws(Failure) -> Reply {
  let answer = try context.channel.get("/v1/history", HistoryReport.self)
  return Reply(text: HistoryText.text(answer.content.history, context.paint), json: answer.json)
}

func runConfig(_ context: Context) throws(Failure) -> Reply {
  let json = try context.channel.call("GET", "/v1/config", [], .prompt)
  return Reply(text: escapedJSON(indentedJSON(String(decoding: json, as: UTF8.self))) + "\n", json: json)
}

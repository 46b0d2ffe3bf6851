import Admin
import Switching
import Testing

private func decode(_ method: String, _ target: String, _ body: String = "") throws -> AdminCall {
  let parts = target.split(separator: "?", maxSplits: 1)
  return try AdminCall.decode(
    method: method, path: String(parts[0]), query: parts.count > 1 ? String(parts[1]) : nil, body: Array(body.utf8))
}

private func refusal(_ method: String, _ target: String, _ body: String = "") -> AdminRefusal? {
  do {
    _ = try decode(method, target, body)
    return nil
  } catch {
    return error as? AdminRefusal
  }
}

@Suite struct AdminCallTests {
  @Test(arguments: [
    ("GET", "/v1/status", "", AdminCall.status(recent: nil)),
    ("HEAD", "/v1/status", "", .status(recent: nil)),
    ("GET", "/v1/status?recent=5m", "", .status(recent: 300_000)),
    ("GET", "/metrics", "", .metrics),
    ("GET", "/v1/sessions", "", .sessions(nil)),
    ("GET", "/v1/sessions?color=blue", "", .sessions(.blue)),
    ("GET", "/v1/history", "", .history),
    ("GET", "/v1/health", "", .health),
    ("GET", "/v1/config", "", .config),
    ("GET", "/v1/events", "", .events),
    ("POST", "/v1/switch", #"{"to":"green"}"#, .switchColor(SwitchRequest(to: .green))),
    (
      "POST", "/v1/switch",
      #" {"to":"blue","drain":"30s","expect":"green","dryRun":true,"reason":"two\nlines, \"quoted\" ü 🚀"} "#,
      .switchColor(
        SwitchRequest(
          to: .blue, drain: "30s", expect: .green, dryRun: true, reason: "two\nlines, \"quoted\" ü 🚀"))
    ),
    ("POST", "/v1/switch", #"{"to":"green","drain":null}"#, .switchColor(SwitchRequest(to: .green))),
    ("POST", "/v1/rollback", "", .rollback(RollbackRequest())),
    ("POST", "/v1/rollback", " \r\n", .rollback(RollbackRequest())),
    ("POST", "/v1/rollback", #"{"drain":"1m","reason":"bad"}"#, .rollback(RollbackRequest(drain: "1m", reason: "bad"))),
    ("POST", "/v1/rollback", #"{"force":true}"#, .rollback(RollbackRequest(force: true))),
    ("POST", "/v1/drain", "{}", .drain(DrainRequest())),
    ("POST", "/v1/drain", #"{"extend":"30s"}"#, .drain(DrainRequest(extend: "30s"))),
    ("POST", "/v1/drain", #"{"now":true}"#, .drain(DrainRequest(now: true))),
    ("POST", "/v1/pause", "", .pause(PauseRequest())),
    ("POST", "/v1/pause", #"{"wait":true,"max":"30s"}"#, .pause(PauseRequest(wait: true, max: "30s"))),
    ("POST", "/v1/resume", "{}", .resume),
    ("POST", "/v1/reload", "", .reload),
    ("POST", "/v1/stop", "{}", .stop),
  ])
  func aCallIsUnderstood(_ method: String, _ target: String, _ body: String, _ call: AdminCall) throws {
    #expect(try decode(method, target, body) == call)
  }

  @Test(arguments: [
    "/", "/v1", "/v1/", "/v1/status/", "/V1/status", "/v1/paus", "/v1/resume/", "/v1/health/", "/v1/upgrade",
    "/metrics/", "*",
  ])
  func whatIsNotServedIsNotFound(_ path: String) {
    for method in ["GET", "POST"] {
      #expect(refusal(method, path)?.status == 404)
      #expect(refusal(method, path)?.report.error.code == "not-found")
    }
  }

  @Test(arguments: [
    ("POST", "/v1/status", "GET, HEAD"), ("DELETE", "/v1/history", "GET, HEAD"), ("get", "/v1/config", "GET, HEAD"),
    ("GET", "/v1/switch", "POST"), ("HEAD", "/v1/stop", "POST"),
    ("POST", "/v1/health", "GET, HEAD"), ("PUT", "/v1/rollback", "POST"),
  ])
  func anotherMethodIsRefusedWithTheOnesThereAre(_ method: String, _ path: String, _ allow: String) {
    let refusal = refusal(method, path)
    #expect(refusal?.status == 405)
    #expect(refusal?.allow == allow)
  }

  @Test(arguments: [
    ("/v1/switch", "", "to: missing; expected blue or green"),
    ("/v1/switch", "{}", "to: missing; expected blue or green"),
    ("/v1/switch", #"{"to":null}"#, "to: missing; expected blue or green"),
    ("/v1/switch", #"{"to":"red"}"#, "to: expected blue or green"),
    ("/v1/switch", #"{"to":["green"]}"#, "to: expected blue or green"),
    ("/v1/switch", #"{"to":"green","expect":1}"#, "expect: expected blue or green"),
    ("/v1/switch", #"{"to":"green","drain":30}"#, "drain: expected a text"),
    ("/v1/switch", #"{"to":"green","dryRun":"yes"}"#, "dryRun: expected true or false"),
    ("/v1/switch", #"{"to":"green","dryRun":1}"#, "dryRun: expected true or false"),
    ("/v1/switch", #"{"to":"green","colour":1}"#, #"unknown field "colour""#),
    ("/v1/switch", #"{"To":"green","to":"green"}"#, #"unknown field "To""#),
    ("/v1/switch", #"{"to":"green","to":"blue"}"#, #"the field "to" is there twice"#),
    ("/v1/switch", #"{"to":"green","\u0074o":"blue"}"#, #"unknown field "\u0074o""#),
    ("/v1/switch", #"{"to":"green","reason":{"a":1,"a":2}}"#, "reason: expected a text"),
    ("/v1/switch", #"{"to":"green""#, "the body is not a JSON object"),
    ("/v1/switch", #"["green"]"#, "the body is not a JSON object"),
    ("/v1/switch", "green", "the body is not a JSON object"),
    ("/v1/switch", #"{to:"green"}"#, "the body is not a JSON object"),
    ("/v1/switch", #"{"to":"green"} {}"#, "the body is not a JSON object"),
    ("/v1/switch", "{\"to\":\"green\"}\0", "the body is not UTF-8"),
    ("/v1/switch", "\u{FEFF}{\"to\":\"green\"}", "the body is not UTF-8"),
    ("/v1/switch", #"{"to":"green","reason":"\u001b[2J"}"#, "reason: control characters other than line ends and tabs"),
    ("/v1/rollback", #"{"to":"green"}"#, #"unknown field "to""#),
    ("/v1/drain", #"{"extend":"1s","now":true}"#, "extend and now exclude each other"),
    ("/v1/reload", #"{"file":"x"}"#, #"unknown field "file""#),
    ("/v1/stop?now", "", #"unknown parameter "now""#),
  ])
  func aBadOrderIsRefusedWithWhatIsWrong(_ target: String, _ body: String, _ message: String) {
    let refusal = refusal("POST", target, body)
    #expect(refusal?.status == 400)
    #expect(refusal?.report == ErrorReport(code: "bad-request", message: message))
  }

  @Test func aReasonIsBounded() throws {
    let longest = String(repeating: "x", count: 1024)
    #expect(
      try decode("POST", "/v1/rollback", #"{"reason":"\#(longest)"}"#) == .rollback(RollbackRequest(reason: longest)))
    #expect(refusal("POST", "/v1/rollback", #"{"reason":"\#(longest)x"}"#)?.status == 400)
  }

  @Test func deepNestingIsRefused() {
    let deep = String(repeating: "[", count: 30_000) + String(repeating: "]", count: 30_000)
    #expect(refusal("POST", "/v1/switch", #"{"to":"green","reason":\#(deep)}"#)?.status == 400)
  }

  @Test func aHandoverIsUnderstood_withWhatBelongsToIt() throws {
    var request = SwitchRequest(to: .green)
    (request.handover, request.during, request.force) = (true, true, true)
    #expect(
      try decode("POST", "/v1/switch", #"{"to":"green","handover":true,"during":true,"force":true}"#)
        == .switchColor(request))
    (request.during, request.force, request.proceed) = (nil, nil, false)
    #expect(
      try decode("POST", "/v1/switch", #"{"to":"green","handover":true,"proceed":false}"#) == .switchColor(request))
  }

  @Test(arguments: [
    (#""during":true"#, "during and proceed belong to a handover"),
    (#""handover":false,"proceed":true"#, "during and proceed belong to a handover"),
    (#""proceed":false"#, "during and proceed belong to a handover"),
    (#""handover":true,"during":true,"proceed":true"#, "during and proceed exclude each other"),
    (#""handover":"yes""#, "handover: expected true or false"),
  ])
  func whatBelongsToAHandoverIsRefusedWithoutOne(_ fields: String, _ message: String) {
    let refusal = refusal("POST", "/v1/switch", #"{"to":"green",\#(fields)}"#)
    #expect(refusal?.status == 400)
    #expect(refusal?.report.error.message == message)
  }

  @Test(arguments: [
    ("color=red", "color: expected blue or green"), ("color", "color: expected blue or green"),
    ("colour=blue", #"unknown parameter "colour""#),
    ("color=blue&color=blue", #"the parameter "color" is there twice"#),
  ])
  func aBadQueryIsRefused(_ query: String, _ message: String) {
    #expect(refusal("GET", "/v1/sessions?\(query)")?.report.error.message == message)
  }

  @Test func aMessageQuotesNoControlCharacters() {
    let long = String(repeating: "x", count: 5000)
    let message = refusal("POST", "/v1/stop", "{\"a\\n\u{202E}\u{9B}\(long)\":1}")?.report.error.message ?? "\n"
    #expect(message.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x202E && $0.value != 0x9B })
    #expect(message.utf8.count < 200)
  }

  @Test func anEventIsOneLine() throws {
    let line = try AdminJSON.line(EventReport(at: "2026-01-31T10:00:00.000Z", event: "switch", message: "a\nb"))
    #expect(line.filter { $0 == 0x0A }.count == 1)
    #expect(line.last == 0x0A)
    #expect(try AdminJSON.decode(EventReport.self, from: line).message == "a\nb")
  }
}

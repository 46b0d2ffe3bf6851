import Admin
import EventCore
import LinuxIO
import Testing

@Suite(.serialized) struct AdminClientTests {
  @Test func itAsksAndOrders() throws {
    let server = try TestServer { stage in
      switch stage.request.method {
      case "GET":
        stage.respond(HTTPResponse(json: ReloadReport(added: ["a"], removed: [], changed: [], needsRestart: [])))
      default: stage.respond(HTTPResponse(json: ["body": String(decoding: stage.request.body, as: UTF8.self)]))
      }
    }
    var client = server.adminClient()
    for _ in 0..<3 { #expect(try client.get("/v1/x", as: ReloadReport.self).added == ["a"]) }
    #expect(server.onLoop { server.server.connectionCount } == 1)
    let answer = try client.post("/v1/x", DrainRequest(now: true), as: [String: String].self)
    #expect(answer == ["body": "{\"now\":true}\n"])
    #expect(client.peerUser == Process.effectiveUserID, "and it knows who answered")
  }

  @Test func aConnectionThatWasClosedMeanwhileIsMadeAnew() throws {
    var limits = HTTPServer.Limits.patient
    limits.idleMilliseconds = 10
    let clock = ManualClock()
    let server = try TestServer(limits, clock: clock.now)
    var client = server.adminClient()
    for _ in 0..<3 {
      #expect(try client.call("GET", "/").body == Array("GET / ".utf8))
      server.pass(milliseconds: 11, on: clock)
      #expect(server.onLoop { server.server.connectionCount } == 0)
    }
  }

  @Test func anErrorOfTheFrontDoorIsTakenApart() throws {
    let server = try TestServer { $0.respond(HTTPResponse(status: 409, code: "unhealthy", message: "green is down")) }
    var client = server.adminClient()
    let expected = AdminClientError.refused(status: 409, ErrorReport(code: "unhealthy", message: "green is down"))
    #expect(throws: expected) { try client.post("/v1/switch", SwitchRequest(to: .green), as: StatusReport.self) }
    #expect(try client.call("POST", "/v1/switch").status == 409)
    #expect("\(expected)" == "green is down")
  }

  @Test func nobodyAtTheSocketIsToldApart() throws {
    let folder = TemporaryFolder()
    let path = folder.path + "/socket"
    var client = AdminClient(path: path)
    #expect(throws: AdminClientError.noAnswer(path: path, reason: "No such file or directory")) {
      try client.call("GET", "/")
    }
    #expect(client.peerUser == nil)
    do { _ = try Descriptor.listen(at: SocketAddress(path: path)) }
    #expect(eventually { isRefused(path) })
    #expect(throws: AdminClientError.noAnswer(path: path, reason: "Connection refused")) {
      try client.call("GET", "/")
    }
    // It listens and never accepts.
    let silent = try Descriptor.listen(at: SocketAddress(path: path + "2"))
    var impatient = AdminClient(path: path + "2", timeoutMilliseconds: 50)
    #expect(throws: AdminClientError.noAnswer(path: path + "2", reason: "no answer in time")) {
      try impatient.call("GET", "/")
    }
    _ = consume silent
  }

  @Test func aServerThatTricklesGetsNoMoreTime() throws {
    let server = try TestServer { stage in
      let (server, id) = (stage.server, stage.id)
      guard server.server.respond(streaming: id, contentType: "text/plain") else { return }
      @Sendable func trickle() {
        if server.server.send([65], to: id) { server.reactor.after(milliseconds: 1) { trickle() } }
      }
      trickle()
    }
    var client = AdminClient(path: server.path, timeoutMilliseconds: 100)
    #expect(throws: AdminClientError.noAnswer(path: server.path, reason: "no answer in time")) {
      try client.call("GET", "/")
    }
  }

  @Test func aConnectionThatEndsEarlyIsNoAnswer() throws {
    let server = try TestServer { $0.server.server.close() }
    var client = server.adminClient()
    #expect(throws: AdminClientError.noAnswer(path: server.path, reason: "the connection ended without an answer")) {
      try client.call("POST", "/")
    }
  }

  @Test func anAnswerOfAnotherKindIsNotUnderstood() throws {
    let server = try TestServer { $0.respond(HTTPResponse(text: "hello")) }
    var client = server.adminClient()
    #expect(throws: AdminClientError.notUnderstood(path: server.path, reason: "it is no StatusReport")) {
      try client.get("/v1/status", as: StatusReport.self)
    }
  }

  @Test func linesComeOneByOne() throws {
    let server = try TestServer { stage in
      guard stage.server.server.respond(streaming: stage.id, contentType: AdminJSON.linesContentType) else { return }
      for piece in ["one\ntw", "o\n", "\nfour\nunfinished"] {
        stage.server.server.send(Array(piece.utf8), to: stage.id)
      }
      stage.server.server.end(stage.id)
    }
    let client = server.adminClient()
    var lines: [String] = []
    try client.lines(of: "/v1/events") { line in
      lines.append(line)
      return true
    }
    #expect(lines == ["one", "two", "", "four"])
    lines = []
    try client.lines(of: "/v1/events") { line in
      lines.append(line)
      return lines.count < 2
    }
    #expect(lines == ["one", "two"])
  }

  @Test func aRefusedStreamIsAnError() throws {
    let server = try TestServer { $0.respond(HTTPResponse(status: 404, code: "not-found", message: "no")) }
    let client = server.adminClient()
    #expect(throws: AdminClientError.refused(status: 404, ErrorReport(code: "not-found", message: "no"))) {
      try client.lines(of: "/v1/events") { _ in true }
    }
  }
}

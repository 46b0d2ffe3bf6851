import Admin
import HTTPFraming
import LinuxIO
import Synchronization
import Testing

private let get = "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"

@Suite(.serialized) struct HTTPServerTests {
  @Test func aConnectionServesOneRequestAfterTheOther() throws {
    let server = try TestServer()
    let client = try server.client()
    for _ in 0..<3 {
      client.send(get)
      let answer = try #require(try client.answer())
      #expect(answer.status == 200)
      #expect(answer.body == "GET /a?b=c ")
      #expect(answer.head.keepsAlive)
      #expect(answer.head.fields.all("date").count == 1)
    }
  }

  @Test(arguments: [false, true], [false, true])
  func pipelinedRequestsAreAnsweredInTheirOrder(_ later: Bool, _ inTurns: Bool) throws {
    var limits = HTTPServer.Limits.patient
    limits.takesTurns = inTurns
    let server = try TestServer(limits) { stage in
      let response = echo(stage.request)
      if later {
        let (server, id) = (stage.server, stage.id)
        server.reactor.post { server.server.respond(to: id, response) }
      } else {
        stage.respond(response)
      }
    }
    let client = try server.client()
    let count = 2000
    client.send((0..<count).map { "POST /\($0) HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi" }.joined())
    for number in 0..<count { #expect(try client.answer()?.body == "POST /\(number) hi") }
  }

  @Test func aRequestMayComeByteByByte() throws {
    let server = try TestServer()
    let client = try server.client()
    for byte in "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".utf8 {
      client.send([byte])
    }
    #expect(try client.answer()?.body == "POST / abc")
  }

  @Test func theFormOfTheTargetDoesNotMatter() throws {
    let server = try TestServer()
    let client = try server.client()
    for (target, seen) in [
      ("http://bgproxy/v1/status?x", "/v1/status?x"), ("HTTP://bgproxy", "/"), ("http://b?q", "/?q"), ("*", "*"),
      ("http:x", "http:x"),
    ] {
      client.send("GET \(target) HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(try client.answer()?.body == "GET \(seen) ")
    }
  }

  @Test func clientsOfHTTP10AreAnsweredInTheirWay() throws {
    let server = try TestServer()
    let client = try server.client()
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    #expect(try client.answer()?.head.fields.all("connection") == ["keep-alive"])
    client.send("GET / HTTP/1.0\r\n\r\n")
    #expect(try client.answer()?.head.fields.all("connection") == ["close"])
    #expect(client.rest() == "")
  }

  @Test func connectionCloseEndsTheConnectionAfterTheAnswer() throws {
    let server = try TestServer()
    let client = try server.client()
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + get)
    #expect(try client.answer()?.head.keepsAlive == false)
    #expect(client.rest() == "")
  }

  @Test func headIsAnsweredWithoutABody() throws {
    let server = try TestServer()
    let client = try server.client()
    client.send("HEAD /abc HTTP/1.1\r\nHost: x\r\n\r\n" + get)
    let answer = try #require(try client.answer(to: "HEAD"))
    #expect(answer.head.fields.all("content-length") == ["10"])
    #expect(try client.answer()?.body == "GET /a?b=c ")
  }

  @Test func anExpectedContinueComesBeforeTheBody() throws {
    let server = try TestServer()
    let client = try server.client()
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n")
    #expect(try client.answer()?.status == 100)
    client.send("hello")
    #expect(try client.answer()?.body == "POST / hello")
  }

  @Test func aClientThatHasHalfClosedGetsItsAnswer() throws {
    let asked = Mutex<[ResponseID]>([])
    let server = try TestServer(handler: { stage in asked.withLock { $0.append(stage.id) } })
    let client = try server.client()
    client.send(get + get)
    client.endWriting()
    for count in 1...2 {
      #expect(eventually { asked.withLock { $0.count } == count })
      let id = try #require(asked.withLock { $0.last })
      server.onLoop { server.server.respond(to: id, HTTPResponse(text: "late")) }
      #expect(try client.answer()?.body == "late")
    }
    #expect(client.rest() == "")
  }

  @Test func anAnswerLargerThanAllBuffersArrivesWhole() throws {
    let body = String(repeating: "0123456789", count: 500_000)
    let server = try TestServer { $0.respond(HTTPResponse(text: body)) }
    let client = try server.client()
    client.send(get)
    #expect(try client.answer()?.body == body)
    client.send(get)
    #expect(try client.answer()?.body.utf8.count == body.utf8.count)
  }

  @Test func anAnswerOverTheLimitBecomesAnError() throws {
    var limits = HTTPServer.Limits.patient
    limits.answerBytes = 1000
    let server = try TestServer(limits) { $0.respond(HTTPResponse(text: String(repeating: "x", count: 1001))) }
    let client = try server.client()
    client.send(get)
    #expect(try client.answer()?.status == 500)
  }

  @Test func aFieldOfAnAnswerCannotBeSplit() throws {
    let server = try TestServer { stage in
      var response = HTTPResponse(text: "")
      response.fields = [("X-Name", "a\r\nX-Forged: b")]
      stage.respond(response)
    }
    let client = try server.client()
    client.send(get)
    let fields = try #require(try client.answer()).head.fields
    #expect(fields.all("x-forged") == [])
    #expect(fields.all("x-name") == ["a  X-Forged: b"])
  }

  @Test func whatTheServerAddsIsInEveryAnswer() throws {
    var limits = HTTPServer.Limits.patient
    limits.connections = 3
    let waiting = Mutex(0)
    let server = try TestServer(limits) { stage in
      switch stage.request.path {
      case "/wait": waiting.withLock { $0 += 1 }
      case "/stream": _ = stage.server.server.respond(streaming: stage.id, contentType: "text/plain")
      default: stage.respond(echo(stage.request))
      }
    }
    server.onLoop { server.server.fields = [("X-Added", "yes")] }
    func added(_ text: String) throws -> (TestClient, Bool) {
      let client = try server.client()
      client.send(text)
      #expect(client.readUntil("\r\n\r\n"))
      return (client, client.readUntil("\r\nX-Added: yes\r\n"))
    }
    for text in [get, "nonsense\r\n\r\n", "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"] { #expect(try added(text).1) }
    #expect(eventually { server.onLoop { server.server.connectionCount == 0 } })
    let working = try (0..<3).map { _ in
      let client = try server.client()
      client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
      return client
    }
    #expect(eventually { waiting.withLock { $0 } == 3 })
    #expect(try added("").1, "one that is turned away")
    withExtendedLifetime(working) {}
  }

  @Test(arguments: [
    ("\u{16}\u{03}\u{01}garbage", 400),
    ("hello\r\n\r\n", 400),
    ("GET / HTTP/1.1\n\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/2.0\r\n\r\n", 505),
    ("GET / HTTP/1.1\r\nHost: x\r\nA: " + String(repeating: "x", count: 20_000), 431),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\nExpect: 100-continue\r\n\r\n", 413),
    (
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n"
        + String(repeating: "x", count: 65_537), 413
    ),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: miracles\r\n\r\n", 417),
  ])
  func whatIsNoRequestIsRefusedAndTheConnectionEnds(_ text: String, _ status: Int) throws {
    let server = try TestServer()
    let client = try server.client()
    client.send(text)
    let answer = try #require(try client.answer())
    #expect(answer.status == status)
    #expect(answer.body.hasPrefix("{\"error\":{") && answer.body.hasSuffix("}}\n"))
    #expect(client.rest() == "")
  }

  @Test func aRefusalReachesAClientThatIsStillSending() throws {
    let server = try TestServer()
    let client = try server.client()
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
    client.send(String(repeating: "x", count: 10_000_000))
    #expect(try client.answer()?.status == 413)
  }

  @Test(arguments: ["GET / HTTP/1.1\r\nHos", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"])
  func aRequestThatDoesNotComeWholeIsRefused(_ text: String) throws {
    var limits = HTTPServer.Limits.patient
    limits.requestMilliseconds = 50
    let clock = ManualClock()
    let server = try TestServer(limits, clock: clock.now)
    let ended = try server.client()
    ended.send(text)
    ended.endWriting()
    #expect(try ended.answer()?.status == 400)
    let silent = try server.client()
    silent.send(text)
    server.pass(milliseconds: 51, on: clock)
    #expect(try silent.answer()?.status == 408)
  }

  @Test func theTimeForARequestIsNotProlongedByItsBytes() throws {
    var limits = HTTPServer.Limits.patient
    limits.requestMilliseconds = 50
    let clock = ManualClock()
    let server = try TestServer(limits, clock: clock.now)
    let client = try server.client()
    client.send("GET / HTTP/1.1\r\n")
    for _ in 0..<5 {
      server.pass(milliseconds: 10, on: clock)
      client.send("A: b\r\n")
    }
    server.pass(milliseconds: 1, on: clock)
    #expect(try client.answer()?.status == 408)
  }

  @Test func aConnectionThatStaysSilentIsClosed() throws {
    var limits = HTTPServer.Limits.patient
    limits.idleMilliseconds = 20
    let clock = ManualClock()
    let server = try TestServer(limits, clock: clock.now)
    let fresh = try server.client()
    let used = try server.client()
    used.send(get)
    #expect(try used.answer()?.status == 200)
    server.pass(milliseconds: 20, on: clock)
    #expect(server.onLoop { server.server.connectionCount } == 2)
    server.pass(milliseconds: 1, on: clock)
    #expect(fresh.rest() == "")
    #expect(used.rest() == "")
  }

  @Test func aClientThatDoesNotTakeItsAnswerIsClosed() throws {
    var limits = HTTPServer.Limits.patient
    limits.stallMilliseconds = 50
    let clock = ManualClock()
    let server = try TestServer(
      limits, handler: { $0.respond(HTTPResponse(text: String(repeating: "x", count: 5_000_000))) }, clock: clock.now)
    let client = try server.client()
    client.send(get)
    server.pass(milliseconds: 50, on: clock)
    #expect(server.onLoop { server.server.connectionCount } == 1)
    server.pass(milliseconds: 1, on: clock)
    #expect(server.losses == [.stalled])
    #expect(try client.answer()?.status == nil)
  }
}

import Glibc
import Health
import LinuxIO
import Testing

/// One probe after another is enough for these: the next would come in an hour.
private func target(
  _ kind: ProbeSettings.Kind, _ addresses: SocketAddress..., timeout: Int64 = 20_000, name: String = "a:1",
  from sources: [SocketAddress] = []
) -> ProbeTarget<Int> {
  ProbeTarget(
    id: 1, name: name, addresses: addresses, sources: sources,
    settings: ProbeSettings(kind, interval: 3_600_000, timeout: timeout))
}

private func http(body: String? = nil) -> ProbeSettings.Kind { .http(HTTPExpectation(path: "/", body: body)) }

@Suite struct ProbeTests {
  private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

  private func withStage(_ body: (Stage) throws -> Void) throws {
    let stage = try Stage()
    defer { stage.end() }
    try body(stage)
  }

  // MARK: TCP

  @Test func connection_isEnough_andTheServerHasNothingToAccept() throws {
    try withStage { stage in
      let server = try stage.server()
      let result = try stage.firstResult(target(.tcp, server.address))
      #expect(result.finding == .connected && result.passed)
      #expect(result.latencyMicroseconds ?? -1 >= 0)
      // A machine that is very busy may send the last packet of a handshake before the reset; not always.
      func accepted(of count: Int) -> Int {
        let before = stage.onLoop { _ in server.accepted }
        for _ in 0..<count {
          let answered = stage.answers.count
          stage.ask(1)
          #expect(eventually { stage.answers.count == answered + 1 })
        }
        return stage.onLoop { _ in server.accepted } - before
      }
      #expect(eventually { accepted(of: 20) < 10 })
    }
  }

  @Test func refusal_isNamed() throws {
    try withStage { stage in
      let port = try RefusingPort()
      let result = try stage.firstResult(target(.tcp, port.address))
      #expect(result.finding == .failed(.connectionRefused))
      #expect(result.text == "connection refused")
    }
  }

  @Test func silence_endsAtTheTimeout() throws {
    try withStage { stage in
      let full = try FullBacklog(at: loopback())
      #expect(try stage.firstResult(target(.tcp, full.address, timeout: 100)).finding == .noAnswer(100))
    }
  }

  @Test func unixSocket_isConnectedTo() throws {
    try withStage { stage in
      let folder = TemporaryFolder()
      let path = try folder.socket
      #expect(try stage.firstResult(target(.tcp, path)).finding == .failed(.noSuchFile))
      let server = try stage.server(at: path)
      stage.ask(1)
      #expect(eventually { stage.answers.count == 1 })
      guard case .found(let result)? = stage.answers[0][1] else {
        Issue.record("\(stage.answers)")
        return
      }
      #expect(result.finding == .connected)
      #expect(eventually { stage.onLoop { _ in server.ends } == [.endOfFile] })
    }
  }

  @Test func fullUnixBacklog_fails_whenItStaysFull() throws {
    try withStage { stage in
      let folder = TemporaryFolder()
      let full = try FullBacklog(at: folder.socket)
      #expect(try stage.firstResult(target(.tcp, full.address, timeout: 50)).finding == .backlogFull(50))
    }
  }

  @Test func fullUnixBacklog_isWaitedFor() throws {
    try withStage { stage in
      let folder = TemporaryFolder()
      let full = try FullBacklog(at: folder.socket)
      stage.watch(target(.tcp, full.address))
      #expect(stage.health()?.result == nil)
      full.empty()
      #expect(eventually { stage.health()?.result?.finding == .connected })
    }
  }

  @Test func name_withoutAddress_hasFailed() throws {
    try withStage { stage in
      let result = try stage.firstResult(target(.tcp))
      #expect(result.finding == .noAddress)
    }
  }

  @Test func addresses_areTriedInOrder() throws {
    try withStage { stage in
      let port = try RefusingPort()
      let server = try stage.server(.request, .send(ok), .finish)
      #expect(try stage.firstResult(target(http(), port.address, server.address)).finding == .status(200))
    }
    try withStillStage { stage in
      let full = try FullBacklog(at: loopback())
      let server = try stage.server(.request, .send(ok), .finish)
      // A silent address leaves the others their part of the time.
      stage.watch(target(http(), full.address, server.address, timeout: 2000))
      stage.advance(milliseconds: 999)
      #expect(stage.health()?.result == nil && stage.requests(server) == 0)
      stage.advance(milliseconds: 1)
      #expect(eventually { stage.health()?.result?.finding == .status(200) })
    }
    try withStage { stage in
      let port = try RefusingPort()
      let folder = TemporaryFolder()
      let result = try stage.firstResult(target(.tcp, folder.socket, port.address))
      #expect(result.finding == .failed(.connectionRefused))
    }
  }

  // MARK: This machine

  @Test func shortage_isNoResult() throws {
    try withStage { stage in
      let server = try stage.server(.request, .send(ok), .finish)
      // TEST-NET-1 (RFC 5737) is no address of this machine.
      let foreign = try loopback("192.0.2.1")
      stage.watch(target(http(), server.address, from: [foreign]))
      #expect(eventually { stage.shortages == [.addressNotAvailable] })
      #expect(stage.health()?.result == nil && stage.health()?.isHealthy == nil)
      stage.ask(1)
      #expect(eventually { stage.answers == [[1: .shortage(.addressNotAvailable)]] })
      #expect(stage.changes == [])
      stage.watch(target(http(), server.address, from: [foreign, try loopback("127.0.0.2")]))
      #expect(eventually { stage.health()?.isHealthy == true })
      #expect(stage.onLoop { _ in server.clients }.map(\.host) == ["127.0.0.2"])
    }
  }

  // MARK: HTTP

  @Test func request_isASmallOne() throws {
    try withStage { stage in
      let server = try stage.server(.request, .send(ok), .finish)
      let result = try stage.firstResult(target(.http(HTTPExpectation(path: "/health?full=1")), server.address))
      #expect(result.finding == .status(200) && result.text == "200")
      let expected =
        "GET /health?full=1 HTTP/1.1\r\nHost: a:1\r\nUser-Agent: bgproxy-health\r\nAccept: */*\r\n"
        + "Connection: close\r\n\r\n"
      #expect(stage.onLoop { _ in server.requests } == [expected])
    }
  }

  @Test(
    arguments: [
      ("10.0.0.1:80", nil, "10.0.0.1:80"), ("[::1]:80", nil, "[::1]:80"), ("unix:/run/a.sock", nil, "localhost"),
      ("[fe80::1%eth0]:80", nil, "localhost"), ("unix:/run/a.sock", "app.example", "app.example"),
    ] as [(String, String?, String)])
  func host_isTheTarget_orWhatIsSaid(name: String, said: String?, host: String) throws {
    try withStage { stage in
      let server = try stage.server(.request, .send(ok), .finish)
      let kind = ProbeSettings.Kind.http(HTTPExpectation(path: "/", host: said))
      _ = try stage.firstResult(target(kind, server.address, name: name))
      #expect(stage.onLoop { _ in server.requests }.first?.contains("\r\nHost: \(host)\r\n") == true)
    }
  }

  @Test func unixSocket_isAsked() throws {
    try withStage { stage in
      let folder = TemporaryFolder()
      let server = try stage.server(.request, .send(ok), .finish, at: folder.socket)
      #expect(try stage.firstResult(target(http(body: "ok"), server.address)).finding == .status(200))
    }
  }

  struct Answer: Sendable, CustomTestStringConvertible {
    let name: String
    let steps: [ScriptedServer.Step]
    let body: String?
    let findings: [Finding]
    init(_ name: String, _ steps: [ScriptedServer.Step], body: String? = nil, _ findings: Finding...) {
      (self.name, self.steps, self.body, self.findings) = (name, steps, body, findings)
    }
    var testDescription: String { name }
  }

  private static let head = "HTTP/1.1 200 OK\r\n"
  private static let chunked = head + "Transfer-Encoding: chunked\r\n\r\n"

  @Test(arguments: [
    Answer(
      "wrong status", [.request, .send("HTTP/1.1 503 No\r\n\r\n")], .unexpectedStatus(503, expected: [200...399])),
    Answer("an answer before the request", [.send(head + "\r\n"), .finish], .status(200)),
    // What was sent is thrown away by the reset that answers the request; depending on which comes first.
    Answer("closes at once", [.close], .closedEarly, .failed(.connectionReset), .failed(.brokenPipe)),
    Answer("closes after the request", [.request, .close], .closedEarly),
    Answer("resets after the request", [.request, .reset], .failed(.connectionReset)),
    Answer("closes in the head", [.request, .send(head), .close], .closedEarly),
    Answer("resets in the head", [.request, .send(head), .reset], .failed(.connectionReset)),
    Answer("slow head", [.request, .trickle(head + "A: b\r\n\r\n")], .status(200)),
    Answer("endless head", [.request, .send(head), .flood("A: b\r\n")], .headTooLong),
    Answer("endless line", [.request, .send(head), .flood("a")], .headTooLong),
    Answer("garbage", [.request, .flood("\u{0}\u{7F}garbage")], .notHTTP),
    Answer("greeting", [.send("SSH-2.0-OpenSSH\r\n")], .notHTTP),
    Answer("100 before", [.request, .send("HTTP/1.1 100 Continue\r\n\r\n"), .trickle(head + "\r\n")], .status(200)),
    Answer("endless 100", [.request, .flood("HTTP/1.1 100 Continue\r\n\r\n")], .headTooLong),
    Answer("text in pieces", [.request, .send(head + "\r\n"), .trickle(".o.ok")], body: "ok", .status(200)),
    Answer(
      "text in chunks", [.request, .send(chunked), .trickle("2\r\n.o\r\n1;x\r\nk\r\n")], body: "ok", .status(200)),
    Answer("no text", [.request, .send(head + "\r\nno"), .finish], body: "ok", .textMissing("ok")),
    Answer(
      "no text, counted", [.request, .send(head + "Content-Length: 2\r\n\r\nno")], body: "ok", .textMissing("ok")),
    Answer("no text, chunks", [.request, .send(chunked + "2\r\nno\r\n0\r\n\r\n")], body: "ok", .textMissing("ok")),
    Answer("broken chunks", [.request, .send(chunked + "zz")], body: "ok", .brokenBody),
    Answer("endless body", [.request, .send(head + "\r\n"), .flood("no")], body: "ok", .textMissing("ok")),
    Answer("endless chunks", [.request, .send(chunked), .flood("2\r\nno\r\n")], body: "ok", .textMissing("ok")),
    Answer("reset in the body", [.request, .send(head + "\r\nno"), .reset], body: "ok", .failed(.connectionReset)),
    Answer("endless body, not looked at", [.request, .send(head + "\r\n"), .flood("no")], .status(200)),
  ])
  func answers_areJudged(_ answer: Answer) throws {
    try withStage { stage in
      let server = try stage.server()
      stage.onLoop { _ in server.steps = answer.steps }
      let finding = try stage.firstResult(target(http(body: answer.body), server.address)).finding
      #expect(answer.findings.contains(finding), "\(finding)")
      #expect(stage.changes.map(\.isHealthy) == [finding.passed])
      // Whatever it was, the probe has left in the end.
      if case .status = finding { return }
      #expect(eventually { stage.onLoop { _ in server.openConnections } == 0 })
    }
  }

  @Test func unfinishedAnswers_endAtTheTimeout() throws {
    try withStage { stage in
      let server = try stage.server(.request)
      #expect(try stage.firstResult(target(http(), server.address, timeout: 100)).finding == .noAnswer(100))
    }
    try withStage { stage in
      let server = try stage.server(.request, .send("H"), .trickleForEver("T"))
      // Another start than HTTP's is recognized at once.
      #expect(try stage.firstResult(target(http(), server.address)).finding == .notHTTP)
    }
    try withStillStage { stage in
      let server = try stage.server(.request, .send(Self.head), .trickleForEver("a"))
      stage.watch(target(http(), server.address, timeout: 2000))
      #expect(eventually { stage.requests(server) == 1 })
      #expect(eventually { stage.onLoop { _ in server.unsentBytes } == 0 })
      for _ in 0..<10 { stage.advance(milliseconds: 100) }
      #expect(stage.health()?.result == nil)
      stage.advance(milliseconds: 1000)
      #expect(stage.health()?.result?.finding == .noWholeAnswer(2000))
      #expect(eventually { stage.onLoop { _ in server.ends.count } == 1 })
    }
  }

  // MARK: Leaving

  /// States of the TCP socket of this machine that is one end of a connection: proc(5). Both ports count: either of them
  /// alone may have been somebody else's a moment ago, of whom there is still a TIME_WAIT.
  private func states(from client: SocketAddress, to server: SocketAddress) throws -> [String] {
    func digits(_ address: SocketAddress) throws -> Substring {
      String(UInt32(try #require(address.port)) + 0x10000, radix: 16, uppercase: true).dropFirst()
    }
    let (own, other) = (":" + (try digits(client)), ":" + (try digits(server)))
    let table = try #require(try DurableFile.read("/proc/net/tcp", limit: 1 << 24))
    return String(decoding: table, as: UTF8.self).split(separator: "\n").dropFirst().compactMap { line in
      let columns = line.split(separator: " ")
      let isWanted = columns.count > 3 && columns[1].hasSuffix(own) && columns[2].hasSuffix(other)
      return isWanted ? String(columns[3]) : nil
    }
  }

  @Test func serverThatCloses_isLeftToDoSo() throws {
    try withStillStage { stage in
      let server = try stage.server(.request, .send(ok), .finish)
      #expect(try stage.firstResult(target(http(), server.address)).finding == .status(200))
      #expect(eventually { stage.onLoop { _ in server.ends } == [.endOfFile] })
      let client = try #require(stage.onLoop { _ in server.clients }.first)
      // 06 is TIME_WAIT: it is the server's.
      #expect(try eventually { try !states(from: client, to: server.address).contains { $0 != "06" } })
      #expect(try states(from: client, to: server.address) == [])
      #expect(try eventually { try states(from: server.address, to: client) == ["06"] })
    }
  }

  @Test func serverThatStays_isReset() throws {
    try withStage { stage in
      let server = try stage.server(.request, .send(ok))
      #expect(try stage.firstResult(target(http(), server.address)).finding == .status(200))
      #expect(eventually { stage.onLoop { _ in server.ends } == [.failed(.connectionReset)] })
    }
  }

  @Test func nextProbe_doesNotWaitForTheLastOnesLeave() throws {
    try withStillStage { stage in
      let server = try stage.server(.request, .send(ok))
      #expect(try stage.firstResult(target(http(), server.address)).finding == .status(200))
      for count in 1...5 {
        stage.ask(1)
        #expect(eventually { stage.answers.count == count })
      }
      #expect(eventually { stage.onLoop { _ in server.openConnections } <= 1 })
    }
  }
}

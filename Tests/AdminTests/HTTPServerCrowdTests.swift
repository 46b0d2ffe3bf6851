import Admin
import LinuxIO
import Synchronization
import Testing

private let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

/// Many clients at a time, streams, and the end.
@Suite(.serialized) struct HTTPServerCrowdTests {
  /// Answers all but `/wait`, which it remembers, and `/stream`, which becomes one.
  private final class Desk: Sendable {
    let waiting = Mutex<[ResponseID]>([])
    let streams = Mutex<[ResponseID]>([])

    @Sendable func handle(_ stage: TestServer.Stage) {
      switch stage.request.path {
      case "/wait": waiting.withLock { $0.append(stage.id) }
      case "/stream":
        if stage.server.server.respond(streaming: stage.id, contentType: "text/plain") {
          streams.withLock { $0.append(stage.id) }
        }
      default: stage.respond(echo(stage.request))
      }
    }

    func waitForWaiting(_ count: Int) -> [ResponseID] {
      _ = eventually { self.waiting.withLock { $0.count >= count } }
      return waiting.withLock { $0 }
    }

    func waitForStream() -> ResponseID? {
      _ = eventually { self.streams.withLock { !$0.isEmpty } }
      return streams.withLock { $0.first }
    }
  }

  private func limited(to connections: Int) -> HTTPServer.Limits {
    var limits = HTTPServer.Limits.patient
    limits.connections = connections
    return limits
  }

  @Test func idleConnectionsMakeRoomForTheNextOperator() throws {
    let server = try TestServer()
    let idle = try (0..<200).map { number in
      let client = try server.client()
      // Half of them have begun a request.
      if number % 2 == 0 { client.send("GET / HT") }
      return client
    }
    let next = try server.client()
    next.send(get)
    #expect(try next.answer()?.status == 200)
    #expect(server.onLoop { server.server.connectionCount } <= HTTPServer.Limits().connections)
    #expect(server.losses == Array(repeating: .madeRoom(owed: false), count: 201 - HTTPServer.Limits().connections))
    withExtendedLifetime(idle) {}
  }

  @Test func aRequestThatIsWorkedOnIsNotDroppedForAnother() throws {
    let desk = Desk()
    let server = try TestServer(limited(to: 2), handler: desk.handle)
    let first = try server.client()
    first.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    let second = try server.client()
    second.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    let waiting = desk.waitForWaiting(2)
    // Both are being worked on: there is no room, and the third is told.
    let third = try server.client()
    #expect(try third.answer()?.status == 503)
    server.onLoop { for id in waiting { server.server.respond(to: id, HTTPResponse(text: "done")) } }
    #expect(try first.answer()?.body == "done")
    #expect(try second.answer()?.body == "done")
    // Now both are idle, and the oldest makes room.
    let fourth = try server.client()
    fourth.send(get)
    #expect(try fourth.answer()?.status == 200)
    #expect(first.rest() == "")
    #expect(server.losses == [.noRoom, .madeRoom(owed: false)])
  }

  @Test func anAnswerThatIsCutToMakeRoomIsTold() throws {
    let body = String(repeating: "x", count: 5_000_000)
    let server = try TestServer(limited(to: 2)) { $0.respond(HTTPResponse(text: body)) }
    let readers = try (0..<2).map { _ in
      let reader = try server.client()
      reader.send(get)
      // It does not read on.
      #expect(reader.readUntil(" 200 "))
      return reader
    }
    let next = try server.client()
    next.send(get)
    #expect(try next.answer()?.body == body)
    #expect(try readers[0].answer() == nil)
    #expect(server.losses == [.madeRoom(owed: true)])
    #expect(try readers[1].answer()?.body == body)
  }

  @Test func whereTooMuchWaitsForReaders_theNextIsTurnedAway() throws {
    var limits = HTTPServer.Limits.patient
    limits.waitingBytes = 6_000_000
    let server = try TestServer(limits) { $0.respond(HTTPResponse(text: String(repeating: "x", count: 5_000_000))) }
    let first = try server.client()
    first.send(get)
    #expect(first.readUntil(" 200 "))
    let second = try server.client()
    second.send(get)
    #expect(try second.answer()?.status == 503)
    #expect(server.losses == [.tooMuchWaits])
  }

  @Test func streamsMakeRoomWhereNothingElseCan() throws {
    let desk = Desk()
    let server = try TestServer(limited(to: 2), handler: desk.handle)
    let stream = try server.client()
    stream.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    #expect(stream.readUntil("\r\n\r\n"))
    let working = try server.client()
    working.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    let waiting = desk.waitForWaiting(1)
    let next = try server.client()
    next.send(get)
    #expect(try next.answer()?.status == 200)
    #expect(
      server.waitForNotice {
        if case .streamEnded(_, .madeRoom) = $0 { true } else { false }
      })
    server.onLoop { for id in waiting { server.server.respond(to: id, HTTPResponse(text: "done")) } }
    #expect(try working.answer()?.body == "done")
  }

  @Test func aStreamGoesOnUntilItIsEnded() throws {
    let desk = Desk()
    let server = try TestServer(handler: desk.handle)
    let client = try server.client()
    client.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    client.endWriting()
    let id = try #require(desk.waitForStream())
    for number in 0..<3 {
      #expect(server.onLoop { server.server.send(Array("line \(number)\n".utf8), to: id) })
      #expect(client.readUntil("line \(number)\n"))
    }
    server.onLoop { server.server.end(id) }
    #expect(client.rest().hasSuffix("\r\n\r\nline 0\nline 1\nline 2\n"))
    #expect(!server.onLoop { server.server.send([65], to: id) })
    #expect(server.notices.withLock { $0.allSatisfy(\.isEndOfConnection) })
  }

  @Test func aStreamWhoseReaderDoesNotReadIsDropped() throws {
    let desk = Desk()
    let server = try TestServer(handler: desk.handle)
    let sleeper = try server.client()
    sleeper.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    let id = try #require(desk.waitForStream())
    let line = [UInt8](repeating: 65, count: 1000)
    // What the system buffers for the reader is below a hundred MB.
    let sent = server.onLoop { (0..<100_000).first { _ in !server.server.send(line, to: id) } }
    #expect(sent != nil)
    #expect(
      server.waitForNotice {
        if case .streamEnded(id, .tooSlow) = $0 { true } else { false }
      })
    let next = try server.client()
    next.send(get)
    #expect(try next.answer()?.status == 200)
  }

  @Test func aReaderThatLeavesEndsItsStream() throws {
    let desk = Desk()
    let server = try TestServer(handler: desk.handle)
    do {
      let client = try server.client()
      client.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(client.readUntil("\r\n\r\n"))
    }
    #expect(
      server.waitForNotice {
        if case .streamEnded(_, .clientLeft) = $0 { true } else { false }
      })
    #expect(server.onLoop { server.server.connectionCount } == 0)
  }

  @Test func aStreamAskedForWithHEADHasNoBody() throws {
    let desk = Desk()
    let server = try TestServer(handler: desk.handle)
    let client = try server.client()
    client.send("HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    #expect(client.rest().hasSuffix("Connection: close\r\n\r\n"))
    #expect(desk.streams.withLock { $0.isEmpty })
    #expect(server.notices.withLock { $0.allSatisfy(\.isEndOfConnection) })
  }

  @Test func theOwnerLearnsThatAClientHasGone_whileItsRequestIsWorkedOn() throws {
    let desk = Desk()
    let server = try TestServer(handler: desk.handle)
    let stays = try server.client()
    stays.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    // One that only has nothing more to say still waits for its answer.
    stays.endWriting()
    _ = desk.waitForWaiting(1)
    do {
      let leaves = try server.client()
      leaves.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
      _ = desk.waitForWaiting(2)
    }
    let gone = try #require(desk.waiting.withLock { $0.last }).connection
    #expect(server.waitForNotice { if case .connectionEnded(gone) = $0 { true } else { false } })
    #expect(server.notices.withLock { $0.count } == 1)
  }

  @Test func aClientThatWasAllowedToBeSilent_isNotClosed_andNotDroppedForOthers() throws {
    var limits = HTTPServer.Limits.patient
    (limits.idleMilliseconds, limits.connections) = (50, 2)
    let clock = ManualClock()
    let server = try TestServer(
      limits,
      handler: { stage in
        stage.server.server.allowSilence(on: stage.id.connection, milliseconds: 60_000)
        stage.respond(HTTPResponse(text: "first"))
      }, clock: clock.now)
    let patient = try server.client()
    patient.send(get)
    #expect(try patient.answer()?.body == "first")
    // One after another is closed for being silent, and two for want of room.
    for _ in 0..<3 {
      let silent = try server.client()
      server.pass(milliseconds: 51, on: clock)
      #expect(silent.rest() == "")
    }
    #expect(server.losses == [])
    let others = try (0..<3).map { _ in try server.client() }
    server.pass(milliseconds: 51, on: clock)
    for other in others { #expect(other.rest() == "") }
    #expect(server.losses == [.madeRoom(owed: false), .madeRoom(owed: false)])
    patient.send(get)
    #expect(try patient.answer()?.body == "first")
  }

  @Test func anAnswerForAClientThatHasGoneGoesNowhere() throws {
    let desk = Desk()
    let server = try TestServer(handler: desk.handle)
    do {
      let client = try server.client()
      client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
      _ = desk.waitForWaiting(1)
    }
    #expect(eventually { server.onLoop { server.server.connectionCount == 0 } })
    let id = try #require(desk.waiting.withLock { $0.first })
    server.onLoop { server.server.respond(to: id, HTTPResponse(text: "late")) }
    #expect(!server.onLoop { server.server.respond(streaming: id, contentType: "text/plain") })
  }

  @Test func aSecondAnswerIsIgnored() throws {
    let server = try TestServer { stage in
      stage.respond(HTTPResponse(text: "one"))
      stage.respond(HTTPResponse(text: "two"))
    }
    let client = try server.client()
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    #expect(client.rest().hasSuffix("\r\n\r\none"))
  }

  @Test func closingLetsTheAnswersThatAreOwedLeave() throws {
    let desk = Desk()
    let server = try TestServer(handler: desk.handle)
    let idle = try server.client()
    idle.send(get)
    #expect(try idle.answer()?.status == 200)
    let working = try server.client()
    working.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    let waiting = desk.waitForWaiting(1)
    let closed = Outcome<Bool>()
    server.onLoop { server.server.closeWhenFlushed(milliseconds: 20_000) { closed.set(true) } }
    #expect(idle.rest() == "")
    #expect(eventually { isRefused(server.path) })
    server.onLoop { for id in waiting { server.server.respond(to: id, HTTPResponse(text: "stopping")) } }
    let answer = try #require(try working.answer())
    #expect(answer.body == "stopping")
    #expect(!answer.head.keepsAlive)
    working.endWriting()
    #expect(closed.wait())
  }

  @Test func closingDoesNotWaitForEver() throws {
    let desk = Desk()
    let server = try TestServer(handler: desk.handle)
    let working = try server.client()
    working.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    _ = desk.waitForWaiting(1)
    let closed = Outcome<Bool>()
    server.onLoop { server.server.closeWhenFlushed(milliseconds: 10) { closed.set(true) } }
    #expect(closed.wait())
    #expect(working.rest() == "")
  }

  @Test func aClientThatIsNotAdmittedIsTold() throws {
    let server = try TestServer(admit: { _ in .refused("not you") })
    let client = try server.client()
    client.send(get)
    let answer = try #require(try client.answer())
    #expect(answer.status == 403)
    #expect(answer.body.contains("not you"))
    #expect(client.rest() == "")
  }
}

import EventCore
import LinuxIO
import Synchronization
import Testing

@testable import Admin

/// A clock that moves on by a step each time that it is looked at: all that is done takes as long as the step says.
private final class SteppingClock: Sendable {
  private let nanoseconds = Mutex<UInt64>(1_000_000_000)
  let step: UInt64

  init(step: UInt64) { self.step = step }

  @Sendable func now() -> Instant {
    nanoseconds.withLock { time in
      time += step
      return Instant(nanoseconds: time)
    }
  }
}

@Suite struct PaceTests {
  @Test(arguments: [10_000, 300_000, 2_000_000, 50_000_000] as [UInt64])
  func workTakesAFifthOfTheTime_andAMillisecondMore(_ piece: UInt64) {
    var pace = Pace()
    let begun: UInt64 = 7_000_000_000
    var (now, worked) = (begun, UInt64(0))
    for _ in 0..<2000 {
      let rest = pace.rest(at: Instant(nanoseconds: now))
      if rest > 0 {
        now += UInt64(rest) * 1_000_000
        continue
      }
      pace.worked(from: Instant(nanoseconds: now), to: Instant(nanoseconds: now + piece))
      now += piece
      worked += piece
      #expect(worked <= (now - begun) / 5 + 1_000_000 + piece)
    }
    // It is not made to rest for longer than that either.
    #expect(worked >= (now - begun) / 5 - piece - 1_000_000)
  }

  @Test func whatWasNotWorkedIsNotSavedUp() {
    var pace = Pace()
    pace.worked(from: Instant(nanoseconds: 3_600_000_000_000), to: Instant(nanoseconds: 3_600_002_000_000))
    #expect(pace.rest(at: Instant(nanoseconds: 3_600_002_000_000)) == 3)
  }

  @Test func aRestHasAnEnd() {
    var pace = Pace()
    let now = Instant(nanoseconds: 1 << 62)
    pace.worked(from: Instant(nanoseconds: 0), to: now)
    #expect(pace.rest(at: now) == 2000)
  }
}

@Suite(.serialized) struct TurnsTests {
  private func limits() -> HTTPServer.Limits {
    var limits = HTTPServer.Limits.patient
    limits.takesTurns = true
    return limits
  }

  private func whileNothingIsServed(by server: TestServer, _ body: () throws -> Void) rethrows {
    let begun = Outcome<Bool>()
    let done = Outcome<Bool>()
    server.reactor.post {
      begun.set(true)
      _ = done.wait()
    }
    defer { done.set(true) }
    _ = begun.wait()
    try body()
  }

  /// Requests for all of these paths, in one piece.
  private func requests(_ paths: some Sequence<String>) -> String {
    paths.map { "GET \($0) HTTP/1.1\r\nHost: x\r\n\r\n" }.joined()
  }

  @Test func pipelinedRequestsTakeAFifthOfTheTime() throws {
    let clock = SteppingClock(step: 200_000)
    let handled = Mutex(0)
    let server = try TestServer(
      limits(),
      handler: { stage in
        handled.withLock { $0 += 1 }
        stage.respond(HTTPResponse(status: 404, code: "not-found", message: "there is no such thing"))
      }, clock: clock.now)
    let client = try server.client()
    let begun = clock.now()
    client.send(requests(repeatElement("/nope", count: 300)))
    for _ in 0..<300 { #expect(try client.answer()?.status == 404) }
    // Each took a step at the least.
    let time = server.onLoop { clock.now().nanoseconds } - begun.nanoseconds
    #expect(UInt64(handled.withLock { $0 }) * clock.step <= time / 5 + 1_000_000 + clock.step)
  }

  @Test func whoeverAsksMuchHasOneTurnAfterTheOther_andOthersHaveTheirsInBetween() throws {
    let handled = Mutex<[String]>([])
    let server = try TestServer(limits()) { stage in
      handled.withLock { $0.append(stage.request.path) }
      stage.respond(echo(stage.request))
    }
    let greedy = try server.client()
    let modest = try server.client()
    // To accept them takes turns as well, which are over then.
    for client in [greedy, modest] {
      client.send(requests(["/first"]))
      #expect(try client.answer()?.body == "GET /first ")
    }
    handled.withLock { $0 = [] }
    whileNothingIsServed(by: server) {
      greedy.send(requests((0..<200).map { "/\($0)" }))
      modest.send(requests(["/modest"]))
    }
    for number in 0..<200 { #expect(try greedy.answer()?.body == "GET /\(number) ") }
    #expect(try modest.answer()?.body == "GET /modest ")
    let place = try #require(handled.withLock { $0.firstIndex(of: "/modest") })
    #expect(place <= 2)
  }

  @Test func answersThatComeLater_andLargeOnes_andStreams_areServedInTurns() throws {
    let body = String(repeating: "0123456789", count: 100_000)
    let server = try TestServer(limits()) { stage in
      let (server, id) = (stage.server, stage.id)
      switch stage.request.path {
      case "/later": server.reactor.post { server.server.respond(to: id, HTTPResponse(text: "late")) }
      case "/large": stage.respond(HTTPResponse(text: body))
      default:
        #expect(server.server.respond(streaming: id, contentType: "text/plain"))
        for number in 0..<100 { #expect(server.server.send(Array("line \(number)\n".utf8), to: id)) }
        server.server.end(id)
      }
    }
    let client = try server.client()
    client.send(requests(["/later", "/large", "/later", "/stream"]))
    #expect(try client.answer()?.body == "late")
    #expect(try client.answer()?.body == body)
    #expect(try client.answer()?.body == "late")
    #expect(client.rest().hasSuffix((0..<100).map { "line \($0)\n" }.joined()))
  }

  @Test func aClientThatLeavesBeforeItsTurnIsGone() throws {
    let server = try TestServer(limits())
    try whileNothingIsServed(by: server) {
      for _ in 0..<20 { try server.client().send("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /") }
    }
    #expect(eventually { server.notices.withLock { $0.count(where: \.isEndOfConnection) } == 20 })
    #expect(server.onLoop { server.server.connectionCount } == 0)
  }

  /// What has come in time is looked at late, as nothing may be done for clients at present.
  @Test(arguments: [("12345", "200 OK"), ("12", "408 Request Timeout")])
  func aTurnThatComesLateIsNotTheClientsFault_andWhatIsMissingThenIs(_ piece: String, _ status: String) throws {
    let clock = ManualClock()
    var limits = limits()
    limits.requestMilliseconds = 500
    let server = try TestServer(limits, clock: clock.now)
    let client = try server.client()
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    #expect(client.readUntil("100 Continue\r\n\r\n"))
    #expect(server.onLoop { server.server.count(nanoseconds: 60_000_000_000) } == 2000)
    client.send(piece)
    server.pass(milliseconds: 1000, on: clock)
    // The turn is due then, and the next, which an answer after its deadline takes.
    server.pass(milliseconds: 1500, on: clock)
    #expect(client.readUntil("HTTP/1.1 \(status)\r\n"))
  }

  @Test func whatComesAfterTheLastAnswerIsTakenAndThrownAway() throws {
    let server = try TestServer(limits())
    let client = try server.client()
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    #expect(client.send(String(repeating: "x", count: 5_000_000)))
    #expect(try client.answer()?.status == 200)
    client.endWriting()
    #expect(client.rest() == "")
    #expect(server.waitForNotice(\.isEndOfConnection))
  }

  @Test func whatIsNoRequestIsRefusedInATurn_andItsConnectionEnds() throws {
    let server = try TestServer(limits())
    let client = try server.client()
    client.send(requests(["/a"]) + "nonsense\r\n\r\n" + requests(["/b"]))
    #expect(try client.answer()?.status == 200)
    #expect(try client.answer()?.status == 400)
    #expect(client.rest() == "")
  }
}

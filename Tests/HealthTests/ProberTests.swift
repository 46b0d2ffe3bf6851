import Health
import LinuxIO
import Testing

let plainAnswer = "HTTP/1.1 200 OK\r\n\r\n"
let badAnswer = "HTTP/1.1 500 No\r\n\r\n"
let plainRequest = ProbeSettings.Kind.http(HTTPExpectation(path: "/"))

func target(
  _ server: ScriptedServer, id: Int = 1, _ kind: ProbeSettings.Kind = plainRequest, interval: Int64 = 1000,
  timeout: Int64 = 500, rise: Int = 2, fall: Int = 3
) -> ProbeTarget<Int> {
  ProbeTarget(
    id: id, name: "t\(id)", addresses: [server.address],
    settings: ProbeSettings(kind, interval: interval, timeout: timeout, rise: rise, fall: fall))
}

/// A stage on which time stands still until the test lets it pass, so that a probe happens when it is due and at no other
/// time.
func withStillStage(_ body: (Stage) throws -> Void) throws {
  let stage = try Stage(clock: ManualClock())
  defer { stage.end() }
  try body(stage)
}

extension Stage {
  func requests(_ server: ScriptedServer) -> Int { onLoop { _ in server.requests.count } }

  func answering(_ answer: String, _ server: ScriptedServer) {
    onLoop { _ in server.steps = [.request, .send(answer), .finish] }
  }
}

@Suite struct ProberTests {
  /// Lets an interval pass, and waits for the probe that it brings.
  private func nextProbe(_ stage: Stage, _ server: ScriptedServer, after milliseconds: UInt64 = 1000) {
    let before = stage.requests(server)
    let time = stage.health()?.checkedAt
    stage.advance(milliseconds: milliseconds)
    #expect(eventually { stage.requests(server) == before + 1 && stage.health()?.checkedAt != time })
  }

  // MARK: Schedule

  @Test func probes_followEachOther_anIntervalApart() throws {
    try withStillStage { stage in
      let server = try stage.server(.request, .send(plainAnswer), .finish)
      for (jitter, interval) in [(-100, 900), (100, 1100)] as [(Int64, UInt64)] {
        stage.onLoop { stage in
          stage.random = { range in
            range == -100...100 ? jitter : 0
          }
        }
        stage.watch()
        let before = stage.requests(server)
        stage.watch(target(server))
        #expect(eventually { stage.health()?.isHealthy == true })
        #expect(stage.requests(server) == before + 1, "the first one does not wait")
        stage.advance(milliseconds: interval - 1)
        #expect(stage.requests(server) == before + 1)
        nextProbe(stage, server, after: 1)
        nextProbe(stage, server, after: interval)
      }
    }
  }

  @Test func verdict_changesWithRiseAndFall_andIsToldOnce() throws {
    try withStillStage { stage in
      let server = try stage.server(.request, .send(plainAnswer), .finish)
      stage.watch(target(server))
      #expect(eventually { stage.health()?.isHealthy == true })
      let since = stage.health()?.since
      stage.answering(badAnswer, server)
      for against in 1...2 {
        nextProbe(stage, server)
        #expect(stage.health()?.isHealthy == true && stage.health()?.against == against)
        #expect(stage.health()?.result?.text == "expected status 200-399, got 500")
        #expect(stage.health()?.since == since)
      }
      nextProbe(stage, server)
      #expect(stage.health()?.isHealthy == false && stage.health()?.against == 0)
      nextProbe(stage, server)
      stage.answering(plainAnswer, server)
      nextProbe(stage, server)
      #expect(stage.health()?.isHealthy == false && stage.health()?.against == 1)
      nextProbe(stage, server)
      #expect(stage.health()?.isHealthy == true)
      #expect(stage.changes.map(\.isHealthy) == [true, false, true])
      #expect(stage.changes.map(\.isFirst) == [true, false, false])
      #expect(stage.changes.map(\.result.text) == ["200", "expected status 200-399, got 500", "200"])
      #expect(stage.changes.allSatisfy { $0.id == 1 && $0.name == "t1" })
    }
  }

  @Test func probeThatTakesLongerThanTheInterval_isTheOnlyOne() throws {
    try withStillStage { stage in
      let server = try stage.server(.request)
      stage.watch(target(server, interval: 100, timeout: 500))
      #expect(eventually { stage.requests(server) == 1 })
      for _ in 0..<4 { stage.advance(milliseconds: 100) }
      #expect(stage.requests(server) == 1)
      stage.advance(milliseconds: 100)
      #expect(stage.health()?.result?.finding == .noAnswer(500))
      stage.advance(milliseconds: 20)
      #expect(eventually { stage.requests(server) == 2 })
    }
  }

  @Test func noMoreThanALimit_areUnderWay() throws {
    try withStillStage { stage in
      let server = try stage.server()
      let most = Prober<Int>.mostUnderWay
      let targets = (0..<most + 44).map { target(server, id: $0) }
      stage.onLoop { $0.prober.watch(targets) }
      func accepted() -> Int { stage.onLoop { _ in server.accepted } }
      stage.beginAll()
      #expect(eventually { accepted() == most })
      stage.beginAll()
      #expect(accepted() == most)
      stage.advance(milliseconds: 500)
      #expect(eventually { accepted() == most + 44 })
      #expect(stage.onLoop { stage in (0..<most).allSatisfy { stage.prober.health(of: $0)?.isHealthy == false } })
    }
  }

  // MARK: Reload

  @Test func newSet_keepsWhatIsKnown() throws {
    try withStillStage { stage in
      let server = try stage.server(.request, .send(plainAnswer), .finish)
      stage.watch(target(server), target(server, id: 2))
      #expect(eventually { stage.changes.count == 2 })
      stage.answering(badAnswer, server)
      stage.advance(milliseconds: 1000)
      #expect(eventually { stage.health(1)?.against == 1 && stage.health(2)?.against == 1 })
      stage.watch(target(server, id: 3), target(server), target(server, id: 2, fall: 2))
      // One is as before and waits for its turn, two is probed at once and falls by its new number, three begins.
      #expect(eventually { stage.health(2)?.isHealthy == false && stage.health(3)?.isHealthy == false })
      #expect(stage.health(1)?.isHealthy == true && stage.health(1)?.against == 1)
      #expect(stage.changes.map(\.isFirst).filter { $0 }.count == 3)
      stage.watch(target(server, id: 3))
      #expect(stage.health(1) == nil && stage.health(2) == nil && stage.health(3)?.isHealthy == false)
      let before = stage.requests(server)
      stage.advance(milliseconds: 1000)
      #expect(eventually { stage.requests(server) == before + 1 })
      #expect(stage.requests(server) == before + 1, "who is gone is not probed")
    }
  }

  @Test func targetThatGoes_takesItsProbeWithIt() throws {
    try withStillStage { stage in
      let server = try stage.server(.request)
      stage.watch(target(server))
      #expect(eventually { stage.requests(server) == 1 })
      stage.ask(1)
      #expect(eventually { stage.requests(server) == 2 })
      stage.watch()
      let resets = Array(repeating: Transfer.failed(.connectionReset), count: 2)
      #expect(eventually { stage.onLoop { _ in server.ends } == resets })
      #expect(stage.answers == [[1: .gone]])
      stage.advance(milliseconds: 10_000)
      #expect(stage.requests(server) == 2 && stage.changes == [])
    }
  }

  @Test func targetThatIsOff_isUnknown() throws {
    try withStillStage { stage in
      let server = try stage.server(.request, .send(plainAnswer), .finish)
      stage.watch(target(server, .off))
      stage.advance(milliseconds: 5000)
      #expect(stage.requests(server) == 0 && stage.health()?.isHealthy == nil)
      stage.watch(target(server))
      #expect(eventually { stage.health()?.isHealthy == true })
      stage.watch(target(server, .off))
      #expect(stage.health()?.isHealthy == nil && stage.health()?.result == nil && stage.health()?.since == nil)
      stage.onLoop { $0.prober.failedForTraffic(1, .connectionRefused) }
      stage.advance(milliseconds: 5000)
      #expect(stage.requests(server) == 1 && stage.health()?.isHealthy == nil)
      #expect(stage.changes.map(\.isHealthy) == [true])
    }
  }

  // MARK: Real traffic

  private func trafficFails(_ stage: Stage, times: Int = 1) {
    stage.onLoop { stage in
      for _ in 0..<times { stage.prober.failedForTraffic(1, .connectionRefused) }
    }
  }

  @Test func failedTraffic_isConfirmedAtShortNotice() throws {
    try withStillStage { stage in
      let folder = TemporaryFolder()
      let server = try stage.server(.request, .send(plainAnswer), .finish, at: folder.socket)
      stage.watch(target(server, fall: 4))
      #expect(eventually { stage.health()?.isHealthy == true })
      stage.onLoop { _ in server.close() }
      trafficFails(stage)
      // One for the traffic, one for the probe that follows at once; then one every 20 ms.
      #expect(eventually { stage.health()?.against == 2 })
      #expect(stage.health()?.result?.finding == .failed(.noSuchFile))
      stage.advance(milliseconds: 19)
      #expect(stage.health()?.against == 2)
      stage.advance(milliseconds: 1)
      #expect(eventually { stage.health()?.against == 3 })
      #expect(stage.changes.count == 1)
      stage.advance(milliseconds: 20)
      #expect(eventually { stage.health()?.isHealthy == false })
      #expect(stage.changes.last?.result.finding == .failed(.noSuchFile))
      // Then the schedule again.
      let time = stage.health()?.checkedAt
      stage.advance(milliseconds: 999)
      #expect(stage.health()?.checkedAt == time)
      stage.advance(milliseconds: 1)
      #expect(eventually { stage.health()?.checkedAt != time })
    }
  }

  @Test func probeThatPasses_endsTheDoubt() throws {
    try withStillStage { stage in
      let server = try stage.server(.request, .send(plainAnswer), .finish)
      stage.watch(target(server))
      #expect(eventually { stage.health()?.isHealthy == true })
      trafficFails(stage)
      #expect(eventually { stage.requests(server) == 2 && stage.health()?.against == 0 })
      stage.advance(milliseconds: 999)
      #expect(stage.requests(server) == 2)
      nextProbe(stage, server, after: 1)
      #expect(stage.changes.count == 1)
    }
  }

  @Test func probeThatWasUnderWay_doesNotEndTheDoubt() throws {
    try withStillStage { stage in
      let server = try stage.server(.request, .send(plainAnswer), .finish)
      stage.watch(target(server))
      #expect(eventually { stage.health()?.isHealthy == true })
      // The last byte comes a millisecond later.
      stage.onLoop { _ in server.steps = [.request, .send("HTTP/1.1 200 OK\r\n"), .trickle("\r\n"), .finish] }
      stage.advance(milliseconds: 1000)
      #expect(eventually { stage.requests(server) == 2 })
      trafficFails(stage)
      #expect(stage.health()?.against == 1)
      stage.answering(plainAnswer, server)
      stage.advance(milliseconds: 1)
      #expect(eventually { stage.health()?.against == 0 })
      #expect(stage.requests(server) == 2)
      stage.advance(milliseconds: 20)
      #expect(eventually { stage.requests(server) == 3 })
    }
  }

  @Test func stormOfFailures_countsOnceInAWhile() throws {
    try withStillStage { stage in
      let server = try stage.server(.request, .send(plainAnswer), .finish)
      stage.watch(target(server))
      #expect(eventually { stage.health()?.isHealthy == true })
      stage.onLoop { _ in server.steps = [.request] }
      trafficFails(stage, times: 1000)
      #expect(stage.health()?.against == 1 && stage.health()?.isHealthy == true)
      #expect(stage.health()?.result == ProbeResult(finding: .failed(.connectionRefused), latencyMicroseconds: nil))
      #expect(stage.health()?.latencyMicroseconds != nil, "that of the last probe")
      stage.advance(milliseconds: 20)
      trafficFails(stage, times: 1000)
      #expect(stage.health()?.against == 2)
      stage.advance(milliseconds: 20)
      trafficFails(stage, times: 1000)
      #expect(stage.health()?.isHealthy == false)
      #expect(stage.changes.last?.result.finding == .failed(.connectionRefused))
      #expect(eventually { stage.requests(server) == 2 }, "one probe, which is still under way")
      #expect(stage.requests(server) == 2)
    }
  }

  @Test func traffic_isNotTheFirstResult() throws {
    try withStillStage { stage in
      let server = try stage.server(.request)
      stage.watch(target(server))
      trafficFails(stage)
      #expect(stage.health()?.isHealthy == nil && stage.health()?.result == nil)
    }
  }

  @Test func traffic_keepsAnUnhealthyTargetDown() throws {
    try withStillStage { stage in
      let server = try stage.server(.request, .send(badAnswer), .finish)
      stage.watch(target(server))
      #expect(eventually { stage.health()?.isHealthy == false })
      stage.answering(plainAnswer, server)
      nextProbe(stage, server)
      #expect(stage.health()?.against == 1)
      trafficFails(stage)
      #expect(stage.health()?.against == 0)
      stage.advance(milliseconds: 100)
      #expect(stage.requests(server) == 2, "nothing is in doubt")
    }
  }
}

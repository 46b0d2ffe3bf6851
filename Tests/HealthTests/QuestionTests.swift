import Health
import LinuxIO
import Testing

/// What the gate of a switch asks.
@Suite struct QuestionTests {
  @Test func question_isAnsweredByFreshProbes() throws {
    try withStillStage { stage in
      let server = try stage.server(.request, .send(plainAnswer), .finish)
      stage.watch(target(server), target(server, id: 2), target(server, id: 3, .off))
      #expect(eventually { stage.changes.count == 2 })
      stage.answering(badAnswer, server)
      stage.ask(1, 3, 4, 1)
      #expect(eventually { stage.answers.count == 1 })
      let answer = try #require(stage.answers.first)
      #expect(answer.count == 3 && answer[3] == .off && answer[4] == .gone)
      guard case .found(let result)? = answer[1] else {
        Issue.record("\(answer)")
        return
      }
      #expect(result.finding == .unexpectedStatus(500, expected: [200...399]))
      #expect(stage.health(1)?.against == 1, "it counts as any other")
      #expect(stage.health(2)?.against == 0)
      #expect(stage.requests(server) == 3)
      // The schedule goes on from there.
      stage.advance(milliseconds: 999)
      #expect(stage.requests(server) == 3)
    }
  }

  @Test func question_aboutNothing_isAnsweredAtOnce() throws {
    try withStillStage { stage in
      stage.ask()
      stage.ask(7)
      #expect(stage.answers == [[:], [7: .gone]])
    }
  }

  @Test func question_givesUpAProbeOnSchedule_andSharesOneThatWasAskedFor() throws {
    try withStillStage { stage in
      let server = try stage.server(.request)
      stage.watch(target(server))
      #expect(eventually { stage.requests(server) == 1 })
      stage.ask(1)
      #expect(eventually { stage.requests(server) == 2 })
      #expect(eventually { stage.onLoop { _ in server.ends } == [.failed(.connectionReset)] })
      stage.ask(1)
      stage.advance(milliseconds: 499)
      #expect(stage.answers == [] && stage.health()?.result == nil)
      stage.advance(milliseconds: 1)
      #expect(stage.answers.count == 2)
      for answer in stage.answers {
        guard case .found(let result)? = answer[1] else {
          Issue.record("\(answer)")
          return
        }
        #expect(result.finding == .noAnswer(500))
      }
      #expect(stage.requests(server) == 2)
      #expect(stage.changes.map(\.isHealthy) == [false])
    }
  }

  @Test func question_isAnsweredInTime_howeverManyAreSilent() throws {
    try withStillStage { stage in
      let server = try stage.server()
      let most = Prober<Int>.mostUnderWay
      let targets = (0..<most + 1).map { target(server, id: $0) }
      stage.onLoop { $0.prober.watch(targets) }
      stage.onLoop { stage in
        stage.prober.probe(targets.map(\.id)) { [weak stage] in stage?.tell($0) }
      }
      stage.beginAll()
      #expect(stage.answers == [])
      // Some were begun after others; all have 500 ms, and the question a little more.
      stage.advance(milliseconds: 2000)
      #expect(stage.answers.count == 1)
      let answers = try #require(stage.answers.first).values
      #expect(answers.count == most + 1)
      #expect(answers.filter { $0 == .notInTime }.count >= 1)
    }
  }

  @Test func question_isAnswered_whenItsTargetIsTurnedOff() throws {
    try withStillStage { stage in
      let server = try stage.server(.request)
      stage.watch(target(server))
      stage.ask(1)
      #expect(eventually { stage.requests(server) > 0 })
      stage.watch(target(server, .off))
      #expect(stage.answers == [[1: .off]])
    }
  }

  @Test func observers_mayCallTheProber() throws {
    try withStillStage { stage in
      let server = try stage.server(.request, .send(plainAnswer), .finish)
      stage.watch(target(server))
      stage.onLoop { stage in
        stage.prober.probe([1]) { [weak stage] first in
          stage?.prober.probe([1]) { [weak stage] in stage?.tell($0) }
        }
      }
      #expect(eventually { stage.answers.count == 1 })
      stage.onLoop { stage in
        stage.prober.probe([1]) { [weak stage] answer in
          stage?.prober.stop()
          stage?.tell(answer)
        }
      }
      #expect(eventually { stage.answers.count == 2 })
      #expect(stage.health() == nil)
    }
  }
}

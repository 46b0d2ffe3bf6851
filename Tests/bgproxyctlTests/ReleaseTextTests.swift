import Admin
import Arguments
import Switching
import Testing

@testable import bgproxyctl

@Suite struct ReleaseTextTests {
  @Test func theStatusShowsABakeWithItsSignals() {
    var report = status(last: receipt(reason: "v2") { $0.forced = true }, bake: bakeUnderWay)
    let text = StatusText(status: report, paint: plain, now: now).text()
    #expect(
      text.contains("phase    baking green: 1m left; worst: serverErrors 1.2 % of 340 (limit 5 %)\n"))
    #expect(text.contains("switch   blue → green by uid 0 pid 99, forced: v2\n"))
    #expect(
      text.contains(
        """

        SIGNAL        VALUE  LIMIT  SAMPLES  CLIENTS
        health            0      0
        serverErrors  1.2 %    5 %      340        3

        COLOR
        """))
    report.phase = .paused
    let paused = StatusText(status: report, paint: plain, now: now).text()
    #expect(paused.contains("phase    paused\nrelease  baking green: 1m left"))
  }

  @Test func theStatusShowsARampWithItsShare() {
    let text = StatusText(status: ramping(), paint: plain, now: now).text()
    #expect(text.contains("phase    ramping green: step 1 of 2, 10 % of the clients, 45s left;"))
    #expect(text.contains("\ngreen  idle    not known yet    10%"))
    var beginning = ramping()
    beginning.ramp = nil
    #expect(StatusText(status: beginning, paint: plain, now: now).text().contains("phase    ramping green\n"))
  }

  @Test func theStatusAndTheHistoryShowWhyAReleaseWasTakenBack() {
    let text = StatusText(status: status(.blue, generation: 3, last: takenBack()), paint: plain, now: now).text()
    #expect(text.contains("switch   green → blue by bgproxy: v2\n         cause serverErrors 12.5 % (limit 5 %)\n"))
    let history = HistoryText.text([receipt { $0.forced = true }, takenBack()], plain)
    #expect(history.contains("  forced\n"))
    #expect(history.contains("  automatic, serverErrors 12.5 % (limit 5 %), v2\n"))
  }

  @Test func theBarIsTheShareOfARampAndTheTimeOfABake() {
    let ramp = TrialText(status: ramping(), now: now)?.bar(plain)
    #expect(
      ramp
        == "ramping green ━━────────────────────── step 1 of 2, 10 % of the clients, 45s left; nothing has been seen yet"
    )
    let bake = TrialText(status: status(bake: bakeUnderWay), now: now)?.bar(plain)
    #expect(
      bake == "baking green ━━━━━━━━━━━━──────────── 1m left; worst: serverErrors 1.2 % of 340 (limit 5 %)")
    let late = TrialText(status: status(bake: bakeUnderWay), now: now + 600)?.bar(plain)
    #expect(late?.hasPrefix("baking green ━━━━━━━━━━━━━━━━━━━━━━━━ at its end;") == true)
    #expect(TrialText(status: status(), now: now) == nil)
  }

  @Test func theWorstSignalIsTheOneNearestToItsLimit() {
    func signal(_ name: String, _ value: Double, _ limit: Double, _ samples: UInt64 = 10) -> SignalReport {
      SignalReport(signal: name, value: value, limit: limit, samples: samples, clients: nil)
    }
    #expect(SignalText.worst([]) == "nothing has been seen yet")
    #expect(SignalText.worst([signal("health", 0, 0, 0), signal("resets", 0, 0.05)]) == "nothing has gone wrong")
    #expect(
      SignalText.worst([signal("resets", 0.04, 0.05), signal("connectFailures", 0.009, 0.01)])
        == "worst: connectFailures 0.9 % of 10 (limit 1 %)")
    #expect(
      SignalText.worst([signal("resets", 1, 0.05), signal("health", 2, 0)])
        == "worst: 2 listeners have no healthy target")
    #expect(
      SignalText.cause(Receipt.Cause(signal: .health, value: 1, limit: 0))
        == "health: 1 listener has no healthy target")
  }

  @Test(
    arguments: [
      (0, "0 %"), (-1, "0 %"), (.nan, "0 %"), (0.000_01, "<0.01 %"), (0.0001, "0.01 %"), (0.0025, "0.25 %"),
      (0.05, "5 %"), (0.105, "10.5 %"), (1, "100 %"), (1e300, "100000000 %"),
    ] as [(Double, String)])
  func shares(_ share: Double, _ text: String) { #expect(Units.percent(share) == text) }

  // MARK: Health

  private func target(_ isHealthy: Bool?, against: Int = 0, result: String?, _ address: String) -> TargetHealthReport {
    TargetHealthReport(
      listener: "web", color: .green, address: address, probe: "http", healthy: isHealthy,
      since: isHealthy == nil ? nil : "2026-01-31T10:00:00.000Z",
      checkedAt: result == nil ? nil : "2026-01-31T10:02:03.500Z", result: result,
      latencyMicroseconds: result == nil ? nil : 1200, against: against)
  }

  @Test func healthIsATableInWhichTheUnhealthyStandOut() throws {
    let targets = [
      target(true, result: "200", "10.0.0.2:80"), target(true, against: 2, result: "503", "10.0.0.3:80"),
      target(false, result: "connection refused\n", "10.0.0.4:80"), target(nil, result: nil, "app:80"),
    ]
    let stage = Stage()
    try stage.channel.answer("/v1/health", HealthReport(health: targets))
    let reply = try runHealth(stage.context("health"))
    #expect(reply.exitCode == .done)
    #expect(
      reply.text == #"""
        LISTENER  COLOR  TARGET       PROBE  HEALTH                   FOR  LATENCY  CHECKED  LAST RESULT
        web       green  10.0.0.2:80  http   healthy                2m 5s   1.2 ms   1s ago  200
        web       green  10.0.0.3:80  http   healthy, 2 against it  2m 5s   1.2 ms   1s ago  503
        web       green  10.0.0.4:80  http   unhealthy              2m 5s   1.2 ms   1s ago  connection refused\n
        web       green  app:80       http   not known yet

        1 of 4 targets is unhealthy

        """#)
    #expect(try AdminJSON.decode(HealthReport.self, from: reply.json).health == targets)
    let onTerminal = HealthText.text(targets, painted, now: now)
    #expect(onTerminal.contains("\u{1B}[31m10.0.0.4:80\u{1B}[0m") && onTerminal.contains("\u{1B}[31munhealthy"))
    #expect(!HealthText.text([targets[0]], plain, now: now).contains("unhealthy"))
    #expect(HealthText.text([], plain, now: now) == "no targets\n")
  }
}

@Suite struct ContradictionsTests {
  private func complaint(_ arguments: String...) -> String? {
    do throws(UsageError) {
      try refuseContradictions(try Command.program.parse(arguments))
      return nil
    } catch {
      return error.message
    }
  }

  @Test func combinationsThatMakeNoSenseAreRefused() {
    #expect(
      complaint("switch", "green", "--ramp", "10%:1m", "--after", "x")
        == "--after with --ramp needs --wait: the switch comes at the end of the ramp")
    #expect(complaint("switch", "green", "--ramp", "10%:1m", "--after", "x", "--wait") == nil)
    #expect(
      complaint("switch", "green", "--ramp", "10%:1m", "--handover") == "--ramp and --handover exclude each other")
    #expect(complaint("switch", "green", "--during", "x") == "--during needs --handover")
    #expect(
      complaint("switch", "green", "--during", "x", "--handover", "--dry-run")
        == "--during and --dry-run exclude each other")
    #expect(complaint("switch", "green", "--force", "--before", "x", "--before", "y", "--bake", "0s") == nil)
    #expect(complaint("rollback", "--force") == nil)
    #expect(complaint("drain", "--extend", "1s", "--now") == "--extend and --now exclude each other")
    #expect(complaint("status", "--timeout", "0s") == "--timeout must be more than 0")
    #expect(
      complaint("switch", "green", "--bake", "25h")
        == #"--bake: expected a duration up to 24h such as 60s, found "25h""#)
  }

  @Test func aRampIsRead() throws {
    #expect(try rampSteps("10%:1m,50%:90s") == [RampStep(percent: 10, time: "1m"), RampStep(percent: 50, time: "90s")])
  }

  @Test(arguments: [
    ("10:1m", "step 1: '10:1m' is no share and time such as 10%:1m"),
    ("10%:1m,50%", "step 2: '50%' is no share and time such as 10%:1m"),
    ("10%:1m,", "step 2: '' is no share and time such as 10%:1m"),
    ("+10%:1m", "step 1: '+10%:1m' is no share and time such as 10%:1m"),
    ("1.5%:1m", "step 1: '1.5%:1m' is no share and time such as 10%:1m"),
    ("99999999999999999999%:1m", "step 1: '99999999999999999999%:1m' is no share and time such as 10%:1m"),
    ("10%:soon", #"step 1: time: expected a duration from 100ms to 24h, found "soon""#),
    ("10%:1m:2m", #"step 1: time: expected a duration from 100ms to 24h, found "1m:2m""#),
    ("50%:1m,10%:1m", "step 2: percent: expected more than the 50 of the step before, found 10"),
    ("100%:1m", "step 1: percent: expected a whole number from 1 to 99, found 100"),
  ])
  func whatIsNoRampIsRefusedWithThePartThatIsWrong(_ text: String, _ problem: String) {
    #expect(throws: RampProblem(description: problem)) { try rampSteps(text) }
    #expect(complaint("switch", "green", "--ramp", text) == "--ramp: \(problem)")
    let stage = Stage()
    let failure = #expect(throws: Failure.self) {
      try runSwitch(to: .green, stage.context("switch", "green", "--ramp", text))
    }
    #expect(failure == Failure(exitCode: .usage, message: "--ramp: \(problem)"))
    #expect(stage.channel.asked.isEmpty)
  }
}

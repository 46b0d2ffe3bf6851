import Admin
import Switching
import Testing

@testable import bgproxyctl

@Suite struct ReleaseTests {
  private let stage = Stage()
  private var channel: ScriptedChannel { stage.channel }

  private func run(_ options: String...) throws -> Reply {
    try runSwitch(to: .green, stage.context(list: ["switch", "green"] + options))
  }

  /// Blue is active, the switch is answered so, and then the status is what follows.
  private func script(_ answer: StatusReport, then following: [StatusReport]) throws {
    try channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
    try channel.answer("/v1/switch", answer)
    for status in following { try channel.answer("/v1/status", status) }
  }

  private func requests() throws -> [SwitchRequest] { try channel.sent("/v1/switch", SwitchRequest.self) }

  // MARK: What is asked for

  @Test func bakeRampAndForceArePassedOn() throws {
    try script(status(), then: [])
    _ = try run("--bake", "0s", "--force")
    try channel.answer("/v1/switch", ramping())
    _ = try run("--ramp", "10%:1m,50%:90s", "--bake", "60s")
    var plain = SwitchRequest(to: .green)
    (plain.bake, plain.force) = ("0s", true)
    var ramp = SwitchRequest(to: .green)
    ramp.bake = "60s"
    ramp.ramp = [RampStep(percent: 10, time: "1m"), RampStep(percent: 50, time: "90s")]
    #expect(try requests() == [plain, ramp])
  }

  @Test func aForcedRollbackSaysSo() throws {
    try channel.answer("/v1/status", status())
    try channel.answer(
      "/v1/rollback", status(.blue, generation: 3, last: receipt(3, from: .green) { $0.forced = true }))
    let reply = try runRollback(stage.context("rollback", "--force"))
    #expect(reply.text.hasPrefix("rolled back green → blue (generation 3, forced)\n"))
    #expect(try channel.sent("/v1/rollback", RollbackRequest.self) == [RollbackRequest(force: true)])
  }

  // MARK: Without a wait

  @Test func aBakeIsToldWithTheReceipt() throws {
    try script(status(bake: bakeUnderWay), then: [])
    let reply = try run("--bake", "2m")
    #expect(reply.exitCode == .done && reply.text.hasSuffix("  bake      under way, 1m left\n"))
    #expect(channel.asked.count == 3, "nobody waits")
  }

  @Test func aRampIsToldAsItHasBegun() throws {
    try script(ramping(), then: [])
    let reply = try run("--ramp", "10%:1m,50%:1m")
    #expect(reply.exitCode == .done)
    #expect(reply.text == "ramping green: step 1 of 2, 10 % of the clients, 45s left; nothing has been seen yet\n")
  }

  // MARK: Bake

  @Test func aBakeThatPassesIsFollowedByItsDrain() throws {
    let baking = status(bake: bakeUnderWay)
    let open = receipt { ($0.open, $0.remaining) = (40, 40) }
    try script(
      baking,
      then: Array(repeating: baking, count: 15) + [
        status(last: open, drain: drainUnderWay), status(last: receipt(settled: true) { ($0.open, $0.cut) = (40, 40) }),
      ])
    let reply = try run("--wait")
    #expect(reply.exitCode == .closedSessions)
    #expect(reply.text.contains("40 cut\n  bake      passed\n"))
    #expect(
      stage.progress == """
        baking green: 1m left; worst: serverErrors 1.2 % of 340 (limit 5 %)
        baking green: 59s left; worst: serverErrors 1.2 % of 340 (limit 5 %)
        draining blue: 3 of 40 sessions left, 11s until the deadline

        """)
  }

  @Test func aBakeThatFailsHasAnExitCodeOfItsOwn() throws {
    let back = status(.blue, generation: 3, last: takenBack())
    try script(status(bake: bakeUnderWay), then: [status(bake: bakeUnderWay), back])
    let reply = try run("--wait")
    #expect(reply.exitCode == .takenBack && reply.exitCode.rawValue == 5)
    #expect(reply.notice == "green was taken back by the front door: serverErrors 12.5 % (limit 5 %)")
    #expect(
      reply.text == """
        rolled back green → blue (generation 3, automatic)
          cause     serverErrors 12.5 % (limit 5 %)
          flip      4 µs, persisted in 900 µs
          reason    v2
          sessions  none were open

        """)
    #expect(try AdminJSON.decode(StatusReport.self, from: reply.json).generation == 3)
  }

  @Test func anOperatorWhoTakesItBackIsNamed() throws {
    let back = status(.blue, generation: 3, last: receipt(3, from: .green))
    try script(status(bake: bakeUnderWay), then: [status(bake: bakeUnderWay), back])
    let reply = try run("--wait")
    #expect(reply.exitCode == .refused && reply.notice == "green was taken back by uid 0 pid 99")
    #expect(reply.text.hasPrefix("rolled back green → blue (generation 3)\n"))
  }

  @Test func theWayBackIsFoundInTheHistoryWhenMoreHasCome() throws {
    try script(status(bake: bakeUnderWay), then: [status(generation: 4, last: receipt(4))])
    try channel.answer("/v1/history", HistoryReport(history: [receipt(settled: true), takenBack(), receipt(4)]))
    #expect(try run("--wait").exitCode == .takenBack)
  }

  @Test func aFrontDoorThatIsRestartedComesBackBaking() throws {
    let again = status(bake: bakeUnderWay, pid: 43)
    var withoutFigures = again
    withoutFigures.bake = nil
    try channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
    try channel.answer("/v1/switch", status(bake: bakeUnderWay))
    for _ in 0..<50 { channel.fail("/v1/status", .unreachable("refused")) }
    for status in Array(repeating: withoutFigures, count: 12) + [again, status(pid: 43)] {
      try channel.answer("/v1/status", status)
    }
    let reply = try run("--wait")
    #expect(reply.exitCode == .done)
    #expect(reply.text.hasSuffix("  bake      passed\n"))
    #expect(reply.notice?.contains("restarted (pid 43 answers now)") == true, "what drained is not known")
    #expect(stage.progress.contains("the front door does not answer at present\n"))
    #expect(stage.progress.contains("\nbaking green\n") && (6...8).contains(stage.time - now))
  }

  @Test func whatTheFirstFrontDoorHasCountedStands_andWhereAllHadEndedNothingIsLost() throws {
    for isSettled in [true, false] {
      let stage = Stage()
      let counted = receipt(settled: isSettled) { ($0.open, $0.moved) = (40, isSettled ? 40 : 10) }
      try stage.channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
      try stage.channel.answer("/v1/switch", status(bake: bakeUnderWay))
      try stage.channel.answer("/v1/status", status(last: counted, bake: bakeUnderWay))
      try stage.channel.answer("/v1/status", status(last: receipt(settled: true), pid: 43))
      let reply = try runSwitch(to: .green, stage.context("switch", "green", "--wait"))
      #expect(reply.text.contains("40 open: \(isSettled ? 40 : 10) moved"))
      #expect((reply.notice == nil) == isSettled)
    }
  }

  @Test func aFrontDoorThatDoesNotComeBackEndsTheWait() throws {
    try script(status(bake: bakeUnderWay), then: [status(bake: bakeUnderWay)])
    channel.fail("/v1/status", .unreachable("refused"))
    let failure = #expect(throws: Failure.self) { try run("--wait") }
    #expect(failure?.exitCode == .unreachable)
    #expect(
      failure?.message
        == "switched (generation 2), but what became of it is not known: the front door went away: refused")
    #expect((30...32).contains(stage.time - now))
  }

  // MARK: Ramp

  private var secondStep: StatusReport {
    var ramp = rampUnderWay
    ramp.step = 2
    ramp.until = "2026-01-31T10:03:05.000Z"
    return status(.blue, generation: 1, last: nil, ramp: ramp)
  }

  @Test func aRampThatPassesEndsInASwitch_andThenInItsBake() throws {
    let first = ramping()
    try script(
      first,
      then: Array(repeating: first, count: 5) + Array(repeating: secondStep, count: 10) + [
        status(bake: bakeUnderWay), status(last: receipt(settled: true) { ($0.open, $0.moved) = (40, 40) }),
      ])
    let reply = try run("--ramp", "10%:1m,50%:1m", "--bake", "2m", "--wait")
    #expect(reply.exitCode == .done && reply.notice == nil)
    #expect(reply.text.hasPrefix("switched blue → green (generation 2)\n"))
    #expect(reply.text.hasSuffix("40 open: 40 moved\n  bake      passed\n"))
    #expect(
      stage.progress == """
        ramping green: step 1 of 2, 10 % of the clients, 45s left; nothing has been seen yet
        ramping green: step 2 of 2, 50 % of the clients, 59s left; nothing has been seen yet
        baking green: 59s left; worst: serverErrors 1.2 % of 340 (limit 5 %)

        """)
  }

  @Test func aRampThatFailsIsTakenBack_whoeverTakesIt() throws {
    try script(ramping(), then: [ramping(), status(.blue, last: takenBack(2))])
    let reply = try run("--ramp", "10%:1m", "--wait", "--after", "a")
    #expect(reply.exitCode == .takenBack)
    #expect(reply.text.hasPrefix("rolled back green → blue (generation 2, automatic)\n  cause     serverErrors"))
    #expect(stage.commands.started.isEmpty, "the switch was never in force")

    let other = Stage()
    try other.channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
    try other.channel.answer("/v1/switch", ramping())
    try other.channel.answer("/v1/status", status(.blue, last: receipt(2, from: .green)))
    let second = try runSwitch(to: .green, other.context("switch", "green", "--ramp", "10%:1m", "--wait"))
    #expect(second.exitCode == .refused && second.notice == "green was taken back by uid 0 pid 99")
  }

  @Test func aRampThatFailedBeforeTheAnswerCameIsFoundInTheAnswer() throws {
    try script(status(.blue, last: takenBack(2)), then: [])
    #expect(try run("--ramp", "10%:1m", "--wait").exitCode == .takenBack)
    #expect(try run("--ramp", "10%:1m").exitCode == .takenBack)
  }

  @Test func theChecksAfterARampComeWithItsEnd_andItsBakeGoesOn() throws {
    try script(
      ramping(),
      then: [
        ramping(), status(bake: bakeUnderWay), status(bake: bakeUnderWay), status(bake: bakeUnderWay),
        status(last: receipt(settled: true)),
      ])
    stage.commands.onStart = { [channel] in
      #expect(channel.asked.count { $0 == "GET /v1/status" } == 3, "when the status told of the bake")
    }
    let reply = try run("--ramp", "10%:1m", "--wait", "--after", "a")
    #expect(stage.commands.started == ["a"])
    #expect(reply.exitCode == .done && reply.text.hasSuffix("  bake      passed\n"))
  }

  @Test func aCheckThatFailsAfterARampRollsItBack() throws {
    try script(ramping(), then: [status()])
    try channel.answer("/v1/rollback", status(.blue, generation: 3, last: receipt(3, from: .green)))
    stage.commands.code = 1
    let reply = try run("--ramp", "10%:1m", "--wait", "--after", "a")
    #expect(reply.exitCode == .refused && reply.notice?.hasSuffix("; rolled back") == true)
  }

  @Test func aRampThatTheFrontDoorHasForgottenEndsTheWait() throws {
    try script(ramping(), then: [status(.blue, generation: 1, last: nil)])
    try channel.answer("/v1/history", HistoryReport(history: []))
    let failure = #expect(throws: Failure.self) { try run("--ramp", "10%:1m", "--wait") }
    #expect(failure?.exitCode == .unreachable)
    #expect(failure?.message.hasPrefix("the ramp to green has begun, but what became of it is not known") == true)
    #expect(stage.time < now + 15)
  }
}

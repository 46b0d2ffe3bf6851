import Admin
import Switching
import Testing

@testable import bgproxyctl

@Suite struct SwitchTests {
  private let stage = Stage()
  private var channel: ScriptedChannel { stage.channel }

  private func beforeTheSwitch() throws {
    try channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
  }

  @Test func theReceiptIsTheAnswer() throws {
    try beforeTheSwitch()
    try channel.answer("/v1/switch", status(last: receipt { ($0.open, $0.remaining) = (40, 40) }))
    let reply = try runSwitch(to: .green, stage.context("switch", "green", "--drain", "5s", "--reason", "v2"))
    #expect(reply.exitCode == .done)
    #expect(reply.text.hasPrefix("switched blue → green (generation 2)\n"))
    #expect(channel.asked == ["GET /v1/status", "GET /v1/config", "POST /v1/switch"])
    #expect(
      try channel.sent("/v1/switch", SwitchRequest.self) == [SwitchRequest(to: .green, drain: "5s", reason: "v2")])
    #expect(try AdminJSON.decode(StatusReport.self, from: reply.json).generation == 2)
  }

  @Test func aColorThatIsActiveAlreadyIsDone() throws {
    try channel.answer("/v1/status", status())
    try channel.answer("/v1/switch", status())
    let reply = try runSwitch(to: .green, stage.context("switch", "green", "--wait"))
    #expect(reply.text == "green is active already (generation 2)\n")
    #expect(reply.exitCode == .done)
    #expect(channel.asked.count == 2)
  }

  @Test func aDryRunSaysWhatWouldHappen() throws {
    try channel.answer("/v1/status", status(.blue))
    try channel.answer("/v1/switch", status(.blue))
    let reply = try runSwitch(to: .green, stage.context("switch", "green", "--dry-run", "--wait"))
    #expect(reply.text == "would switch blue → green (generation 3); 3 sessions of blue would drain\n")
    #expect(channel.bodies[2].contains(#""dryRun":true"#))
    let idle = try runSwitch(to: .blue, stage.context("switch", "blue", "--dry-run"))
    #expect(idle.text == "blue is active already: nothing would change\n")
  }

  @Test func aRefusalIsAFailureWithTheReason() throws {
    try beforeTheSwitch()
    let report = ErrorReport(code: "unexpected", message: "blue is active\nnot green")
    channel.fail("/v1/switch", .refused(report, json: []))
    let failure = #expect(throws: Failure.self) {
      try runSwitch(to: .green, stage.context("switch", "green", "--expect", "green"))
    }
    #expect(failure == Failure(exitCode: .refused, message: #"refused: blue is active\nnot green"#))
  }

  @Test func waitingEndsWithTheSettledReceiptAndALineASecondOnTheWay() throws {
    try beforeTheSwitch()
    let draining = status(last: receipt { ($0.open, $0.ended, $0.remaining) = (40, 37, 3) }, drain: drainUnderWay)
    try channel.answer("/v1/switch", draining)
    for _ in 0..<15 { try channel.answer("/v1/status", draining) }
    try channel.answer("/v1/status", status(last: receipt(settled: true) { ($0.open, $0.ended) = (40, 40) }))
    let reply = try runSwitch(to: .green, stage.context("switch", "green", "--wait"))
    #expect(reply.exitCode == .done)
    #expect(reply.text.contains("40 open: 40 ended"))
    #expect(
      stage.progress == """
        draining blue: 3 of 40 sessions left, 13s until the deadline
        draining blue: 3 of 40 sessions left, 12s until the deadline

        """)
    #expect(try AdminJSON.decode(StatusReport.self, from: reply.json).lastSwitch?.settled == true)
  }

  @Test(arguments: [(1, 0), (0, 1)])
  func sessionsThatWereClosedAreAnExitCodeOfTheirOwn(_ spread: Int, _ cut: Int) throws {
    try beforeTheSwitch()
    let last = receipt(settled: true) { ($0.open, $0.spread, $0.cut) = (1, spread, cut) }
    try channel.answer("/v1/switch", status(last: last))
    #expect(try runSwitch(to: .green, stage.context("switch", "green", "--wait")).exitCode == .closedSessions)
    #expect(try runSwitch(to: .green, stage.context("switch", "green")).exitCode == .done)
  }

  @Test func aSwitchThatIsTakenBackWhileItIsWaitedForIsFoundInTheHistory() throws {
    try beforeTheSwitch()
    try channel.answer("/v1/switch", status(last: receipt { ($0.open, $0.remaining) = (5, 5) }, drain: drainUnderWay))
    try channel.answer("/v1/status", status(.blue, generation: 3, last: receipt(3, from: .green)))
    let unsettled = receipt { ($0.open, $0.remaining) = (5, 5) }
    try channel.answer("/v1/history", HistoryReport(history: [unsettled, receipt(3, from: .green)]))
    let settled = receipt(settled: true) { ($0.open, $0.returned) = (5, 5) }
    try channel.answer("/v1/history", HistoryReport(history: [settled, receipt(3, from: .green)]))
    let reply = try runSwitch(to: .green, stage.context("switch", "green", "--wait"))
    #expect(reply.text.contains("5 open: 5 returned"))
    #expect(reply.notice == "blue is active again since generation 3")
    #expect(reply.exitCode == .done)
  }

  @Test func aReceiptThatTheHistoryHasLostEndsTheWait() throws {
    try beforeTheSwitch()
    try channel.answer("/v1/switch", status(drain: drainUnderWay))
    try channel.answer("/v1/status", status(.blue, generation: 3, last: receipt(3, from: .green)))
    try channel.answer("/v1/history", HistoryReport(history: []))
    let failure = #expect(throws: Failure.self) {
      try runSwitch(to: .green, stage.context("switch", "green", "--wait"))
    }
    #expect(failure?.exitCode == .unreachable)
    #expect(stage.time < now + 15)
  }

  @Test func aFrontDoorThatWasRestartedOrWentAwayEndsTheWait() throws {
    try beforeTheSwitch()
    try channel.answer("/v1/switch", status(drain: drainUnderWay))
    try channel.answer("/v1/status", status(drain: drainUnderWay, pid: 43))
    let restarted = #expect(throws: Failure.self) {
      try runSwitch(to: .green, stage.context("switch", "green", "--wait"))
    }
    #expect(restarted?.exitCode == .unreachable)
    #expect(restarted?.message.contains("restarted (pid 43 answers now)") == true)

    let gone = Stage()
    try gone.channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
    try gone.channel.answer("/v1/switch", status(drain: drainUnderWay))
    gone.channel.fail("/v1/status", .unreachable("refused"))
    let failure = #expect(throws: Failure.self) {
      try runSwitch(to: .green, gone.context("switch", "green", "--wait"))
    }
    #expect(failure?.exitCode == .unreachable)
    #expect(failure?.message.hasPrefix("switched (generation 2), but") == true)
  }

  @Test func aRollbackPrintsItsReceiptOrThatThereIsNothingToRollBack() throws {
    try channel.answer("/v1/status", status())
    try channel.answer("/v1/rollback", status(.blue, generation: 3, last: receipt(3, from: .green)))
    let reply = try runRollback(stage.context("rollback", "--reason", "oh"))
    #expect(reply.text.hasPrefix("rolled back green → blue (generation 3)\n"))
    #expect(channel.bodies[1] == "{\"reason\":\"oh\"}\n")

    let again = Stage()
    try again.channel.answer("/v1/status", status(.blue, generation: 3))
    try again.channel.answer("/v1/rollback", status(.blue, generation: 3))
    let second = try runRollback(again.context("rollback"))
    #expect(second.text == "nothing to roll back: blue stays active\n")
    #expect(second.exitCode == .done)
  }
}

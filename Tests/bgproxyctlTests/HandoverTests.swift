import Admin
import Switching
import Testing

@testable import bgproxyctl

@Suite struct HandoverTests {
  private let stage = Stage()
  private var channel: ScriptedChannel { stage.channel }

  /// Blue is active, and a handover to green holds the traffic.
  private func holding() -> StatusReport {
    var held = status(.blue, generation: 1, last: nil)
    held.phase = .holding
    held.hold = HoldReport(
      since: "2026-01-31T10:02:05.000Z", until: "2026-01-31T10:02:34.000Z", by: Requester(uid: 0, pid: 1), inFlight: 0,
      handover: .green)
    held.held = 12
    return held
  }

  private func requests() throws -> [SwitchRequest] { try channel.sent("/v1/switch", SwitchRequest.self) }

  private func run(_ more: String...) throws -> Reply {
    let during = more.isEmpty ? ["--during", "wait-for-replica"] : more
    var arguments = ["switch", "green", "--handover"]
    arguments += during
    let context = try stage.context(list: arguments)
    return try runSwitch(to: .green, context)
  }

  @Test func withoutACommandOneRequestDoesItAll_howeverLongItTakes() throws {
    try channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
    try channel.answer("/v1/switch", status(last: receipt(settled: true) { $0.heldMilliseconds = 1200 }))
    let reply = try run("--force")
    #expect(reply.text.contains("  held      1.2 s\n"))
    var expected = SwitchRequest(to: .green)
    (expected.handover, expected.force) = (true, true)
    #expect(try requests() == [expected])
    #expect(channel.manners.last == .patient)
  }

  @Test func theCommandRunsWhileNothingServes_andThenTheSwitchGoesOnOnTheSameConnection() throws {
    try channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
    try channel.answer("/v1/status", holding())
    try channel.answer("/v1/switch", holding())
    try channel.answer("/v1/switch", status(last: receipt(settled: true)))
    stage.commands.looks = 25
    let reply = try run()
    #expect(reply.exitCode == .done && reply.text.hasPrefix("switched blue → green"))
    #expect(try requests().map(\.during) == [true, nil] && requests().map(\.proceed) == [nil, true])
    #expect(stage.commands.started == ["wait-for-replica"])
    #expect(stage.commands.environment["BGPROXY_FROM"] == "blue")
    #expect(stage.commands.environment["BGPROXY_TO"] == "green")
    #expect(stage.commands.environment["BGPROXY_UNTIL"] == "2026-01-31T10:02:34.000Z")
    #expect(
      channel.manners == [.prompt, .prompt, .patient, .following, .following, .following], "and it looks meanwhile")
    #expect(stage.commands.last?.signals == [])
  }

  @Test func aCommandThatFailsGivesTheHandoverUp() throws {
    try channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
    try channel.answer("/v1/switch", holding())
    channel.fail("/v1/switch", .refused(ErrorReport(code: "given-up", message: "given up: exit code 3"), json: []))
    stage.commands.code = 3
    let failure = #expect(throws: Failure.self) { try run() }
    #expect(failure?.exitCode == .refused)
    #expect(try requests().map(\.proceed) == [nil, false])
    #expect(try requests().last?.reason == "the command ended with exit code 3")
  }

  @Test func aCommandThatTakesTooLongIsEndedBeforeTheHoldIs() throws {
    try channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
    try channel.answer("/v1/status", holding())
    try channel.answer("/v1/switch", holding())
    channel.fail("/v1/switch", .refused(ErrorReport(code: "given-up", message: "given up"), json: []))
    (stage.commands.looks, stage.commands.ignoresTerm) = (100_000, true)
    let failure = #expect(throws: Failure.self) { try run() }
    #expect(failure?.exitCode == .refused)
    #expect(stage.commands.last?.signals == ["TERM", "KILL"])
    #expect(stage.time < now + 29, "it has ended before the hold does")
    #expect(try requests().last?.proceed == false)
  }

  @Test func theCommandIsEnded_whenTheFrontDoorHasGivenUp() throws {
    try channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
    try channel.answer("/v1/switch", holding())
    stage.commands.looks = 100_000
    let failure = #expect(throws: Failure.self) { try run() }
    #expect(failure?.message.contains("given up while the command ran") == true)
    #expect(stage.commands.last?.signals == ["TERM"])
    #expect(try requests().count == 1, "there is nothing to give up any more")
  }

  @Test func theCommandIsEnded_whenTheFrontDoorIsGone() throws {
    try channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
    channel.fail("/v1/status", .unreachable("gone"))
    try channel.answer("/v1/switch", holding())
    stage.commands.looks = 100_000
    let failure = #expect(throws: Failure.self) { try run() }
    #expect(failure?.exitCode == .unreachable)
    #expect(stage.commands.last?.signals == ["TERM"])
  }

  @Test func theCommandIsNotRun_whenNothingIsToBeDone() throws {
    try channel.answer("/v1/status", status())
    try channel.answer("/v1/switch", status())
    let reply = try run()
    #expect(reply.text == "green is active already (generation 2)\n")
    #expect(stage.commands.started.isEmpty)
  }

  // MARK: Pause

  @Test func aPauseSaysWhatItHoldsAndForHowLong() throws {
    var paused = holding()
    paused.phase = .paused
    paused.hold?.handover = nil
    paused.hold?.inFlight = 3
    try channel.answer("/v1/pause", paused)
    let reply = try runPause(stage.context("pause", "--wait", "--max", "30s"))
    #expect(reply.text == "paused: 12 sessions held, 3 in flight; traffic resumes by itself in 29s\n")
    #expect(channel.manners == [.patient])
    let sent = try AdminJSON.decode(PauseRequest.self, from: Array(channel.bodies[0].utf8))
    #expect(sent == PauseRequest(wait: true, max: "30s"))
    _ = try runPause(stage.context("pause"))
    #expect(channel.manners.last == .prompt && channel.bodies.last == "{}\n")
  }

  @Test func aResumeSaysWhetherThereWasAPause() throws {
    var paused = holding()
    paused.phase = .paused
    try channel.answer("/v1/status", paused)
    try channel.answer("/v1/status", status())
    try channel.answer("/v1/resume", status())
    #expect(try runResume(stage.context("resume")).text == "resumed: 12 sessions waited\n")
    let reply = try runResume(stage.context("resume"))
    #expect(reply.text == "not paused: nothing to resume\n" && reply.exitCode == .done)
  }

  @Test func theStatusTellsOfAHold() {
    let text = StatusText(status: holding(), paint: plain, now: now).text()
    #expect(text.contains("handover to green: 12 sessions held, nothing in flight; traffic resumes by itself in 29s"))
  }
}

import Admin
import Switching
import Testing

@testable import bgproxyctl

private struct Config: Encodable {
  struct Checks: Encodable {
    var before: [String]?
    var after: [String]?
  }
  var checks: Checks
  var workers = 4

  init(before: [String]? = nil, after: [String]? = nil) { checks = Checks(before: before, after: after) }
}

@Suite struct ChecksTests {
  private let stage = Stage()
  private var channel: ScriptedChannel { stage.channel }
  private var commands: ScriptedCommands { stage.commands }

  /// Blue is active, and a switch to green succeeds.
  private func script(_ config: Config? = nil, answer: StatusReport = status()) throws {
    try channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
    try channel.answer("/v1/config", config ?? Config())
    try channel.answer("/v1/switch", answer)
  }

  private func run(_ options: String...) throws -> Reply {
    try runSwitch(to: .green, stage.context(list: ["switch", "green"] + options))
  }

  // MARK: Before

  @Test func theyRunOneAfterAnother_thoseOfTheConfigurationFirst_thenTheSwitchComes_thenTheOthers() throws {
    try script(Config(before: ["a", "b"], after: ["e"]))
    try channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
    try channel.answer("/v1/status", status())
    commands.onStart = { [channel, commands] in
      let isSwitched = channel.asked.contains("POST /v1/switch")
      #expect(isSwitched == ["e", "f"].contains(commands.started.last))
    }
    let reply = try run("--before", "c", "--before", "d", "--after", "f")
    #expect(commands.started == ["a", "b", "c", "d", "e", "f"])
    #expect(reply.exitCode == .done && reply.text.hasPrefix("switched blue → green"))
    #expect(stage.progress.hasPrefix("check before the switch: a\n"))
    #expect(stage.progress.hasSuffix("check after the switch: f\n"))
  }

  @Test func theyKnowWhatTheyAreFor() throws {
    var blue = status(.blue, generation: 1, last: nil)
    let targets = blue.listeners[0].targets
    blue.listeners = [
      ("plain", nil), ("web-1", "0.0.0.0:8081"), ("web.1", "10.0.0.1:80"), ("v6", "[::]:8082"), ("ü", "unix:/p.sock"),
    ].map { ListenerReport(name: $0.0, bind: ":80", protocol: "http", preview: $0.1, targets: targets) }
    try channel.answer("/v1/status", blue)
    try channel.answer("/v1/config", Config())
    try channel.answer("/v1/switch", status())
    _ = try run("--before", "c", "--reason", "v2")
    #expect(
      commands.environment == [
        "BGPROXY_FROM": "blue", "BGPROXY_TO": "green", "BGPROXY_SOCKET": "/run/bgproxy.sock", "BGPROXY_REASON": "v2",
        "BGPROXY_PREVIEW": "127.0.0.1:8081", "BGPROXY_PREVIEW_PLAIN": "", "BGPROXY_PREVIEW_WEB_1": "127.0.0.1:8081",
        "BGPROXY_PREVIEW_V6": "[::1]:8082", "BGPROXY_PREVIEW__": "unix:/p.sock",
      ])
  }

  @Test func withoutAPreviewOrAReasonTheirNamesAreEmpty_soThatNothingInheritedIsTakenForThem() throws {
    try script()
    _ = try run("--before", "c")
    #expect(commands.environment["BGPROXY_PREVIEW"] == "" && commands.environment["BGPROXY_REASON"] == "")
  }

  @Test func oneThatFailsStopsTheSwitch() throws {
    try script()
    commands.codes = ["b": 3]
    let failure = #expect(throws: Failure.self) { try run("--before", "a", "--before", "b", "--before", "c") }
    #expect(
      failure
        == Failure(
          exitCode: .refused, message: "the check before the switch failed: b: exit code 3; nothing was switched"))
    #expect(commands.started == ["a", "b"])
    #expect(!channel.asked.contains("POST /v1/switch"))
  }

  @Test func oneThatDoesNotEndIsEndedAfterTenMinutes() throws {
    try script()
    (commands.looks, commands.ignoresTerm) = (1_000_000, true)
    let failure = #expect(throws: Failure.self) {
      try run("--before", "a\u{1B}[2J" + String(repeating: "x", count: 500))
    }
    #expect(failure?.message.hasSuffix("xxx…: no end within 10m; nothing was switched") == true)
    #expect(failure?.message.contains("\u{1B}") == false)
    #expect(commands.last?.signals == ["TERM", "KILL"])
    #expect((600...603).contains(stage.time - now))
  }

  @Test func noneRunsWhereTheColorIsActiveAlready() throws {
    try channel.answer("/v1/status", status())
    try channel.answer("/v1/config", Config(before: ["a"]))
    try channel.answer("/v1/switch", status())
    let reply = try run("--before", "b", "--after", "c", "--ramp", "10%:1m", "--wait")
    #expect(reply.text == "green is active already (generation 2)\n" && reply.exitCode == .done)
    #expect(commands.started.isEmpty)
    #expect(try channel.sent("/v1/switch", SwitchRequest.self).map(\.dryRun) == [true], "a question, not an order")
  }

  @Test func theyRunWhereTheColorWasActiveOnlyAMomentAgo() throws {
    try channel.answer("/v1/status", status())
    try channel.answer("/v1/status", status(.blue, generation: 3, last: receipt(3, from: .green)))
    try channel.answer("/v1/switch", status(.blue, generation: 3, last: receipt(3, from: .green)))
    try channel.answer("/v1/switch", status(generation: 4, last: receipt(4)))
    let reply = try run("--before", "b")
    #expect(commands.started == ["b"])
    #expect(reply.text.hasPrefix("switched blue → green (generation 4)"))
  }

  @Test func aSwitchThatSomebodyElseMadeWhileTheyRanIsNotTakenForThisOne() throws {
    try channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
    try channel.answer("/v1/status", status())
    let reply = try run("--before", "a", "--after", "b")
    #expect(reply.text == "green is active already (generation 2)\n")
    #expect(commands.started == ["a"])
  }

  @Test func whatIsRefusedAnywayIsRefusedBeforeTheyRun() throws {
    let refusal = Failure.refused(ErrorReport(code: "unexpected", message: "blue is active"), json: [])
    try channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
    channel.fail("/v1/switch", refusal)
    #expect(throws: refusal) { try run("--before", "a", "--expect", "green") }

    let busy = Stage()
    try busy.channel.answer("/v1/status", ramping())
    busy.channel.fail("/v1/switch", refusal)
    #expect(throws: refusal) { try runSwitch(to: .green, busy.context("switch", "green", "--before", "a")) }
    #expect(commands.started.isEmpty && busy.commands.started.isEmpty)
  }

  // MARK: Whose they are

  @Test(
    arguments: [
      (1001, "a front door of uid 1001"), (nil, "a front door of a user that is not known"),
    ] as [(UInt32?, String)])
  func thoseOfAStrangersConfigurationAreRefused(_ user: UInt32?, _ name: String) throws {
    for config in [Config(before: ["a"]), Config(after: ["a"])] {
      let stage = Stage()
      try stage.channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
      stage.channel.peerUser = user
      try stage.channel.answer("/v1/config", config)
      let failure = #expect(throws: Failure.self) { try runSwitch(to: .green, stage.context("switch", "green")) }
      #expect(failure?.exitCode == .refused)
      #expect(
        failure?.message.contains("\(name), and bgproxyctl runs as uid 1000;") == true, "\(failure?.message ?? "")")
      #expect(stage.commands.started.isEmpty && !stage.channel.asked.contains("POST /v1/switch"))
    }
  }

  @Test(arguments: [0, 1000] as [UInt32])
  func thoseOfRootAndOfTheSameUserRun(_ user: UInt32) throws {
    channel.peerUser = user
    try script(Config(before: ["a"]))
    _ = try run()
    #expect(commands.started == ["a"])
  }

  @Test func theOperatorsOwnRunWhoeverTheFrontDoorBelongsTo() throws {
    channel.peerUser = 1001
    try script(Config(before: [], after: []))
    _ = try run("--before", "a")
    #expect(commands.started == ["a"])
  }

  // MARK: After

  @Test func oneThatFailsAfterwardsRollsBack() throws {
    try script()
    try channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
    try channel.answer("/v1/status", status())
    try channel.answer("/v1/rollback", status(.blue, generation: 3, last: receipt(3, from: .green)))
    commands.codes = ["b\n": 7]
    let reply = try run("--before", "a", "--after", "b\n", "--after", "c", "--drain", "5s")
    #expect(reply.exitCode == .refused)
    #expect(reply.text.hasPrefix("rolled back green → blue (generation 3)\n"))
    #expect(reply.notice == #"the check after the switch failed: b\n: exit code 7; rolled back"#)
    #expect(reply.isFailure, "and that is told even if --quiet")
    #expect(try AdminJSON.decode(StatusReport.self, from: reply.json).generation == 3)
    #expect(
      try channel.sent("/v1/rollback", RollbackRequest.self)
        == [RollbackRequest(drain: "5s", reason: #"after-check failed: b\n: exit code 7"#)])
    #expect(commands.started == ["a", "b\n"])
  }

  @Test func theReasonIsOneThatTheFrontDoorTakes() {
    for command in [String(repeating: "🚀", count: 4000), "a\u{1B}\u{9B}\u{202E}\u{0}b", "é\r\n"] {
      let reason = "after-check failed: \(FailedCheck(command: command, problem: "").name): exit code 255"
      let body = (try? AdminJSON.line(RollbackRequest(reason: reason))) ?? []
      #expect(throws: Never.self) {
        try AdminCall.decode(method: "POST", path: "/v1/rollback", query: nil, body: body)
      }
    }
  }

  @Test func aRollbackThatIsRefusedIsTold() throws {
    try script()
    try channel.answer("/v1/status", status())
    channel.fail("/v1/rollback", .refused(ErrorReport(code: "unhealthy", message: "blue: dead"), json: [1]))
    commands.code = 1
    let failure = #expect(throws: Failure.self) { try run("--after", "a") }
    #expect(
      failure
        == Failure(
          exitCode: .refused,
          message:
            "the check after the switch failed: a: exit code 1; green could not be taken back: refused: blue: dead",
          json: [1]))
  }

  @Test func anotherSwitchThatCameMeanwhileIsNotUndone() throws {
    try script()
    let back = receipt(3, from: .green, settled: true)
    try channel.answer("/v1/status", status(generation: 4, last: receipt(4)))
    try channel.answer("/v1/history", HistoryReport(history: [receipt(settled: true), back, receipt(4)]))
    commands.code = 1
    let failure = #expect(throws: Failure.self) { try run("--after", "a") }
    #expect(failure?.exitCode == .refused)
    #expect(failure?.message.hasSuffix("generation 4 came after it, which is not undone") == true)
    #expect(!channel.asked.contains("POST /v1/rollback"))
  }

  @Test func aReleaseThatTheFrontDoorHasTakenBackMeanwhileIsNotRolledBackAgain() throws {
    for code in [0, 1] as [Int32] {
      let stage = Stage()
      try stage.channel.answer("/v1/status", status(.blue, generation: 1, last: nil))
      try stage.channel.answer("/v1/switch", status(bake: bakeUnderWay))
      try stage.channel.answer("/v1/status", status(.blue, generation: 3, last: takenBack()))
      stage.commands.code = code
      let reply = try runSwitch(to: .green, stage.context("switch", "green", "--after", "a"))
      #expect(reply.exitCode == .takenBack)
      #expect(
        reply.notice?.hasSuffix("green was taken back by the front door: serverErrors 12.5 % (limit 5 %)") == true)
      #expect(reply.notice?.hasPrefix("the check after the switch failed") == (code != 0))
      #expect(!stage.channel.asked.contains("POST /v1/rollback"))
    }
  }

  @Test func withARampTheyComeAfterIts_andWithoutAWaitThoseOfTheConfigurationAreRefused() throws {
    try script(Config(after: ["a"]))
    let failure = #expect(throws: Failure.self) { try run("--ramp", "10%:1m") }
    #expect(failure?.exitCode == .refused)
    #expect(failure?.message.contains("need --wait") == true)
    #expect(!channel.asked.contains("POST /v1/switch"))
  }

  // MARK: Dry run

  @Test func aDryRunRunsThoseBefore_andSaysWhatWouldFollow() throws {
    try script(Config(before: ["a"], after: ["c\n"]), answer: status(.blue, generation: 1, last: nil))
    let reply = try run("--before", "b", "--dry-run", "--ramp", "10%:1m,50%:5m", "--bake", "10m", "--wait")
    #expect(commands.started == ["a", "b"])
    #expect(
      reply.text == #"""
        would give green 10 % of the clients for 1m
        would give green 50 % of the clients for 5m
        would switch blue → green (generation 2); 3 sessions of blue would drain
        would watch green for 10m, and take it back if it fails
        would run after the switch: c\n

        """#)
    #expect(try channel.sent("/v1/switch", SwitchRequest.self).map(\.dryRun) == [true])
    commands.code = 1
    #expect(throws: Failure.self) { try run("--dry-run") }
  }
}

import Testing

@testable import Arguments

private let wait = Option("--wait", "wait until it is done")
private let window = Option("--drain", "time to drain", takes: .duration)
private let reason = Option("--reason", "why", takes: .remark("TEXT"))
private let tag = Option("--tag", "a tag", takes: .text("NAME"), isRepeatable: true)
private let socket = Option("--socket", "where", takes: .text("PATH"))
private let count = Option("--count", "how many", takes: .number(1...8))

let sample = Program(
  name: "tool", summary: "Does things.", usage: ["VERB [OPTION]..."],
  verbs: [
    Verb(
      "switch", "make a color active", details: ["More of it."],
      positional: Positional("COLOR", .choice(["blue", "green"], later: ["red"])),
      options: [wait, window, reason, tag, count, .notBuilt("--handover"), .notBuilt("--bake", takes: .duration)],
      examples: ["tool switch green"]),
    Verb("status", "show the state", examples: ["tool status"]), .notBuilt("top"),
  ],
  options: [socket, .help, .version], examples: ["tool status", "tool switch green"])

@Suite struct ParserTests {
  @Test func valuesFollowTheirOptionOrAnEqualsSign() throws {
    let parsed = try sample.parse(["switch", "green", "--drain", "30s", "--reason=a=b", "--wait", "--count=3"])
    #expect(parsed.verb == "switch")
    #expect(parsed.positional == "green")
    #expect(parsed.value(of: window) == "30s")
    #expect(parsed.milliseconds(of: window) == 30_000)
    #expect(parsed.value(of: reason) == "a=b")
    #expect(parsed.number(of: count) == 3)
    #expect(parsed.has(wait))
    #expect(!parsed.has(socket))
  }

  @Test func optionsMayComeBeforeTheVerbTheyBelongTo() throws {
    let parsed = try sample.parse(["--drain", "1m", "--socket", "/s", "switch", "--wait", "blue"])
    #expect(parsed.verb == "switch")
    #expect(parsed.positional == "blue")
    #expect(parsed.value(of: socket) == "/s")
    #expect(parsed.milliseconds(of: window) == 60_000)
  }

  @Test func aRepeatableOptionKeepsEveryValue() throws {
    #expect(try sample.parse(["switch", "blue", "--tag", "a", "--tag=b"]).values(of: tag) == ["a", "b"])
  }

  @Test func twoDashesEndTheOptions() throws {
    #expect(try sample.parse(["--", "switch", "blue"]).positional == "blue")
    #expect(throws: UsageError.self) { try sample.parse(["switch", "--", "--wait"]) }
  }

  @Test func anEmptyRemarkIsARemark() throws {
    #expect(try sample.parse(["switch", "blue", "--reason", ""]).value(of: reason) == "")
    #expect(try sample.parse(["switch", "blue", "--reason="]).value(of: reason) == "")
  }

  @Test func helpWinsOverWhatComesAfterIt() throws {
    let parsed = try sample.parse(["switch", "--help", "--nonsense"])
    #expect(parsed.wantsHelp)
    #expect(parsed.verb == "switch")
    #expect(try sample.parse(["-h"]).wantsHelp)
  }

  @Test(arguments: [
    (["stauts"], "unknown verb 'stauts'; did you mean status?", "tool --help"),
    (["zebra"], "unknown verb 'zebra'", "tool --help"),
    (["top"], "top is not built yet", "tool --help"),
    (["switch"], "switch needs COLOR: blue, green", "tool switch --help"),
    (["switch", "gren"], "COLOR 'gren' is not one of: blue, green; did you mean green?", "tool switch --help"),
    (["switch", "red"], "COLOR red is not built yet", "tool switch --help"),
    (["switch", "blue", "green"], "unexpected argument 'green'", "tool switch --help"),
    (["status", "x"], "unexpected argument 'x'", "tool status --help"),
    (["switch", "blue", "--wiat"], "unknown option --wiat; did you mean --wait?", "tool switch --help"),
    (["switch", "blue", "-w"], "unknown option -w", "tool switch --help"),
    (["switch", "blue", "--handover"], "--handover is not built yet", "tool switch --help"),
    (["switch", "blue", "--bake=60s"], "--bake is not built yet", "tool switch --help"),
    (["--handover"], "--handover is not built yet", "tool --help"),
    (["status", "--handover"], "--handover is not built yet", "tool status --help"),
    (["status", "--wait"], "--wait is no option of status, but of switch", "tool status --help"),
    (["switch", "blue", "--wait", "--wait"], "--wait is given twice", "tool switch --help"),
    (["status", "--socket", "/a", "--socket=/b"], "--socket is given twice", "tool status --help"),
    (["switch", "blue", "--wait=yes"], "--wait takes no value", "tool switch --help"),
    (["status", "--socket"], "--socket needs a value: PATH", "tool status --help"),
    (["status", "--socket", "--version"], "--socket needs a value: PATH", "tool status --help"),
    (["status", "--socket="], "--socket needs a value: PATH", "tool status --help"),
    (
      ["switch", "blue", "--drain", "30"], "--drain '30' is not a time such as 250ms, 30s, 5m or 1h",
      "tool switch --help"
    ),
    (["switch", "blue", "--count", "9"], "--count '9' is not a number from 1 to 8", "tool switch --help"),
  ])
  func whatIsNotUnderstoodIsNamed(_ arguments: [String], _ message: String, _ help: String) {
    let error = #expect(throws: UsageError.self) { try sample.parse(arguments) }
    #expect(error?.message == message)
    #expect(error?.help == help)
  }

  @Test func anErrorTellsWhereToLook() {
    #expect("\(sample.usageError("oh", verb: "switch"))" == "tool: oh\nTry 'tool switch --help'.")
  }

  @Test(arguments: [
    ("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("0s", 0), ("8760h", 31_536_000_000),
  ])
  func durations(_ text: String, _ expected: Int64) { #expect(parseDuration(text) == expected) }

  @Test(arguments: ["", "s", "30", "-1s", "1.5s", "1m30s", " 1s", "1 s", "٣s", "9223372036854775807h", "8761h", "1S"])
  func whatIsNoDuration(_ text: String) { #expect(parseDuration(text) == nil) }

  @Test(arguments: [
    ("stat", "status"), ("statsu", "status"), ("swich", "switch"), ("sw", "switch"), ("s", nil), ("", nil), ("--", nil),
    (String(repeating: "x", count: 100_000), nil),
  ])
  func suggestions(_ word: String, _ meant: String?) {
    #expect(suggestion(for: word, among: ["status", "switch"]) == meant)
  }
}

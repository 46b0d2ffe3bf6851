import Foundation
import LinuxIO
import Testing

@testable import Telemetry

private let time = WallTime(microseconds: 1_769_853_600_000_000)

private func line(_ format: LogFormat, _ fields: KeyValuePairs<String, LogValue>) -> String {
  LogLine.render(format, time: time, level: .info, event: "switch", fields)
}

@Suite struct LogLineTests {
  @Test func text_isPlain_whenValuesAreWords() {
    #expect(
      line(.text, ["to": "green", "open": 40, "persisted": true])
        == "2026-01-31T10:00:00.000Z info switch to=green open=40 persisted=true\n")
  }

  @Test(arguments: [
    ("", #""""#), ("two words", #""two words""#), (#"a"b"#, #""a\"b""#), ("k=v", #""k=v""#), ("a\\b c", #""a\\b c""#),
    ("x\n2026-01-31T10:00:00.000Z info switch to=blue", #""x\n2026-01-31T10:00:00.000Z info switch to=blue""#),
    ("\u{1B}[2J", #""\u001b[2J""#), ("\u{9B}2J\u{7F}\u{2028}", #""\u009b2J\u007f\u2028""#), ("grün", #""grün""#),
  ])
  func text_forgesNothing_whenAValueHoldsAnything(value: String, written: String) {
    #expect(line(.text, ["reason": .string(value)]) == "2026-01-31T10:00:00.000Z info switch reason=\(written)\n")
  }

  @Test(arguments: ["", "v2", "a\"b\\c", "line\nline\r\t", "\u{0}\u{1B}\u{7F}\u{2028}", "grün 🟢"])
  func json_readsBackTheSame_whenAValueHoldsAnything(value: String) throws {
    let text = line(.json, ["reason": .string(value), "open": 40, "persisted": false])
    #expect(text.hasSuffix("}\n") && !text.dropLast().contains { $0.isNewline })
    let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    #expect(object["reason"] as? String == value)
    #expect(object["open"] as? Int == 40)
    #expect(object["event"] as? String == "switch")
    #expect(object["time"] as? String == "2026-01-31T10:00:00.000Z")
  }
}

@Suite struct LogTests {
  /// A pipe that stays open: a log writes to its descriptor for as long as the process lives.
  private func lastingPipe() -> Pipe {
    let pipe = Pipe()
    _ = unsafe Unmanaged.passRetained(pipe)
    return pipe
  }

  /// What a log of a level writes of one line each level.
  private func written(by level: LogLevel) throws -> String {
    let pipe = lastingPipe()
    let log = try Log(level: level, format: .text, descriptor: pipe.fileHandleForWriting.fileDescriptor)
    log.error("e")
    log.warning("w")
    log.info("i")
    log.debug("d")
    log.flush(withinMilliseconds: 10_000)
    return String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
  }

  @Test(arguments: zip(LogLevel.allCases, [1, 2, 3, 4]))
  func write_leavesOutWhatIsBelowItsLevel(level: LogLevel, lines: Int) throws {
    #expect(try written(by: level).split(separator: "\n").count == lines)
  }

  @Test(arguments: LogLevel.allCases)
  func audit_isWritten_whateverTheLevel(level: LogLevel) throws {
    let pipe = lastingPipe()
    let log = try Log(level: level, format: .text, descriptor: pipe.fileHandleForWriting.fileDescriptor)
    log.always("switch", [(key: "uid", value: 7)])
    log.flush(withinMilliseconds: 10_000)
    let text = String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
    #expect(text.hasSuffix(" info switch uid=7\n"))
  }

  @Test func write_neverWaits_whenNobodyReads() throws {
    let pipe = lastingPipe()
    let log = try Log(level: .info, format: .text, descriptor: pipe.fileHandleForWriting.fileDescriptor)
    // Far more than the pipe and the queue hold: this ends only because lines are dropped.
    for _ in 0..<20_000 { log.info("event", ["text": .string(String(repeating: "x", count: 100))]) }
  }
}

import Testing

@testable import bgproxyctl

@Suite struct TextTests {
  @Test(
    arguments: [
      (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (20 << 20, "20 MiB"), (1_048_575, "1 MiB"),
      (150 << 20, "150 MiB"), (5 << 30, "5 GiB"), (UInt64.max, "16 EiB"),
    ] as [(UInt64, String)])
  func bytes(_ count: UInt64, _ text: String) { #expect(Units.bytes(count) == text) }

  @Test(
    arguments: [
      (0, "0s"), (0.9, "0s"), (3, "3s"), (59.9, "59s"), (60, "1m"), (125, "2m 5s"), (3600, "1h"), (11_520, "3h 12m"),
      (187_200, "2d 4h"), (-5, "0s"), (.nan, "0s"), (.infinity, "11574074d 1h"),
    ] as [(Double, String)])
  func durations(_ seconds: Double, _ text: String) { #expect(Units.duration(seconds: seconds) == text) }

  @Test(
    arguments: [
      (0, "0 µs"), (999, "999 µs"), (1200, "1.2 ms"), (15_000, "15 ms"), (2_500_000, "2.5 s"), (-1, "-1 µs"),
    ] as [(Int64, String)])
  func microseconds(_ count: Int64, _ text: String) { #expect(Units.microseconds(count) == text) }

  @Test(
    arguments: [
      ("1970-01-01T00:00:00Z", 0), ("2026-01-31T10:02:05.000Z", 1_769_853_725),
      ("2024-02-29T23:59:59.250Z", 1_709_251_199.25),
      ("2000-03-01T00:00:00Z", 951_868_800), ("2100-03-01T00:00:00Z", 4_107_542_400),
    ] as [(String, Double)])
  func times(_ text: String, _ seconds: Double) { #expect(Timestamp.seconds(text) == seconds) }

  @Test(arguments: [
    "", "2026", "2026-01-31T10:02:05", "2026-01-31 10:02:05Z", "2026-13-31T10:02:05Z", "2026-00-31T10:02:05Z",
    "2026-01-31T10:02:05.x1Z", "2026-01-31T10:02:05+02:00", "٢026-01-31T10:02:05Z",
  ])
  func whatIsNoTime(_ text: String) { #expect(Timestamp.seconds(text) == nil) }

  @Test func aTimeThatIsNoneIsShownAsItIsButHarmless() {
    #expect(Timestamp.readable("2026-01-31T10:02:05.123Z") == "2026-01-31 10:02:05")
    #expect(Timestamp.readable("soon\u{1B}[2J") == "soon\\u001b[2J")
  }

  @Test(arguments: [
    ("plain → 日本 👩‍💻", "plain → 日本 👩‍💻"), ("a\nb\r\tc", "a\\nb\\r\\tc"), ("\u{1B}[31m", "\\u001b[31m"),
    ("\u{9B}31m\u{7F}\u{0}", "\\u009b31m\\u007f\\u0000"), ("\u{202E}abc\u{2066}\u{2028}", "\\u202eabc\\u2066\\u2028"),
  ])
  func escaping(_ text: String, _ harmless: String) { #expect(escaped(text) == harmless) }

  @Test func escapedJSONIsTheSameJSON() {
    #expect(escapedJSON("{\"a\":\"\u{9B}x\u{7F}\"}\n") == "{\"a\":\"\\u009bx\\u007f\"}\n")
    #expect(escapedJSON("{\"a\":\"ü\"}") == "{\"a\":\"ü\"}")
  }

  @Test func indentedJSONHasALineForEachValue() {
    #expect(
      indentedJSON(#"{"a":[1,{"b":"x,{\"}"}],"c":{},"d": [ ],"e":null}"#) == #"""
        {
          "a": [
            1,
            {
              "b": "x,{\"}"
            }
          ],
          "c": {},
          "d": [],
          "e": null
        }
        """#)
    #expect(indentedJSON("]]}").contains("]"))
  }
}

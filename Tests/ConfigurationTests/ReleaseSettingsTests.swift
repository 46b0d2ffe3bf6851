import Configuration
import FoundationEssentials
import Switching
import Testing

private let listenerKeys = "bind:':1',blue:['x:1'],green:['y:1']"

/// A file with a listener, with keys of its own in line 2, and more keys at the root in line 3.
func file(_ root: String, listener keys: String = "", protocol: String = "http") -> String {
  "{listeners:[{\(listenerKeys),protocol:'\(`protocol`)',\n\(keys)}],\n\(root)}"
}

/// A value of a key, the path from there to what is wrong, and what is said of it.
struct Wrong: Sendable, CustomTestStringConvertible {
  let value: String
  let path: String
  let message: String
  init(_ value: String, _ path: String, _ message: String) {
    (self.value, self.path, self.message) = (value, path, message)
  }
  var testDescription: String { value }
}

@Suite struct BakeSettingsTests {
  @Test func load_hasTheDocumentedDefaults() throws {
    let bake = try load(smallest).bake
    #expect(bake == BakeSettings())
    #expect(bake.time == 0 && bake.minimumClients == 10 && bake.minimumSamples == 20)
    #expect(
      bake.limits
        == Limits(
          connectFailures: 0.01, resets: 0.05, serverErrors: 0.05, firstByte: 4, minimumClients: 10, minimumSamples: 20)
    )
  }

  @Test func load_readsEveryKey() throws {
    let bake = try load(
      file(
        """
        bake: { time: "24h", connectFailures: "0.25%", resets: "off", serverErrors: "100%", firstByte: "10000%",
                minimumClients: 10000, minimumSamples: 1000000 }
        """)
    ).bake
    #expect(bake.time == 86_400_000)
    #expect(
      bake.limits
        == Limits(
          connectFailures: 0.0025, resets: nil, serverErrors: 1, firstByte: 100, minimumClients: 10_000,
          minimumSamples: 1_000_000))
    #expect(try load(file("bake: { firstByte: 'off' }")).bake.limits.firstByte == nil)
  }

  @Test(arguments: [
    ("0%", 0, "0%"), ("1%", 100, "1%"), ("01.0%", 100, "1%"), ("0.5%", 50, "0.5%"), ("0.50%", 50, "0.5%"),
    ("0.05%", 5, "0.05%"), ("99.99%", 9999, "99.99%"), ("12.30%", 1230, "12.3%"), ("100%", 10_000, "100%"),
  ])
  func percentages_areReadAndWritten(text: String, hundredths: Int, written: String) throws {
    let settings = try load(file("bake: { resets: '\(text)' }"))
    #expect(settings.bake.resets == Percentage(hundredths: hundredths))
    let json = try #require(String(bytes: try JSONEncoder().encode(settings.bake), encoding: .utf8))
    #expect(json.contains("\"resets\":\"\(written)\""))
  }

  private static func limit(_ example: String, _ from: String = "0%", _ to: String = "100%") -> String {
    "expected \"off\" or a percentage such as \"\(example)\" from \(from) to \(to), with at most two decimals"
  }

  @Test(arguments: [
    Wrong("1", "", "expected an object, found 1"),
    Wrong(
      "{ connectFailure: '1%' }", ".connectFailure",
      "expected one of the keys time, connectFailures, resets, "
        + "serverErrors, firstByte, minimumClients, minimumSamples, found \"connectFailure\"; did you mean "
        + "connectFailures?"),
    Wrong(
      "{ time: '25h' }", ".time",
      "expected a duration such as \"30s\" or \"5m\" from 0s to 24h, found \"25h\""),
    Wrong(
      "{ time: 60 }", ".time",
      "expected a duration such as \"30s\" or \"5m\" from 0s to 24h, found 60"),
    Wrong("{ connectFailures: 1 }", ".connectFailures", limit("1%") + ", found 1"),
    Wrong("{ connectFailures: '1' }", ".connectFailures", limit("1%") + ", found \"1\""),
    Wrong("{ connectFailures: 'on' }", ".connectFailures", limit("1%") + ", found \"on\""),
    Wrong("{ resets: '100.01%' }", ".resets", limit("5%") + ", found \"100.01%\""),
    Wrong("{ resets: '-1%' }", ".resets", limit("5%") + ", found \"-1%\""),
    Wrong("{ resets: '.5%' }", ".resets", limit("5%") + ", found \".5%\""),
    Wrong("{ resets: '5.%' }", ".resets", limit("5%") + ", found \"5.%\""),
    Wrong("{ resets: '0.005%' }", ".resets", limit("5%") + ", found \"0.005%\""),
    Wrong("{ resets: '1e1%' }", ".resets", limit("5%") + ", found \"1e1%\""),
    Wrong("{ serverErrors: '%' }", ".serverErrors", limit("0.5%") + ", found \"%\""),
    Wrong(
      "{ serverErrors: '99999999999999999999%' }", ".serverErrors",
      limit("0.5%") + ", found \"99999999999999999999%\""),
    Wrong("{ firstByte: '99%' }", ".firstByte", limit("400%", "100%", "10000%") + ", found \"99%\""),
    Wrong("{ firstByte: '10001%' }", ".firstByte", limit("400%", "100%", "10000%") + ", found \"10001%\""),
    Wrong("{ minimumClients: 0 }", ".minimumClients", "expected a whole number from 1 to 10000, found 0"),
    Wrong(
      "{ minimumSamples: 1000001 }", ".minimumSamples",
      "expected a whole number from 1 to 1000000, found 1000001"),
  ])
  func load_namesPathAndExpectation(_ refused: Wrong) {
    let failure = #expect(throws: SettingsError.self) { try load(file("bake: \(refused.value)")) }
    #expect(failure?.line == 3)
    #expect(failure?.keyPath == "bake\(refused.path)")
    #expect(failure?.message == refused.message)
  }
}

@Suite struct ChecksSettingsTests {
  @Test func load_readsCommands() throws {
    #expect(try load(smallest).checks == ChecksSettings())
    #expect(try load(file("checks: {}")).checks == ChecksSettings())
    #expect(
      try load(file("checks: { before: ['a b', 'c\\nd'], after: [] }")).checks
        == ChecksSettings(before: ["a b", "c\nd"]))
    let longest = String(repeating: "c", count: 4000)
    let many = Array(repeating: longest, count: 16)
    #expect(try load(file("checks: { after: ['\(many.joined(separator: "','"))'] }")).checks.after == many)
  }

  @Test(arguments: [
    Wrong("[]", "", "expected an object, found an empty array"),
    Wrong("{ during: [] }", ".during", "expected one of the keys before, after, found \"during\""),
    Wrong("{ before: 'a' }", ".before", "expected an array of 0 to 16 commands, found \"a\""),
    Wrong(
      "{ before: [\(String(repeating: "'a',", count: 17))] }", ".before",
      "expected an array of 0 to 16 commands, found 17"),
    Wrong("{ before: [''] }", ".before[0]", "expected a command of 1 to 4000 bytes, found \"\""),
    Wrong("{ before: ['a', 5] }", ".before[1]", "expected a command of 1 to 4000 bytes, found 5"),
    Wrong("{ after: ['a\\0b'] }", ".after[0]", "expected a command of 1 to 4000 bytes, found \"a\\u{0}b\""),
    Wrong(
      "{ after: ['\(String(repeating: "a", count: 4001))'] }", ".after[0]",
      "expected a command of 1 to 4000 bytes, found \"\(String(repeating: "a", count: 80))…\""),
  ])
  func load_namesPathAndExpectation(_ refused: Wrong) {
    let failure = #expect(throws: SettingsError.self) { try load(file("checks: \(refused.value)")) }
    #expect(failure?.line == 3)
    #expect(failure?.keyPath == "checks\(refused.path)")
    #expect(failure?.message == refused.message)
  }
}

@Suite struct ReleaseEncodingTests {
  @Test(arguments: [
    "", "health: {}, bake: {}, checks: {}", "health: { http: {} }",
    "health: { interval: '90s', timeout: '10ms', rise: 5, fall: 1, probe: 'off', http: 'off' }",
    "health: { http: { path: '/a', status: '200,300-302', body: 'ü \\\" \\\\', host: 'h:1' } }",
    "bake: { time: '90s', connectFailures: 'off', resets: '0%', serverErrors: '0.05%', firstByte: '123.4%' }",
    "bake: { minimumClients: 1, minimumSamples: 1 }", "checks: { before: ['a \\u0007 \\\"'], after: ['b', 'b'] }",
  ])
  func encoding_isReadBack(_ keys: String) throws {
    for ofListener in [
      "", "health: {}", "health: { http: {} }", "health: { http: 'off', rise: 4, probe: 'auto' }",
      "health: { interval: '1h', timeout: '1m', fall: 2, http: { status: '204', body: 'x', host: 'y', path: '/z' } }",
    ] {
      let settings = try load(file(keys, listener: ofListener))
      let written = Array(try JSONEncoder().encode(settings))
      #expect(try Settings.load(text: written, file: "w", environment: rootPaths) == settings)
    }
  }

  @Test func encoding_hasTheFormsOfTheFile() throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let settings = try load(
      file(
        "health: { http: { body: 'ok' } }, bake: { resets: 'off' }, checks: { before: ['a'] }",
        listener: "health: { interval: '1000ms', http: 'off' }"))
    let text = try #require(String(bytes: try encoder.encode(settings), encoding: .utf8))
    #expect(text.contains(#""health":{"http":"off","interval":"1s"}"#))
    #expect(
      text.contains(
        #""health":{"fall":3,"http":{"body":"ok","path":"/","status":"200-399"},"interval":"2s","probe":"auto","#
          + #""rise":2,"timeout":"1s"}"#))
    #expect(
      text.contains(
        #""bake":{"connectFailures":"1%","firstByte":"400%","minimumClients":10,"minimumSamples":20,"resets":"off","#
          + #""serverErrors":"5%","time":"0s"}"#))
    #expect(text.contains(#""checks":{"after":[],"before":["a"]}"#))
  }
}

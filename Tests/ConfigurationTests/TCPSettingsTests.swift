import Configuration
import FoundationEssentials
import Testing

private func listener(_ keys: String, targets: String = "blue:['x:1'],green:['10.0.0.1:1']") throws(SettingsError)
  -> ListenerSettings
{
  try load("{listeners:[{bind:':1',\(targets),\n\(keys)}]}").listeners[0]
}

@Suite struct TCPSettingsTests {
  @Test func load_leavesEverythingToTheSystem_whenNothingIsSaid() throws {
    let settings = try load(smallest).listeners[0]
    #expect(settings.tcp == TCPSettings())
    #expect(settings.tcp.towardsClients == TCPSettings.SideSettings())
    #expect(settings.tcp.deferAccept == nil)
    #expect(settings.source == [])
  }

  @Test func load_letsASideOverride_whatCountsForBoth() throws {
    let tcp = try listener(
      """
      tcp: { congestion: "cubic", keepalive: "2m", userTimeout: "1m", deferAccept: true,
             client: { congestion: "bbr", userTimeout: "1500ms" }, target: { keepalive: "1s" } }
      """
    ).tcp
    #expect(
      tcp.towardsClients == TCPSettings.SideSettings(congestion: "bbr", keepalive: 120_000, userTimeout: 1500))
    #expect(
      tcp.towardsTargets == TCPSettings.SideSettings(congestion: "cubic", keepalive: 1000, userTimeout: 60_000))
    #expect(tcp.deferAccept == true)
    #expect(try listener("tcp: { deferAccept: false }").tcp.deferAccept == false)
  }

  @Test func load_readsSources_ofFamiliesThatATargetMayHave() throws {
    #expect(
      try listener("source: ['10.0.0.5', '10.0.0.6', 'fd00::5', 'fe80::1%lo']").source.map(\.text)
        == ["10.0.0.5", "10.0.0.6", "fd00::5", "fe80::1%lo"])
    #expect(
      try listener("source: ['::1']", targets: "blue:['unix:/a'],green:['[::2]:1']").source.map(\.isIPv6) == [true])
  }

  @Test(arguments: [
    "tcp: { congestion: 'bbr', keepalive: '90s', userTimeout: '24h', deferAccept: false }",
    "tcp: { client: { keepalive: '32767s' }, target: { congestion: 'dctcp' } }", "tcp: { client: {}, target: {} }",
    "tcp: {}", "source: ['127.0.0.2', '127.0.0.3'], tcp: { userTimeout: '1s' }",
  ])
  func encoding_isReadBack(_ keys: String) throws {
    let settings = try load("{listeners:[{bind:':1',blue:['x:1'],green:['y:1'],\(keys)}]}")
    let written = Array(try JSONEncoder().encode(settings))
    #expect(try Settings.load(text: written, file: "w", environment: rootPaths) == settings)
  }

  @Test func encoding_hasTheFormsOfTheFile() throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let settings = try listener(
      "source: ['10.0.0.5'], tcp: { keepalive: '120s', userTimeout: '1m', client: { congestion: 'bbr' } }")
    let text = try #require(String(bytes: try encoder.encode(settings), encoding: .utf8))
    #expect(text.contains(#""source":["10.0.0.5"]"#))
    #expect(text.contains(#""tcp":{"client":{"congestion":"bbr"},"keepalive":"2m","userTimeout":"1m"}"#))
  }

  struct Refused: Sendable, CustomTestStringConvertible {
    let keys: String
    let column: Int
    let path: String
    let message: String
    init(_ keys: String, _ column: Int, _ path: String, _ message: String) {
      (self.keys, self.column, self.path, self.message) = (keys, column, path, message)
    }
    var testDescription: String { keys }
  }

  private static let numeric = "an IPv4 or IPv6 address of this machine, without a port"
  private static let keepalive = "a duration in whole seconds such as \"30s\" or \"2m\" from 1s to 32767s"
  private static let congestion = "the name of a congestion control, such as \"cubic\" or \"bbr\""

  @Test(arguments: [
    Refused("tcp: 1", 6, "tcp", "expected an object, found 1"),
    Refused(
      "tcp: { congstion: 'x' }", 8, "tcp.congstion",
      "expected one of the keys congestion, keepalive, userTimeout, deferAccept, client, target, found \"congstion\"; "
        + "did you mean congestion?"),
    Refused(
      "tcp: { client: { deferAccept: true } }", 18, "tcp.client.deferAccept",
      "expected one of the keys congestion, keepalive, userTimeout, found \"deferAccept\""),
    Refused("tcp: { congestion: '' }", 20, "tcp.congestion", "expected \(congestion), found \"\""),
    Refused("tcp: { congestion: 'a b' }", 20, "tcp.congestion", "expected \(congestion), found \"a b\""),
    Refused(
      "tcp: { congestion: 'sixteen-letters-' }", 20, "tcp.congestion",
      "expected \(congestion), found \"sixteen-letters-\""),
    Refused("tcp: { congestion: 7 }", 20, "tcp.congestion", "expected \(congestion), found 7"),
    Refused("tcp: { keepalive: '500ms' }", 19, "tcp.keepalive", "expected \(keepalive), found \"500ms\""),
    Refused("tcp: { keepalive: '1500ms' }", 19, "tcp.keepalive", "expected \(keepalive), found \"1500ms\""),
    Refused(
      "tcp: { target: { keepalive: '10h' } }", 29, "tcp.target.keepalive", "expected \(keepalive), found \"10h\""),
    Refused(
      "tcp: { userTimeout: '999ms' }", 21, "tcp.userTimeout",
      "expected a duration such as \"30s\" or \"1m\" from 1s to 24h, found \"999ms\""),
    Refused("tcp: { deferAccept: 'yes' }", 21, "tcp.deferAccept", "expected true or false, found \"yes\""),
    Refused("source: '10.0.0.5'", 9, "source", "expected an array of 1 to 64 addresses, found \"10.0.0.5\""),
    Refused("source: []", 9, "source", "expected an array of 1 to 64 addresses, found an empty array"),
    Refused(
      "source: [\(String(repeating: "'10.0.0.5',", count: 65))]", 9, "source",
      "expected an array of 1 to 64 addresses, found 65"),
    Refused("source: [5]", 10, "source[0]", "expected an address, found 5"),
    Refused("source: ['10.0.0.5:80']", 10, "source[0]", "expected \(numeric), found \"10.0.0.5:80\""),
    Refused("source: ['host']", 10, "source[0]", "expected \(numeric), found \"host\""),
    Refused("source: ['0.0.0.0']", 10, "source[0]", "expected \(numeric), found \"0.0.0.0\""),
    Refused("source: ['::']", 10, "source[0]", "expected \(numeric), found \"::\""),
    Refused("source: ['::ffff:10.0.0.5']", 10, "source[0]", "expected \(numeric), found \"::ffff:10.0.0.5\""),
    Refused("source: ['10.1']", 10, "source[0]", "expected \(numeric), found \"10.1\""),
    Refused("source: ['10.0.0.5', '10.0.0.5']", 22, "source[1]", "expected each address once, found 10.0.0.5 again"),
    Refused("source: ['fd00::1', 'fd00:0::1']", 21, "source[1]", "expected each address once, found fd00:0::1 again"),
  ])
  func load_namesPlacePathAndExpectation(_ refused: Refused) {
    let failure = #expect(throws: SettingsError.self) { try listener(refused.keys) }
    #expect(
      failure?.description == "test.json5:2:\(refused.column): listeners[0].\(refused.path): \(refused.message)")
  }

  @Test func load_refusesASource_whoseFamilyNoTargetHas() {
    let failure = #expect(throws: SettingsError.self) {
      try listener("source: ['10.0.0.5', '::1']", targets: "blue:['10.0.0.1:1'],green:['unix:/a']")
    }
    #expect(failure?.keyPath == "listeners[0].source[1]")
    #expect(failure?.message == "expected an address of a family that a target has, found ::1, and no target has IPv6")
  }
}

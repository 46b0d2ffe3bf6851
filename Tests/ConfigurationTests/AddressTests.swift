import Arguments
import Configuration
import Testing

@Suite struct AddressTests {
  private static let longestPath = "/" + String(repeating: "p", count: 106)

  @Test(arguments: [
    ("10.0.0.2:80", Address.host("10.0.0.2", port: 80)),
    ("app.internal:65535", .host("app.internal", port: 65535)),
    ("app_1-b.internal.:1", .host("app_1-b.internal.", port: 1)),
    ("[2001:db8::2]:80", .host("2001:db8::2", port: 80)),
    ("[::]:80", .host("::", port: 80)),
    ("[1:2:3:4:5:6:7:8]:80", .host("1:2:3:4:5:6:7:8", port: 80)),
    ("[::ffff:10.0.0.1]:80", .host("::ffff:10.0.0.1", port: 80)),
    ("[fe80::1%eth0.5]:80", .host("fe80::1%eth0.5", port: 80)),
    ("unix:/run/app.sock", .local(path: "/run/app.sock")),
    ("unix:\(longestPath)", .local(path: longestPath)),
  ])
  func init_readsWhatDescriptionWrites_whenTheTextIsAnAddress(_ text: String, _ expected: Address) throws {
    for use in [Address.Use.connecting, .listening] { #expect(try Address(text, for: use) == expected) }
    #expect(expected.description == text)
  }

  @Test(arguments: [
    (":80", Address.wildcard(port: 80)), (":0", .wildcard(port: 0)), ("127.0.0.1:0", .host("127.0.0.1", port: 0)),
  ])
  func init_takesWildcardAndPortZero_whenListeningOnly(_ text: String, _ expected: Address) throws {
    #expect(try Address(text, for: .listening) == expected)
    #expect(expected.description == text)
    #expect(throws: Address.ParseFailure.self) { try Address(text, for: .connecting) }
  }

  @Test(arguments: [
    ("", "host:port, [v6]:port or unix:/path"), ("80", "host:port, [v6]:port or unix:/path"),
    ("web", "host:port, [v6]:port or unix:/path"), ("::1:80", "host:port, [v6]:port or unix:/path"),
    ("[::1:80", "host:port, [v6]:port or unix:/path"), (":80", "host:port, [v6]:port or unix:/path"),
    ("web:", "a port from 1 to 65535"), ("web:0", "a port from 1 to 65535"), ("web:65536", "a port from 1 to 65535"),
    ("web:99999999999999999999", "a port from 1 to 65535"), ("web:+80", "a port from 1 to 65535"),
    ("web:-1", "a port from 1 to 65535"), ("web:8o", "a port from 1 to 65535"),
    ("web:\u{301}80", "a port from 1 to 65535"), ("[::1]80:80", "host:port, [v6]:port or unix:/path"),
    ("a b:80", "a host name or an IPv4 address before the port"),
    ("a..b:80", "a host name or an IPv4 address before the port"),
    ("-a:80", "a host name or an IPv4 address before the port"),
    ("*:80", "a host name or an IPv4 address before the port"),
    ("10.0.0.256:80", "a host name or an IPv4 address before the port"),
    ("10.1:80", "a host name or an IPv4 address before the port"),
    ("010.0.0.1:80", "a host name or an IPv4 address before the port"),
    ("http://web:80", "host:port, [v6]:port or unix:/path"),
    ("[web]:80", "an IPv6 address between the brackets"), ("[]:80", "an IPv6 address between the brackets"),
    ("[:]:80", "an IPv6 address between the brackets"), ("[:::]:80", "an IPv6 address between the brackets"),
    ("[1::2::3]:80", "an IPv6 address between the brackets"), ("[1:2]:80", "an IPv6 address between the brackets"),
    ("[1:2:3:4:5:6:7:8:9]:80", "an IPv6 address between the brackets"),
    ("[1:2:3:4::5:6:7:8]:80", "an IPv6 address between the brackets"),
    ("[12345::]:80", "an IPv6 address between the brackets"), ("[::g]:80", "an IPv6 address between the brackets"),
    ("[1.2.3.4::]:80", "an IPv6 address between the brackets"), ("[::1%]:80", "an IPv6 address between the brackets"),
    ("unix:", "unix: and the absolute path of a file"), ("unix:app.sock", "unix: and the absolute path of a file"),
    ("unix:/run/", "unix: and the absolute path of a file"), ("unix:/a\0b", "unix: and the absolute path of a file"),
    ("unix:\(longestPath)p", "unix: and a path of at most 107 bytes"),
  ])
  func init_saysWhatIsExpected_whenTheTextIsNoTarget(_ text: String, _ expected: String) {
    let failure = #expect(throws: Address.ParseFailure.self) { try Address(text, for: .connecting) }
    #expect(failure?.description.hasPrefix("expected \(expected), found \"") == true, "\(String(describing: failure))")
  }

  @Test func init_offersTheWildcard_whenListening() {
    let failure = #expect(throws: Address.ParseFailure.self) { try Address("80", for: .listening) }
    #expect(failure?.description == "expected host:port, [v6]:port, :port or unix:/path, found \"80\"")
  }

  @Test(arguments: [
    ("127.0.0.1:80", ["127.0.0.1:80"]), ("[::1]:81", ["[::1]:81"]), (":82", ["[::]:82", "0.0.0.0:82"]),
    ("unix:/run/a.sock", ["unix:/run/a.sock"]),
  ])
  func resolve_answersTheAddresses_whenNoNameServerIsNeeded(_ text: String, _ expected: [String]) throws {
    #expect(try Address(text, for: .listening).resolve().map(\.description) == expected)
  }

  @Test func resolve_fails_whenAPathIsTooLong() {
    #expect(throws: (any Error).self) { try Address.local(path: Self.longestPath + "p").resolve() }
  }
}

@Suite struct DurationTests {
  @Test(arguments: [
    ("0s", 0), ("0ms", 0), ("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("90s", 90_000),
    ("1500ms", 1500), ("8760h", 31_536_000_000), ("31536000000ms", 31_536_000_000),
  ])
  func parseDuration_answersMilliseconds_whenTheTextIsADuration(_ text: String, _ expected: Int64) {
    #expect(parseDuration(text) == expected)
    #expect(parseDuration(formatDuration(expected)) == expected)
  }

  @Test(arguments: [
    "", "s", "30", "30 s", " 30s", "30s ", "-1s", "+1s", "1.5s", "1d", "1S", "1h30m", "8761h", "31536000001ms",
    "9223372036854775807h", "99999999999999999999s", "\u{661}s", "1\u{301}s", "1s\u{301}", "1\0s", "ms",
  ])
  func parseDuration_answersNil_whenTheTextIsNone(_ text: String) {
    #expect(parseDuration(text) == nil)
  }

  @Test(
    arguments: [
      (0, "0s"), (1, "1ms"), (999, "999ms"), (1000, "1s"), (90_000, "90s"), (120_000, "2m"), (3_600_000, "1h"),
      (5_400_000, "90m"), (1001, "1001ms"), (.max, "9223372036854775807ms"),
    ] as [(Int64, String)])
  func formatDuration_usesTheLargestUnitWithoutAFraction(_ milliseconds: Int64, _ expected: String) {
    #expect(formatDuration(milliseconds) == expected)
  }
}

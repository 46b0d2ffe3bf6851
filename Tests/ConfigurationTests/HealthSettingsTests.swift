import Configuration
import Testing

/// What counts for the targets of the listener.
private func health(_ root: String, listener keys: String = "", protocol: String = "http") throws(SettingsError)
  -> HealthSettings
{
  let settings = try load(file(root, listener: keys, protocol: `protocol`))
  return settings.health(of: settings.listeners[0])
}

@Suite struct HealthSettingsTests {
  @Test func load_probesWithConnects_whenNothingIsSaid() throws {
    let settings = try load(smallest)
    #expect(settings.health == HealthSettings())
    #expect(settings.health.interval == 2000 && settings.health.timeout == 1000)
    #expect(settings.health.rise == 2 && settings.health.fall == 3)
    #expect(settings.health.probe == .auto && settings.health.http == nil)
    #expect(settings.health(of: settings.listeners[0]) == HealthSettings())
  }

  @Test func load_readsEveryKey() throws {
    let read = try load(
      file(
        """
        health: { interval: "100ms", timeout: "1m", rise: 1, fall: 100, probe: "off",
                  http: { path: "/a?b=%20", status: "200,204,300-399", body: "is \\"ok\\"", host: "[::1]:80" } }
        """)
    ).health
    let expected = HealthSettings(
      interval: 100, timeout: 60_000, rise: 1, fall: 100, probe: .off,
      http: HTTPProbeSettings(path: "/a?b=%20", body: "is \"ok\"", host: "[::1]:80"))
    #expect(read.http?.status.ranges == [200...200, 204...204, 300...399])
    var rest = read
    rest.http?.status = HTTPProbeSettings().status
    #expect(rest == expected)
  }

  @Test func http_hasDefaults_whenItIsThere() throws {
    let http = try #require(try health("health: { http: {} }").http)
    #expect(http == HTTPProbeSettings())
    #expect(http.path == "/" && http.status.ranges == [200...399] && http.body == nil && http.host == nil)
    #expect(try health("health: { http: 'off' }").http == nil)
  }

  // MARK: Listeners

  @Test func listener_replacesSingleValues() throws {
    let root = "health: { interval: '9s', rise: 7, http: { path: '/root', body: 'ok' } }"
    let mixed = try health(root, listener: "health: { rise: 8, timeout: '3s', http: { path: '/own', host: 'h' } }")
    #expect(mixed.interval == 9000 && mixed.timeout == 3000 && mixed.rise == 8 && mixed.fall == 3)
    #expect(mixed.http == HTTPProbeSettings(path: "/own", body: "ok", host: "h"))
    let same = try health(root, listener: "health: {}")
    #expect(try health(root) == same)
    #expect(same.http?.path == "/root")
    #expect(try health(root, listener: "health: { probe: 'off' }").probe == .off)
  }

  @Test func listener_turnsRequestsOnAndOff() throws {
    let root = "health: { http: { path: '/root' } }"
    #expect(try health(root, listener: "health: { http: 'off' }").http == nil)
    #expect(try health("", listener: "health: { http: { path: '/own' } }").http == HTTPProbeSettings(path: "/own"))
    #expect(try health("", listener: "health: { http: {} }").http == HTTPProbeSettings())
  }

  @Test func listenerOfTCP_isNeverAsked() throws {
    let root = "health: { http: { path: '/root' }, fall: 9 }"
    let settings = try health(root, protocol: "tcp")
    #expect(settings.http == nil && settings.fall == 9)
    #expect(try health(root, listener: "health: { http: 'off' }", protocol: "tcp").http == nil)
    let failure = #expect(throws: SettingsError.self) {
      try health(root, listener: "health: { http: {} }", protocol: "tcp")
    }
    #expect(
      failure?.description == "test.json5:2:17: listeners[0].health.http: expected \"off\", as the listener's "
        + "protocol is not \"http\", found an object")
  }

  // MARK: Errors

  private static let interval = "expected a duration such as \"500ms\" or \"2s\" from 100ms to 1h"
  private static let timeout = "expected a duration such as \"500ms\" or \"2s\" from 10ms to 1m"
  private static let path =
    "expected a path that starts with \"/\", of at most 1000 bytes, without blanks and \"#\""
  private static let status = "expected statuses from 200 to 599 such as \"200-399\" or \"200,204,300-399\""
  private static let body = "expected a text of 1 to 200 bytes without control characters"
  private static let host = "expected a host, with or without a port, of 1 to 255 of A-Z a-z 0-9 . _ - : [ ]"

  /// The same at the root and for a listener.
  @Test(arguments: [
    Wrong("1", "", "expected an object, found 1"),
    Wrong(
      "{ intervall: '1s' }", ".intervall",
      "expected one of the keys interval, timeout, rise, fall, probe, http, "
        + "found \"intervall\"; did you mean interval?"),
    Wrong("{ interval: '99ms' }", ".interval", interval + ", found \"99ms\""),
    Wrong("{ interval: '3601s' }", ".interval", interval + ", found \"3601s\""),
    Wrong("{ interval: 2 }", ".interval", interval + ", found 2"),
    Wrong("{ timeout: '9ms' }", ".timeout", timeout + ", found \"9ms\""),
    Wrong("{ timeout: '2m' }", ".timeout", timeout + ", found \"2m\""),
    Wrong("{ rise: 0 }", ".rise", "expected a whole number from 1 to 100, found 0"),
    Wrong("{ fall: 101 }", ".fall", "expected a whole number from 1 to 100, found 101"),
    Wrong("{ fall: '3' }", ".fall", "expected a whole number from 1 to 100, found \"3\""),
    Wrong("{ probe: 'on' }", ".probe", "expected \"auto\" or \"off\", found \"on\""),
    Wrong("{ probe: false }", ".probe", "expected \"auto\" or \"off\", found false"),
    Wrong("{ http: 'on' }", ".http", "expected an object or \"off\", found \"on\""),
    Wrong("{ http: false }", ".http", "expected an object or \"off\", found false"),
    Wrong(
      "{ http: { url: '/' } }", ".http.url",
      "expected one of the keys path, status, body, host, found \"url\""),
    Wrong("{ http: { path: 'health' } }", ".http.path", path + ", found \"health\""),
    Wrong("{ http: { path: '' } }", ".http.path", path + ", found \"\""),
    Wrong("{ http: { path: '/a b' } }", ".http.path", path + ", found \"/a b\""),
    Wrong("{ http: { path: '/a#b' } }", ".http.path", path + ", found \"/a#b\""),
    Wrong("{ http: { path: '/ü' } }", ".http.path", path + ", found \"/ü\""),
    Wrong("{ http: { path: '/a\\r\\nX: y' } }", ".http.path", path + ", found \"/a\\u{D}\\u{A}X: y\""),
    Wrong(
      "{ http: { path: '/\(String(repeating: "p", count: 1000))' } }", ".http.path",
      path + ", found \"/\(String(repeating: "p", count: 79))…\""),
    Wrong("{ http: { path: 7 } }", ".http.path", path + ", found 7"),
    Wrong("{ http: { status: 200 } }", ".http.status", status + ", found 200"),
    Wrong("{ http: { status: '' } }", ".http.status", status + ", found \"\""),
    Wrong("{ http: { status: '100' } }", ".http.status", status + ", found \"100\""),
    Wrong("{ http: { status: '600' } }", ".http.status", status + ", found \"600\""),
    Wrong("{ http: { status: '+200' } }", ".http.status", status + ", found \"+200\""),
    Wrong("{ http: { status: '399-200' } }", ".http.status", status + ", found \"399-200\""),
    Wrong("{ http: { status: '200-' } }", ".http.status", status + ", found \"200-\""),
    Wrong("{ http: { status: '200-300-400' } }", ".http.status", status + ", found \"200-300-400\""),
    Wrong("{ http: { status: '200,' } }", ".http.status", status + ", found \"200,\""),
    Wrong("{ http: { status: '200, 204' } }", ".http.status", status + ", found \"200, 204\""),
    Wrong(
      "{ http: { status: '\(Array(repeating: "200", count: 17).joined(separator: ","))' } }", ".http.status",
      status + ", found \"\(Array(repeating: "200", count: 17).joined(separator: ","))\""),
    Wrong("{ http: { body: '' } }", ".http.body", body + ", found \"\""),
    Wrong("{ http: { body: 'a\\nb' } }", ".http.body", body + ", found \"a\\u{A}b\""),
    Wrong(
      "{ http: { body: '\(String(repeating: "b", count: 201))' } }", ".http.body",
      body + ", found \"\(String(repeating: "b", count: 80))…\""),
    Wrong("{ http: { body: true } }", ".http.body", body + ", found true"),
    Wrong("{ http: { host: 'a b' } }", ".http.host", host + ", found \"a b\""),
    Wrong("{ http: { host: '' } }", ".http.host", host + ", found \"\""),
  ])
  func load_namesPathAndExpectation(_ refused: Wrong) {
    let atRoot = #expect(throws: SettingsError.self) { try load(file("health: \(refused.value)")) }
    #expect(atRoot?.line == 3)
    #expect(atRoot?.keyPath == "health\(refused.path)")
    #expect(atRoot?.message == refused.message)
    let ofListener = #expect(throws: SettingsError.self) {
      try load(file("", listener: "health: \(refused.value)"))
    }
    #expect(ofListener?.line == 2)
    #expect(ofListener?.keyPath == "listeners[0].health\(refused.path)")
    #expect(ofListener?.message == refused.message)
  }
}

import Configuration
import Testing

private let rootKeys =
  "listeners, active, stateFile, workers, admin, drain, timeouts, limits, health, bake, checks, busyPoll, splice"
private let busyPoll = "\"auto\", \"off\" or microseconds such as \"50us\", from \"1us\" to \"1000us\""

@Suite struct SettingsErrorTests {
  struct Refused: Sendable, CustomTestStringConvertible {
    let text: String
    let line: Int
    let column: Int
    let keyPath: String
    let message: String
    init(_ text: String, _ line: Int, _ column: Int, _ keyPath: String, _ message: String) {
      (self.text, self.line, self.column, self.keyPath, self.message) = (text, line, column, keyPath, message)
    }
    var testDescription: String { text }
  }

  private func expectRefused(_ refused: Refused, _ text: String) {
    let failure = #expect(throws: SettingsError.self) { try load(text) }
    #expect(failure?.file == "test.json5")
    #expect(failure?.line == refused.line)
    #expect(failure?.column == refused.column)
    #expect(failure?.keyPath == refused.keyPath)
    #expect(failure?.message == refused.message)
    let path = refused.keyPath.isEmpty ? "" : "\(refused.keyPath): "
    #expect(failure?.description == "test.json5:\(refused.line):\(refused.column): \(path)\(refused.message)")
  }

  private static let duration = "a duration such as \"250ms\", \"30s\", \"5m\" or \"1h\""

  /// Each text is an object's end, after a line with a valid listener.
  @Test(arguments: [
    Refused(
      "workrs: 1}", 2, 1, "workrs", "expected one of the keys \(rootKeys), found \"workrs\"; did you mean workers?"),
    Refused(
      "StateFile: 1}", 2, 1, "StateFile",
      "expected one of the keys \(rootKeys), found \"StateFile\"; did you mean stateFile?"),
    Refused("'a b': 1}", 2, 1, "\"a b\"", "expected one of the keys \(rootKeys), found \"a b\""),
    Refused(
      "drain: {\n time: '1s'}}", 3, 2, "drain.time",
      "expected one of the keys timeout, spread, found \"time\"; did you mean timeout?"),
    Refused(
      "drain: {\n timout: '1s'}}", 3, 2, "drain.timout",
      "expected one of the keys timeout, spread, found \"timout\"; did you mean timeout?"),
    Refused(
      "bakes: {}}", 2, 1, "bakes", "expected one of the keys \(rootKeys), found \"bakes\"; did you mean bake?"),
    Refused(
      "source: ['10.0.0.5']}", 2, 1, "source", "expected one of the keys \(rootKeys), found \"source\""),
    Refused("busyPoll: 1}", 2, 11, "busyPoll", "expected \(busyPoll), found 1"),
    Refused("busyPoll: 'on'}", 2, 11, "busyPoll", "expected \(busyPoll), found \"on\""),
    Refused("busyPoll: '0us'}", 2, 11, "busyPoll", "expected \(busyPoll), found \"0us\""),
    Refused("busyPoll: '1001us'}", 2, 11, "busyPoll", "expected \(busyPoll), found \"1001us\""),
    Refused("busyPoll: '+5us'}", 2, 11, "busyPoll", "expected \(busyPoll), found \"+5us\""),
    Refused(
      "busyPoll: '99999999999999999999us'}", 2, 11, "busyPoll",
      "expected \(busyPoll), found \"99999999999999999999us\""),
    Refused("splice: true}", 2, 9, "splice", "expected \"auto\" or \"off\", found true"),
    Refused("splice: 'on'}", 2, 9, "splice", "expected \"auto\" or \"off\", found \"on\""),
    Refused(
      "timeouts: { hold: '0s' }}", 2, 19, "timeouts.hold",
      "expected a duration such as \"250ms\", \"30s\", \"5m\" or \"1h\" from 1ms to 8760h, found \"0s\""),
    Refused("admin: { metrics: 9180 }}", 2, 19, "admin.metrics", "expected an address, found 9180"),
    Refused(
      "admin: { metrics: ':80' }}", 2, 19, "admin.metrics",
      "expected an address of its own, found :80, which the listener main takes"),
    Refused("active: 'red'}", 2, 9, "active", "expected \"blue\" or \"green\", found \"red\""),
    Refused("active: null}", 2, 9, "active", "expected \"blue\" or \"green\", found null"),
    Refused(
      "stateFile: 'state.json'}", 2, 12, "stateFile",
      "expected the absolute path of a file, found \"state.json\""),
    Refused("stateFile: '/var/lib/'}", 2, 12, "stateFile", "expected the absolute path of a file, found \"/var/lib/\""),
    Refused("stateFile: '/a\\nb'}", 2, 12, "stateFile", "expected the absolute path of a file, found \"/a\\u{A}b\""),
    Refused("stateFile: ['/a']}", 2, 12, "stateFile", "expected an absolute path, found an array"),
    Refused("workers: 257}", 2, 10, "workers", "expected a whole number from 0 to 256, found 257"),
    Refused("workers: -1}", 2, 10, "workers", "expected a whole number from 0 to 256, found -1"),
    Refused("workers: 1.5}", 2, 10, "workers", "expected a whole number from 0 to 256, found 1.5"),
    Refused("workers: '2'}", 2, 10, "workers", "expected a whole number from 0 to 256, found \"2\""),
    Refused(
      "workers: 0xFFFFFFFFFFFFFFFFFF}", 2, 10, "workers",
      "expected a whole number from 0 to 256, found 0xFFFFFFFFFFFFFFFFFF"),
    Refused(
      "workers: -0x8000000000000000}", 2, 10, "workers",
      "expected a whole number from 0 to 256, found -0x8000000000000000"),
    Refused(
      "limits: { sessions: 1000000001 }}", 2, 21, "limits.sessions",
      "expected a whole number from 0 to 1000000000, found 1000000001"),
    Refused("limits: true}", 2, 9, "limits", "expected an object, found true"),
    Refused("admin: { socket: 'x' }}", 2, 18, "admin.socket", "expected the absolute path of a file, found \"x\""),
    Refused(
      "admin: { socket: '/\(String(repeating: "p", count: 107))' }}", 2, 18, "admin.socket",
      "expected a path of at most 107 bytes, found \"/\(String(repeating: "p", count: 79))…\""),
    Refused(
      "admin: { mode: '0666' }}", 2, 16, "admin.mode",
      "expected permissions in octal, as text, with no bits outside \"0660\", found \"0666\""),
    Refused(
      "admin: { mode: '0680' }}", 2, 16, "admin.mode",
      "expected permissions in octal, as text, with no bits outside \"0660\", found \"0680\""),
    Refused(
      "admin: { mode: 660 }}", 2, 16, "admin.mode",
      "expected permissions in octal, as text, with no bits outside \"0660\", found 660"),
    Refused("admin: { group: '' }}", 2, 17, "admin.group", "expected the name of a group, found \"\""),
    Refused("admin: { group: 'a:b' }}", 2, 17, "admin.group", "expected the name of a group, found \"a:b\""),
    Refused("drain: { timeout: 30 }}", 2, 19, "drain.timeout", "expected \(duration) from 0s to 8760h, found 30"),
    Refused("drain: { spread: '1 s' }}", 2, 18, "drain.spread", "expected \(duration) from 0s to 8760h, found \"1 s\""),
    Refused(
      "timeouts: { connect: '0s' }}", 2, 22, "timeouts.connect",
      "expected \(duration) from 1ms to 8760h, found \"0s\""),
    Refused(
      "timeouts: { idle: '9999h' }}", 2, 19, "timeouts.idle",
      "expected \(duration) from 1ms to 8760h, found \"9999h\""),
    Refused(
      "timeouts: { halfClosed: {} }}", 2, 25, "timeouts.halfClosed",
      "expected \(duration) from 1ms to 8760h, found an object"),
    Refused("listeners: []}", 2, 1, "listeners", "expected each key once, found it again after line 1, column 2"),
    Refused("drain: {,}}", 2, 9, "drain", "expected a key or \"}\", found \",\""),
  ])
  func load_namesPlacePathAndExpectation_whenASettingIsWrong(_ refused: Refused) {
    expectRefused(refused, smallest.dropLast() + ",\n" + refused.text)
  }

  private static let targets = "blue:['x:1'],green:['y:1']"

  @Test(arguments: [
    Refused("[]", 1, 1, "", "expected an object, found an empty array"),
    Refused("{}", 1, 1, "listeners", "expected an array of 1 to 64 listeners, found no such key"),
    Refused("{listeners: []}", 1, 13, "listeners", "expected an array of 1 to 64 listeners, found an empty array"),
    Refused("{listeners: {}}", 1, 13, "listeners", "expected an array of 1 to 64 listeners, found an object"),
    Refused(
      "{listeners: [\(String(repeating: "0,", count: 65))]}", 1, 13, "listeners",
      "expected an array of 1 to 64 listeners, found 65"),
    Refused("{listeners: [7]}", 1, 14, "listeners[0]", "expected an object, found 7"),
    Refused(
      "{listeners: [\n{\(targets)}]}", 2, 1, "listeners[0].bind",
      "expected an address to listen at, found no such key"),
    Refused(
      "{listeners: [{bind:':1',blue:['x:1']}]}", 1, 14, "listeners[0].green",
      "expected an array of 1 to 64 targets, found no such key"),
    Refused(
      "{listeners: [{bind:':1',blue:[],green:['y:1']}]}", 1, 30, "listeners[0].blue",
      "expected an array of 1 to 64 targets, found an empty array"),
    Refused(
      "{listeners: [{bind:':1',blue:'x:1',green:['y:1']}]}", 1, 30, "listeners[0].blue",
      "expected an array of 1 to 64 targets, found \"x:1\""),
    Refused(
      "{listeners: [{bind:':1',blue:['x:1',2],green:['y:1']}]}", 1, 37, "listeners[0].blue[1]",
      "expected an address, found 2"),
    Refused(
      "{listeners: [{bind:':1',blue:['x:1',':2'],green:['y:1']}]}", 1, 37, "listeners[0].blue[1]",
      "expected host:port, [v6]:port or unix:/path, found \":2\""),
    Refused(
      "{listeners: [{bind:':1',blue:['x:1','x:1'],green:['y:1']}]}", 1, 37, "listeners[0].blue[1]",
      "expected each target once, found x:1 again"),
    Refused(
      "{listeners: [{bind:'x:1',\(targets)}]}", 1, 32, "listeners[0].blue[0]",
      "expected a target, found x:1, where the listener itself listens"),
    Refused(
      "{listeners: [{bind:':1',preview:'y:1'\n,blue:['x:2'],green:['y:1']}]}", 1, 33, "listeners[0].preview",
      "expected an address of its own, found y:1, which listeners[0].bind in line 1 takes"),
    Refused(
      "{listeners: [{bind:':1',preview:'y:2'\n,blue:['x:2'],green:['y:2']}]}", 2, 22, "listeners[0].green[0]",
      "expected a target, found y:2, where the listener itself listens"),
    Refused(
      "{listeners: [{bind:'80',\(targets)}]}", 1, 20, "listeners[0].bind",
      "expected host:port, [v6]:port, :port or unix:/path, found \"80\""),
    Refused("{listeners: [{bind:80,\(targets)}]}", 1, 20, "listeners[0].bind", "expected an address, found 80"),
    Refused(
      "{listeners: [{bnd:':80',\(targets)}]}", 1, 15, "listeners[0].bnd",
      "expected one of the keys name, bind, protocol, preview, blue, green, source, tcp, health, found \"bnd\"; did you mean bind?"
    ),
    Refused(
      "{listeners: [{proxyProtocol:'off',bind:':1',\(targets)}]}", 1, 15, "listeners[0].proxyProtocol",
      "proxyProtocol is not built yet"),
    Refused(
      "{listeners: [{bind:':1',protocol:'TCP',\(targets)}]}", 1, 34, "listeners[0].protocol",
      "expected \"tcp\" or \"http\", found \"TCP\""),
    Refused(
      "{listeners: [{bind:':1',name:'a b',\(targets)}]}", 1, 30, "listeners[0].name",
      "expected a name of 1 to 64 of A-Z a-z 0-9 . _ -, found \"a b\""),
    Refused(
      "{listeners: [{bind:':1',name:'',\(targets)}]}", 1, 30, "listeners[0].name",
      "expected a name of 1 to 64 of A-Z a-z 0-9 . _ -, found \"\""),
    Refused(
      "{listeners: [{bind:':1',name:'a',\(targets)},\n{bind:':2',name:'a',\(targets)}]}", 2, 17,
      "listeners[1].name", "expected a name of its own, found \"a\", which listeners[0].name in line 1 has"),
    Refused(
      "{listeners: [{bind:':1',name:'listener-2',\(targets)},\n{bind:':2',\(targets)}]}", 2, 1,
      "listeners[1]", "expected a name of its own, found \"listener-2\", which listeners[0].name in line 1 has"),
    Refused(
      "{listeners: [{bind:':1',\(targets)},\n{bind:':1',\(targets)}]}", 2, 7, "listeners[1].bind",
      "expected an address of its own, found :1, which listeners[0].bind in line 1 takes"),
    Refused(
      "{listeners: [{bind:'unix:/a',\(targets)},\n{bind:':1',preview:'unix:/a',\(targets)}]}", 2, 20,
      "listeners[1].preview",
      "expected an address of its own, found unix:/a, which listeners[0].bind in line 1 takes"),
  ])
  func load_namesPlacePathAndExpectation_whenListenersAreWrong(_ refused: Refused) {
    expectRefused(refused, refused.text)
  }

  @Test(arguments: [
    "{listeners: [{bind:':0',preview:':0',blue:['x:1'],green:['x:1']}]}",
    "{listeners: [{bind:'a:1',preview:'b:1',blue:['x:1'],green:['x:1']},{bind:'a:2',blue:['a:1'],green:['x:1']}]}",
  ])
  func load_takesAddresses_whenTheyDoNotCollide(_ text: String) throws {
    _ = try load(text)
  }

  @Test func description_staysOneLine_whenTheFileHoldsControlCharacters() throws {
    let failure = #expect(throws: SettingsError.self) { try load("{'a\\nFORGED: \\x1b[31m\u{202E}': 1}") }
    let text = try #require(failure?.description)
    #expect(!text.contains("\n") && !text.contains("\u{1B}") && !text.contains("\u{202E}"))
    #expect(text.contains("a\\u{A}FORGED: \\u{1B}[31m\\u{202E}"))
  }
}

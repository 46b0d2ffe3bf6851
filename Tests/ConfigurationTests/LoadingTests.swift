import Configuration
import FoundationEssentials
import LinuxIO
import Switching
import Testing

@Suite struct LoadingTests {
  @Test func load_fillsInDefaults_whenTheFileNamesOnlyAListener() throws {
    let settings = try load(smallest)
    let listener = ListenerSettings(
      name: "main", bind: .wildcard(port: 80), preview: nil,
      targets: ByColor(blue: [.host("a", port: 1)], green: [.host("b", port: 1)]))
    #expect(settings.listeners == [listener])
    #expect(settings.active == .blue)
    #expect(settings.stateFile == "/var/lib/bgproxy/state.json")
    #expect(settings.workers == 0)
    #expect(settings.admin == AdminSettings(socket: "/run/bgproxy/admin.sock", mode: 0o660, group: nil))
    #expect(settings.drain == DrainSettings(timeout: 30_000, spread: 10_000))
    #expect(settings.timeouts == TimeoutSettings(connect: 5000, idle: 3_600_000, halfClosed: 60_000, hold: 30_000))
    #expect(settings.limits == LimitSettings(sessions: 0))
  }

  @Test func load_readsEveryKey_whenAllAreGiven() throws {
    let settings = try load(
      """
      { listeners: [
          { name: "web", bind: "127.0.0.1:0", protocol: "http", preview: "unix:/run/p", blue: ["a:1", "[::1]:2"],
            green: ["unix:/run/g"] },
          { bind: ":0", blue: ["a:1"], green: ["a:1"] } ],
        active: "green", stateFile: "/s", workers: 0x10, admin: { socket: "/a", mode: "600", group: "ops", metrics: "[::1]:9180" },
        drain: { timeout: "0s", spread: "1h" }, timeouts: { connect: "1ms", idle: "2m", halfClosed: "8760h", hold: "2s" },
        limits: { sessions: +9000 } }
      """)
    #expect(settings.listeners.map(\.name) == ["web", "listener-2"])
    #expect(settings.listeners.map(\.protocol) == [.http, .tcp])
    #expect(settings.listeners[0].preview == .local(path: "/run/p"))
    #expect(settings.listeners[0].targets.blue == [.host("a", port: 1), .host("::1", port: 2)])
    #expect(settings.active == .green)
    #expect(settings.stateFile == "/s")
    #expect(settings.workers == 16)
    #expect(
      settings.admin
        == AdminSettings(socket: "/a", mode: 0o600, group: "ops", metrics: .host("::1", port: 9180)))
    #expect(settings.drain == DrainSettings(timeout: 0, spread: 3_600_000))
    #expect(settings.timeouts == TimeoutSettings(connect: 1, idle: 120_000, halfClosed: 31_536_000_000, hold: 2000))
    #expect(settings.limits.sessions == 9000)
  }

  @Test func load_acceptsTheSampleFile() throws {
    let settings = try Settings.load(text: try sampleFile(), file: "bgproxy.json5", environment: rootPaths)
    #expect(settings.listeners.map(\.name) == ["web", "tls"])
    #expect(settings.listeners.map(\.protocol) == [.http, .tcp])
    var expected = try load(smallest)
    expected.listeners = settings.listeners
    expected.admin.group = "bgproxy"
    expected.admin.metrics = .host("127.0.0.1", port: 9180)
    #expect(settings == expected, "the sample shows the defaults")
  }

  @Test(
    arguments: [("auto", .auto), ("off", .off), ("1us", .microseconds(1)), ("1000us", .microseconds(1000))]
      as [(String, BusyPollSetting)])
  func busyPoll_isReadAndWrittenAlike(text: String, setting: BusyPollSetting) throws {
    let settings = try load(smallest.dropLast() + ", busyPoll: '\(text)'}")
    #expect(settings.busyPoll == setting)
    let written = try JSONEncoder().encode(settings)
    #expect(try Settings.load(text: Array(written), file: "b", environment: rootPaths) == settings)
  }

  @Test func encoding_isAConfigurationFile() throws {
    for text in [try sampleFile(), Array(smallest.utf8)] {
      let settings = try Settings.load(text: text, file: "a", environment: rootPaths)
      let written = Array(try JSONEncoder().encode(settings))
      let elsewhere = DefaultPaths(uid: 7) { _ in nil }
      #expect(try Settings.load(text: written, file: "b", environment: elsewhere) == settings)
    }
  }

  @Test func encoding_hasTheKeysAndFormsOfTheFile() throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let written = try #require(String(bytes: try encoder.encode(try load(smallest)), encoding: .utf8))
    #expect(
      written == """
        {"active":"blue","admin":{"mode":"0660","socket":"/run/bgproxy/admin.sock"},\
        "bake":{"connectFailures":"1%","firstByte":"400%","minimumClients":10,"minimumSamples":20,"resets":"5%",\
        "serverErrors":"5%","time":"0s"},"busyPoll":"auto","checks":{"after":[],"before":[]},\
        "drain":{"spread":"10s","timeout":"30s"},"health":{"fall":3,"interval":"2s","probe":"auto","rise":2,\
        "timeout":"1s"},"limits":{"sessions":0},\
        "listeners":[{"bind":":80","blue":["a:1"],"green":["b:1"],"name":"main","protocol":"tcp"}],\
        "splice":"off","stateFile":"/var/lib/bgproxy/state.json",\
        "timeouts":{"connect":"5s","halfClosed":"1m","hold":"30s","idle":"1h"},"workers":0}
        """)
  }
}

@Suite struct OverrideTests {
  private func listening(_ change: (inout Overrides) -> Void = { _ in }) -> Overrides {
    var overrides = Overrides()
    overrides.listen = "127.0.0.1:0"
    overrides.blue = ["a:1", "a:2"]
    overrides.green = ["b:1"]
    change(&overrides)
    return overrides
  }

  @Test func load_describesOneListener_whenThereIsOnlyACommandLine() throws {
    let overrides = listening {
      $0.preview = ":0"
      $0.protocol = "http"
      $0.active = .green
    }
    let settings = try Settings.load(overrides: overrides, environment: rootPaths)
    let targets = ByColor<[Address]>(
      blue: [.host("a", port: 1), .host("a", port: 2)], green: [.host("b", port: 1)])
    #expect(
      settings.listeners == [
        ListenerSettings(
          name: "main", bind: .host("127.0.0.1", port: 0), protocol: .http, preview: .wildcard(port: 0),
          targets: targets)
      ])
    #expect(settings.active == .green)
    #expect(settings.stateFile == rootPaths.stateFile)
    #expect(settings.admin.socket == rootPaths.adminSocket)
  }

  @Test func load_prefersOptions_whenTheFileSaysOtherwise() throws {
    let overrides = listening {
      $0.socket = "/s"
      $0.state = "/t"
      $0.workers = 3
      $0.active = .green
    }
    let file = """
      {listeners:[{name:"x",bind:":1",blue:["a:9"],green:["b:9"]},{bind:":2",blue:["a:9"],green:["b:9"]}],
       active:"blue", stateFile:"/file", workers: 9, admin:{socket:"/file",mode:"0600"}}
      """
    let settings = try load(file, overrides)
    #expect(settings.listeners.map(\.name) == ["main"])
    #expect(settings.listeners.map(\.bind) == [.host("127.0.0.1", port: 0)])
    #expect(settings.active == .green)
    #expect(settings.stateFile == "/t")
    #expect(settings.workers == 3)
    #expect(settings.admin == AdminSettings(socket: "/s", mode: 0o600))
  }

  @Test func load_needsNoListenersInTheFile_whenTheCommandLineHasOne() throws {
    #expect(try load("{workers: 2}", listening()).workers == 2)
  }

  @Test func load_stillChecksTheFile_whenOptionsOverrideIt() {
    #expect(throws: SettingsError.self) { try load("{workers: -1}", listening { $0.workers = 1 }) }
  }

  @Test(
    arguments: [
      Change("--listen", "expected an address, or --config with a file, found neither") { $0 = Overrides() },
      Change("--blue", "expected --listen beside it, found none") { $0.listen = nil },
      Change("--green", "expected --listen beside it, found none") {
        $0 = Overrides()
        $0.green = ["b:1"]
      },
      Change("--preview", "expected --listen beside it, found none") {
        $0 = Overrides()
        $0.preview = ":1"
      },
      Change("--protocol", "expected --listen beside it, found none") {
        $0 = Overrides()
        $0.protocol = "tcp"
      },
      Change("--blue", "expected 1 to 64 targets to go with --listen, found none") { $0.blue = [] },
      Change("--green", "expected 1 to 64 targets to go with --listen, found none") { $0.green = [] },
      Change("--green", "expected 1 to 64 targets to go with --listen, found 65") {
        $0.green = (1...65).map { "b:\($0)" }
      },
      Change("--listen", "expected host:port, [v6]:port, :port or unix:/path, found \"80\"") { $0.listen = "80" },
      Change("--blue", "expected a port from 1 to 65535, found \"a:0\"") { $0.blue = ["a:1", "a:0"] },
      Change("--green", "expected each target once, found b:1 again") { $0.green = ["b:1", "b:1"] },
      Change("--preview", "expected host:port, [v6]:port, :port or unix:/path, found \"x\"") { $0.preview = "x" },
      Change("--preview", "expected an address of its own, found a:9, which --listen takes") {
        $0.listen = ":9"
        $0.preview = "a:9"
      },
      Change("--protocol", "expected \"tcp\" or \"http\", found \"udp\"") { $0.protocol = "udp" },
      Change("--socket", "expected the absolute path of a file, found \"a.sock\"") { $0.socket = "a.sock" },
      Change("--state", "expected the absolute path of a file, found \"\"") { $0.state = "" },
      Change("--workers", "expected a whole number from 0 to 256, found 257") { $0.workers = 257 },
      Change("--workers", "expected a whole number from 0 to 256, found -1") { $0.workers = -1 },
    ] as [Change<Overrides>])
  func load_namesTheOption_whenItIsWrong(_ change: Change<Overrides>) {
    let overrides = listening(change.apply)
    let failure = #expect(throws: SettingsError.self) {
      try Settings.load(overrides: overrides, environment: rootPaths)
    }
    #expect(failure?.file == nil)
    #expect(failure?.description == change.texts.joined(separator: ": "))
  }
}

import Arguments
import Testing

@testable import bgproxy

@Suite struct OptionsTests {
  @Test func nothingGivenMeansTheDefaults() throws {
    #expect(try BgproxyOptions.parse([]) == BgproxyOptions())
  }

  @Test func everyOptionArrives() throws {
    let options = try BgproxyOptions.parse([
      "--listen", ":80", "--blue", "a:1", "--blue=b:2", "--green", "unix:/g", "--protocol", "http", "--active", "green",
      "--preview", "[::1]:81", "--socket", "/s", "--state", "/t", "--workers", "4", "--metrics", ":9180", "--log-level",
      "debug",
      "--log-format", "json", "--check",
    ])
    var expected = BgproxyOptions()
    (expected.listen, expected.blue, expected.green) = (":80", ["a:1", "b:2"], ["unix:/g"])
    (expected.protocol, expected.active, expected.preview) = ("http", "green", "[::1]:81")
    (expected.socket, expected.state, expected.workers) = ("/s", "/t", 4)
    expected.metrics = ":9180"
    (expected.logLevel, expected.logFormat, expected.check) = ("debug", "json", true)
    #expect(options == expected)
  }

  @Test(arguments: [
    (["--demo", "--config", "f"], "--demo and --config exclude each other"),
    (["--listen", ":1", "--blue", "a:1", "--green", "b:1", "--demo"], "--demo and --listen exclude each other"),
    (["--demo", "--blue", "a:1"], "--demo and --blue exclude each other"),
    (["--demo", "--check"], "--demo and --check exclude each other"),
    (["--config", "f", "--listen", ":1"], "--config and --listen exclude each other: listeners are in the file"),
    (["--listen", ":1", "--blue", "a:1"], "--listen needs --green"),
    (["--green", "a:1"], "--green needs --listen"),
    (["--workers", "0"], "--workers '0' is not a number from 1 to 256"),
    (["--workers", "257"], "--workers '257' is not a number from 1 to 256"),
    (["--log-level", "warn"], "--log-level 'warn' is not one of: error, warning, info, debug; did you mean warning?"),
    (["--active", "red"], "--active 'red' is not one of: blue, green"),
    (["serve"], "unexpected argument 'serve'"),
    (["--state", "/a", "--state", "/b"], "--state is given twice"),
  ])
  func whatCannotBeMeantIsRefused(_ arguments: [String], _ message: String) {
    let error = #expect(throws: UsageError.self) { try BgproxyOptions.parse(arguments) }
    #expect(error?.message == message)
    #expect(error?.help == "bgproxy --help")
  }

  @Test func helpNamesEveryBuiltOptionAndNoOther() {
    for name in ["--config", "--listen", "--demo", "--check", "--workers", "--metrics", "--log-format", "--version"] {
      #expect(BgproxyOptions.helpText.contains(name))
    }
  }

  @Test func helpAndVersionNeedNothingElse() throws {
    #expect(try BgproxyOptions.parse(["--help"]).help)
    #expect(try BgproxyOptions.parse(["--version"]).version)
    #expect(BgproxyOptions.versionText == "bgproxy \(bgproxyVersion)\n")
  }
}

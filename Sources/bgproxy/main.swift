import Arguments
import Configuration
import FrontDoor
import Glibc
import LinuxIO
import Switching
import Telemetry

/// Exit codes: docs and `--help` promise them.
enum ExitCode {
  static let usage: Int32 = 2
  static let failure: Int32 = 1
}

func say(_ text: String, to descriptor: Int32 = STDOUT_FILENO) {
  // Where nobody listens there is nobody to tell.
  try? Process.write(Array(text.utf8), to: descriptor)
}

/// The configuration that the command line asks for.
func launch(_ options: BgproxyOptions) throws -> FrontDoor.Launch {
  var overrides = Overrides()
  overrides.listen = options.listen
  overrides.blue = options.blue
  overrides.green = options.green
  overrides.protocol = options.protocol
  overrides.preview = options.preview
  overrides.active = options.active.flatMap(Color.init(rawValue:))
  overrides.socket = options.socket
  overrides.state = options.state
  overrides.workers = options.workers
  overrides.metrics = options.metrics
  let file = options.listen == nil ? options.config ?? "/etc/bgproxy/bgproxy.json5" : nil
  let settings: Settings
  if let file {
    settings = try Settings.load(text: readConfig(file), file: file, overrides: overrides)
  } else {
    settings = try Settings.load(overrides: overrides)
  }
  return FrontDoor.Launch(
    settings: settings, configFile: file, overrides: overrides, version: bgproxyVersion,
    supervisor: Process.environment("NOTIFY_SOCKET"))
}

/// Serves until the end; answers the exit code.
func serve(_ launch: FrontDoor.Launch, _ options: BgproxyOptions, setUp: consuming ProcessSetUp) -> Int32 {
  do {
    let log = try Log(
      level: LogLevel(name: options.logLevel) ?? .info, format: LogFormat(rawValue: options.logFormat) ?? .text)
    defer { log.flush(withinMilliseconds: 1000) }
    do {
      return try FrontDoor.serve(launch, setUp: setUp, log: log)
    } catch {
      log.error("start-failed", ["reason": .string("\(error)")])
      return ExitCode.failure
    }
  } catch {
    say("bgproxy: \(error)\n", to: STDERR_FILENO)
    return ExitCode.failure
  }
}

func run(_ arguments: [String]) -> Int32 {
  var options: BgproxyOptions
  do {
    options = try BgproxyOptions.parse(arguments)
  } catch {
    say("\(error)\n", to: STDERR_FILENO)
    return ExitCode.usage
  }
  if options.help || options.version {
    say(options.help ? BgproxyOptions.helpText : BgproxyOptions.versionText)
    return 0
  }
  if let shell = options.completion {
    say(BgproxyOptions.completionText(for: shell))
    return 0
  }
  do {
    // Before the first thread, so that none of them receives a signal.
    let setUp = try ProcessSetUp()
    let demo = options.demo ? try Demo(&options) : nil
    defer { demo?.cleanUp() }
    let launch: FrontDoor.Launch
    do {
      launch = try bgproxy.launch(options)
    } catch {
      say("bgproxy: \(error)\n", to: STDERR_FILENO)
      return ExitCode.usage
    }
    if options.check {
      say("\(launch.configFile ?? "the command line") is valid\n")
      return 0
    }
    demo?.introduce(adminSocket: launch.settings.admin.socket)
    return serve(launch, options, setUp: setUp)
  } catch {
    say("bgproxy: \(error)\n", to: STDERR_FILENO)
    return ExitCode.failure
  }
}

exit(run(Array(CommandLine.arguments.dropFirst())))

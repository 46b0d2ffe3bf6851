import Admin
import Arguments
import LinuxIO
import Switching

/// One run of `bgproxyctl`.
struct Tool {
  private let arguments: ParsedArguments

  /// Does what the arguments say and answers the exit code.
  static func run(_ arguments: [String]) -> ExitCode {
    do {
      let parsed = try Command.program.parse(arguments)
      return try Tool(arguments: parsed).run()
    } catch let error as UsageError {
      Output.complain("\(error)\n")
      return .usage
    } catch let failure as Failure {
      Output.complain("\(Command.program.name): \(failure.message)\n")
      return failure.exitCode
    } catch {
      Output.complain("\(Command.program.name): \(error)\n")
      return .refused
    }
  }

  private func run() throws -> ExitCode {
    let program = Command.program
    let verb = arguments.verb.flatMap { name in program.verbs.first { $0.name == name } }
    if arguments.wantsHelp { return try show(verb.map(program.help(for:)) ?? program.help()) }
    if arguments.has(.version) { return try show("\(program.name) \(bgproxyVersion)\n") }
    guard let command = arguments.verb.flatMap(Command.init(rawValue:)) else {
      Output.complain(program.help())
      return .usage
    }
    try refuseContradictions(arguments)
    switch command {
    case .help:
      let subject = program.verbs.first { $0.name == arguments.positional }
      return try show(subject.map(program.help(for:)) ?? program.help())
    case .completion:
      guard let shell = arguments.positional.flatMap(CompletionShell.init(rawValue:)) else { return .usage }
      return try show(Completion.script(for: shell))
    case .watch:
      Output.exitWhenReaderLeaves()
      try runWatch(asJSON: asJSON, context()) { text throws(Failure) in try Output.write(text) }
      return .done
    case .top: return try runTop(context())
    case .status: return try finish(runStatus)
    case .switch:
      guard let color = arguments.positional.flatMap(Color.init(rawValue:)) else { return .usage }
      return try finish { context throws(Failure) in try runSwitch(to: color, context) }
    case .rollback: return try finish(runRollback)
    case .pause: return try finish(runPause)
    case .resume: return try finish(runResume)
    case .drain: return try finish(runDrain)
    case .sessions: return try finish(runSessions)
    case .health: return try finish(runHealth)
    case .history: return try finish(runHistory)
    case .config: return try finish(runConfig)
    case .reload: return try finish(runReload)
    case .stop: return try finish(runStop)
    }
  }

  private var asJSON: Bool { arguments.has(Command.Options.json) }
  private var isQuiet: Bool { arguments.has(Command.Options.quiet) }

  private func show(_ text: String) throws(Failure) -> ExitCode {
    _ = try Output.write(text)
    return .done
  }

  private func finish(_ verb: (Context) throws(Failure) -> Reply) throws(Failure) -> ExitCode {
    let reply: Reply
    do { reply = try verb(context()) } catch {
      if asJSON, !error.json.isEmpty { _ = try Output.write(asText(error.json)) }
      throw error
    }
    if asJSON { _ = try Output.write(asText(reply.json)) } else if !isQuiet { _ = try Output.write(reply.text) }
    if let notice = reply.notice, !isQuiet || reply.isFailure {
      Output.complain("\(Command.program.name): \(notice)\n")
    }
    return reply.exitCode
  }

  private func asText(_ json: [UInt8]) -> String {
    let text = escapedJSON(String(decoding: json, as: UTF8.self))
    return text.hasSuffix("\n") ? text : text + "\n"
  }

  private func context() -> Context {
    let terminalName = Process.environment("TERM")
    func isPainted(_ descriptor: Int32) -> Bool {
      Palette.isWanted(
        onTerminal: Output.isTerminal(descriptor), noColorOption: arguments.has(Command.Options.noColor),
        noColor: Process.environment("NO_COLOR"), terminalName: terminalName)
    }
    let hasBar = Output.isTerminal(Output.errors) && terminalName != "dumb"
    let style: Progress.Style = isQuiet ? .none : hasBar ? .bar : .lines
    return Context(
      arguments: arguments, channel: FrontDoorChannel(socket: socket, timeoutMilliseconds: timeout), socket: socket,
      user: Process.effectiveUserID,
      paint: Palette(isOn: isPainted(Output.standard)), clock: .system,
      commands: Shell(),
      progress: Progress(style: style, paint: Palette(isOn: isPainted(Output.errors)), write: Output.complain))
  }

  private var socket: String {
    arguments.value(of: Command.Options.socket) ?? Process.environment("BGPROXY_SOCKET")
      ?? DefaultPaths.ofThisProcess().adminSocket
  }

  private var timeout: Int64 { arguments.milliseconds(of: Command.Options.timeout) ?? 5000 }
}

extension Clock {
  fileprivate static var system: Clock {
    Clock(now: { Double(WallTime.now().microseconds) / 1e6 }, sleep: Process.pause(milliseconds:))
  }
}

import Admin
import Arguments
import LinuxIO

/// `top`: the live view, until the operator quits.
func runTop(_ context: Context) throws -> ExitCode {
  let isTerminal = Output.isTerminal(Output.input) && Output.isTerminal(Output.standard)
  if let problem = problemWithTop(
    context.arguments, isTerminal: isTerminal, terminalName: Process.environment("TERM"))
  {
    throw Command.program.usageError(problem, verb: Command.top.rawValue)
  }
  let first = try context.channel.get(TopFeed.wholePath, StatusReport.self).content
  do throws(Errno) {
    var view = try TopView(TopModel(first, at: context.clock.now()), context)
    try view.run()
  } catch {
    throw Failure(exitCode: .refused, message: "the terminal cannot be used: \(error)")
  }
  return .done
}

/// Why there cannot be a live view; nil: there can.
func problemWithTop(_ arguments: ParsedArguments, isTerminal: Bool, terminalName: String?) -> String? {
  for option in [Command.Options.json, Command.Options.quiet] where arguments.has(option) {
    return "top is for people, not for \(option.name); `status --json` and `watch --json` tell the same to programs"
  }
  let instead = "`status` shows the state and `watch` the events anywhere"
  if !isTerminal { return "top needs a terminal; \(instead)" }
  let canMove = terminalName != nil && terminalName != "dumb"
  return canMove ? nil : "top needs a terminal that can move its cursor; \(instead)"
}

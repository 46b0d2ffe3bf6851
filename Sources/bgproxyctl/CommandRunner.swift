import LinuxIO

/// Runs the operator's commands.
protocol CommandRunner {
  func start(_ command: String, _ environment: [(name: String, value: String)]) throws(Failure) -> any RunningCommand
}

/// A command, and all that it has started.
protocol RunningCommand: AnyObject {
  /// nil while it runs.
  func exitCode() -> Int32?
  func terminate()
  func kill()
}

enum CommandPace {
  /// Between two looks at a command.
  static let milliseconds: UInt32 = 50
  /// Seconds for a command to end when asked to, at most.
  static let patience = 2.0
}

extension RunningCommand {
  /// Ends it, gently at first, and returns when it has ended.
  func end(within patience: Double, _ clock: Clock) {
    terminate()
    let deadline = clock.now() + patience
    while exitCode() == nil, clock.now() < deadline { clock.sleep(CommandPace.milliseconds) }
    guard exitCode() == nil else { return }
    kill()
    while exitCode() == nil { clock.sleep(CommandPace.milliseconds) }
  }
}

/// Commands of `/bin/sh`.
struct Shell: CommandRunner {
  private final class Running: RunningCommand {
    private var child: ChildProcess
    init(_ child: consuming ChildProcess) { self.child = child }
    func exitCode() -> Int32? { child.exitCode() }
    func terminate() { child.terminate() }
    func kill() { child.kill() }
  }

  func start(_ command: String, _ environment: [(name: String, value: String)]) throws(Failure) -> any RunningCommand {
    for (name, value) in environment { Process.setEnvironment(name, value) }
    do { return Running(try ChildProcess(shell: command)) } catch {
      throw Failure(exitCode: .refused, message: "cannot run /bin/sh: \(error)")
    }
  }
}

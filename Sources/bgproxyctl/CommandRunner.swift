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

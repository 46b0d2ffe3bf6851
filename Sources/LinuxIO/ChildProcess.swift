import CLinux
import Glibc

/// A shell command that runs beside this process, in a process group of its own, so that it ends with all it started.
///
/// It reads nothing; what it prints goes to this process's standard error. What ends this process, SIGKILL included, ends
/// it as well.
public struct ChildProcess: ~Copyable {
  private let pid: Int32
  private var code: Int32?
  /// When this is closed without a word, a process that watches it ends the group.
  private let leash: Descriptor

  /// Starts `/bin/sh -c command`: posix_spawn(3). It has the environment of this process.
  public init(shell command: String) throws(Errno) {
    let pid = try checked(unsafe linux_spawn_shell(command))
    linux_pass_interrupts_to(pid)
    var keep: Int32 = -1
    let guardian = unsafe linux_spawn_guard(pid, &keep)
    if guardian < 0 {
      linux_pass_interrupts_to(0)
      _ = linux_signal_group(pid, SIGKILL)
      throw Errno(rawValue: -guardian)
    }
    self.pid = pid
    leash = Descriptor(owning: keep)
  }

  /// A command that still runs goes on, and nothing of this process ends it any more.
  deinit {
    linux_pass_interrupts_to(0)
    // It reads that and ends. This process ends soon, too, so nobody waits for it.
    try? Process.write([0x0A], to: leash.number)
  }

  /// nil while it runs; then its exit code, or 128 and the number of the signal that ended it.
  public mutating func exitCode() -> Int32? {
    if code == nil {
      var ended: Int32 = 0
      let result = unsafe linux_try_wait(pid, &ended)
      // waitpid(2) can only fail for a child that is none of ours any more.
      if result != 0 { code = result > 0 ? ended : 127 }
    }
    return code
  }

  /// Asks it and all that it has started to end.
  public func terminate() { _ = linux_signal_group(pid, SIGTERM) }

  /// Ends it and all that it has started.
  public func kill() { _ = linux_signal_group(pid, SIGKILL) }
}

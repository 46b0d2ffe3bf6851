import Glibc
import LinuxIO
import Testing

/// One after another: which process group is told of an interrupt is a matter of the whole process.
@Suite(.serialized) struct ChildProcessTests {
  private func end(of child: inout ChildProcess) -> Int32? {
    var code: Int32?
    _ = eventually {
      code = child.exitCode()
      return code != nil
    }
    return code
  }

  private func read(_ fifo: borrowing Descriptor) -> Transfer {
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = unsafe Glibc.read(fifo.number, &bytes, bytes.count)
    if count < 0 { return errno == EAGAIN ? .wouldBlock : .failed(Errno(rawValue: errno)) }
    return count == 0 ? .endOfFile : .bytes(count)
  }

  @Test(arguments: [("true", 0), ("exit 3", 3), ("kill -9 $$", 137), ("no-such-program 2> /dev/null", 127)])
  func exitCode_isWhatTheShellSays(command: String, code: Int32) throws {
    var child = try ChildProcess(shell: command)
    #expect(end(of: &child) == code)
    #expect(child.exitCode() == code, "and it stays so")
  }

  @Test func aCommand_hasTheEnvironment_andNothingToRead() throws {
    Process.setEnvironment("BGPROXY_TEST_CHILD", "yes")
    var child = try ChildProcess(shell: #"test "$BGPROXY_TEST_CHILD" = yes && test -z "$(cat)""#)
    #expect(end(of: &child) == 0)
  }

  @Test func terminate_reachesAllThatTheCommandHasStarted() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/fifo"
    try #require(unsafe mkfifo(path, 0o600) == 0)
    let fifo = Descriptor(owning: unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC))
    let each = "sh -c 'printf x >&3; exec sleep 1000'"
    var child = try ChildProcess(shell: "exec 3> '\(path)'; \(each) | \(each) | \(each); exit 0")
    var started = 0
    let haveStarted = eventually {
      if case .bytes(let count) = read(fifo) { started += count }
      return started == 3
    }
    #expect(haveStarted)
    #expect(child.exitCode() == nil)
    child.terminate()
    #expect(end(of: &child) == 143)
    // None of them has it open any more.
    let haveEnded = eventually { read(fifo) == .endOfFile }
    #expect(haveEnded)
  }

  @Test func kill_endsWhatIgnoresTheRest() throws {
    let folder = try TemporaryFolder()
    var child = try ChildProcess(shell: "trap '' TERM; : > '\(folder.path)/ready'; while :; do sleep 0.01; done")
    #expect(eventually { folder.names() == ["ready"] })
    child.terminate()
    child.kill()
    #expect(end(of: &child) == 137)
  }
}

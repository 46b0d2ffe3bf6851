import LinuxIO
import Testing

/// One after another: which process group is told of an interrupt is a matter of the whole process.
@Suite(.serialized) struct ChildProcessTests {
  private func end(of child: inout ChildProcess) -> Int32? {
    for _ in 0..<2000 {
      if let code = child.exitCode() { return code }
      Process.pause(milliseconds: 5)
    }
    return nil
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
    var child = try ChildProcess(shell: "sleep 1000 | sleep 1000 | sleep 1000; exit 0")
    #expect(child.exitCode() == nil)
    child.terminate()
    #expect(end(of: &child) == 143)
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

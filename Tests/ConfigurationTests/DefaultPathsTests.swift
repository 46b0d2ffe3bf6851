import LinuxIO
import Testing

@Suite struct DefaultPathsTests {
  @Test(
    arguments: [
      (
        0, ["HOME": "/root", "XDG_RUNTIME_DIR": "/run/user/0", "XDG_STATE_HOME": "/s"], "/run/bgproxy/admin.sock",
        "/var/lib/bgproxy/state.json"
      ),
      (
        1000, ["HOME": "/home/a", "XDG_RUNTIME_DIR": "/run/user/1000", "XDG_STATE_HOME": "/s"],
        "/run/user/1000/bgproxy/admin.sock", "/s/bgproxy/state.json"
      ),
      (1000, ["HOME": "/home/a"], "/tmp/bgproxy-1000/admin.sock", "/home/a/.local/state/bgproxy/state.json"),
      (
        1000, ["HOME": "/home/a", "XDG_RUNTIME_DIR": "run", "XDG_STATE_HOME": "./s"], "/tmp/bgproxy-1000/admin.sock",
        "/home/a/.local/state/bgproxy/state.json"
      ),
      (1000, [:], "/tmp/bgproxy-1000/admin.sock", "/tmp/bgproxy-1000/state.json"),
    ] as [(UInt32, [String: String], String, String)])
  func paths_followUserAndEnvironment(
    _ uid: UInt32, _ environment: [String: String], _ socket: String, _ state: String
  ) {
    let paths = DefaultPaths(uid: uid) { environment[$0] }
    #expect(paths.adminSocket == socket)
    #expect(paths.stateFile == state)
  }
}

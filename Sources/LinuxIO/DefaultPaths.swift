/// Where the front door keeps its files, and where bgproxyctl looks for it, when nobody says otherwise.
public struct DefaultPaths: Equatable, Sendable {
  /// `/run/bgproxy/admin.sock` as root, else `$XDG_RUNTIME_DIR/bgproxy/admin.sock`, else `/tmp/bgproxy-<uid>/admin.sock`.
  public let adminSocket: String
  /// `/var/lib/bgproxy/state.json` as root, else `$XDG_STATE_HOME/bgproxy/state.json`, else
  /// `$HOME/.local/state/bgproxy/state.json`, else `/tmp/bgproxy-<uid>/state.json`.
  public let stateFile: String

  /// A variable that does not hold an absolute path counts as unset, as the XDG base directory specification asks.
  public init(uid: UInt32, environment: (String) -> String?) {
    func folder(_ variable: String) -> String? {
      guard let value = environment(variable), value.hasPrefix("/") else { return nil }
      return value
    }
    if uid == 0 {
      (adminSocket, stateFile) = ("/run/bgproxy/admin.sock", "/var/lib/bgproxy/state.json")
      return
    }
    let temporary = "/tmp/bgproxy-\(uid)"
    let runtime = folder("XDG_RUNTIME_DIR").map { "\($0)/bgproxy" } ?? temporary
    let states = folder("XDG_STATE_HOME") ?? folder("HOME").map { "\($0)/.local/state" }
    adminSocket = "\(runtime)/admin.sock"
    stateFile = "\(states.map { "\($0)/bgproxy" } ?? temporary)/state.json"
  }

  /// Those of this process: its effective user and environment. Called at start, before the first thread.
  public static func ofThisProcess() -> DefaultPaths {
    DefaultPaths(uid: Process.effectiveUserID, environment: Process.environment)
  }
}

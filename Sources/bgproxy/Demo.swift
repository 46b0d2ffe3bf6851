import FrontDoor
import Glibc
import LinuxIO

/// `bgproxy --demo`: sample backends, a front door before them, and a word on what to try.
struct Demo {
  private let folder: String
  private let backends: SampleBackends

  /// Starts the backends and fills in what the demo does not leave to the user.
  init(_ options: inout BgproxyOptions) throws {
    var template = Array("/tmp/bgproxy-demo-XXXXXX".utf8CString)
    let made = unsafe template.withUnsafeMutableBufferPointer { unsafe mkdtemp($0.baseAddress!) }
    guard let made = unsafe made else { throw StartFailure("cannot make a temporary folder in /tmp") }
    folder = unsafe String(cString: made)
    backends = try SampleBackends()
    options.listen = "127.0.0.1:8080"
    options.protocol = "http"
    options.preview = "127.0.0.1:8081"
    options.blue = ["\(backends.blue)"]
    options.green = ["\(backends.green)"]
    options.state = options.state ?? "\(folder)/state.json"
  }

  func introduce(adminSocket: String) {
    say(
      """
      Two sample backends and a front door, blue active, on http://127.0.0.1:8080 (the idle color: http://127.0.0.1:8081).
      In another terminal:

        curl http://127.0.0.1:8080                                    App v1, from blue
        curl http://127.0.0.1:8081                                    App v2, from green: test it before it goes live
        swift run -c release bgproxyctl switch green --reason "v2"    the flip, and its receipt
        curl http://127.0.0.1:8080                                    App v2
        swift run -c release bgproxyctl rollback                      the way back
        swift run -c release bgproxyctl status

      Operators are heard at \(adminSocket). Ctrl-C ends it.


      """)
  }

  func cleanUp() {
    for name in ["state.json", "state.json.lock", "state.json.history", "state.json.new"] {
      try? FileSystem.unlink("\(folder)/\(name)")
    }
    unsafe rmdir(folder)
  }
}

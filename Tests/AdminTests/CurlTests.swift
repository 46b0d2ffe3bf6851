import Admin
import Foundation
import LinuxIO
import Testing

/// What a program printed, and its exit code.
private func run(_ arguments: [String]) throws -> (code: Int32, output: String) {
  let process = Foundation.Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = arguments
  let pipe = Pipe()
  process.standardOutput = pipe
  process.standardError = pipe
  try process.run()
  let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
  process.waitUntilExit()
  return (process.terminationStatus, String(decoding: output, as: UTF8.self))
}

private func isThere(_ program: String) -> Bool {
  ["/usr/bin/", "/bin/", "/usr/sbin/"].contains { FileManager.default.isExecutableFile(atPath: $0 + program) }
}

@Suite(.serialized, .enabled(if: isThere("curl"))) struct CurlTests {
  @Test func curlSpeaksToTheSocket() throws {
    let server = try TestServer()
    let curl = ["curl", "-sS", "--max-time", "20", "--unix-socket", server.path]
    #expect(try run(curl + ["http://bgproxy/v1/status"]).output == "GET /v1/status ")
    #expect(try run(curl + ["--http1.0", "http://bgproxy/a"]).output == "GET /a ")
    #expect(try run(curl + ["-d", "{}", "http://bgproxy/v1/switch"]).output == "POST /v1/switch {}")
    #expect(
      try run(curl + ["-H", "Transfer-Encoding: chunked", "-d", "{}", "http://bgproxy/a"]).output == "POST /a {}")
    #expect(try run(curl + ["-I", "http://bgproxy/a"]).output.hasPrefix("HTTP/1.1 200 OK\r\n"))
    // Two requests on one connection.
    let twice = try run(curl + ["-w", "%{num_connects}\n", "http://bgproxy/a", "http://bgproxy/b"])
    #expect(twice.output == "GET /a 1\nGET /b 0\n")
  }

  @Test func curlIsToldThatItsBodyIsTooLarge() throws {
    let server = try TestServer()
    let large = server.folder.path + "/large"
    try DurableFile.replace(large, with: [UInt8](repeating: 120, count: 3_000_000))
    for expect in ["Expect:", "Expect: 100-continue"] {
      let answer = try run([
        "curl", "-sS", "--max-time", "20", "--unix-socket", server.path, "-H", expect, "-o", "/dev/null", "-w",
        "%{http_code}", "--data-binary", "@\(large)", "http://bgproxy/",
      ])
      #expect(answer.output.contains("413"))
    }
  }

  @Test(.enabled(if: geteuid() == 0 && isThere("setpriv"))) func anotherUserIsKeptOut() throws {
    let folder = TemporaryFolder()
    try FileSystem.setMode(folder.path, 0o755)
    let path = folder.path + "/admin.sock"
    var socket = try AdminSocket(path: path)
    let policy = socket.policy
    let number = socket.takeListener().release()
    let server = try TestServer(
      listener: number, handler: { $0.respond(HTTPResponse(text: "uid \($0.request.peer?.uid ?? 99)")) },
      admit: { policy.admit($0) })
    let curl = ["curl", "-sS", "--max-time", "20", "--unix-socket", path, "-w", " %{http_code}", "http://bgproxy/"]
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    #expect(try run(curl).output == "uid 0 200")
    // First the mode keeps them out, and where somebody has opened that, the policy does.
    #expect(try run(nobody + curl).code == 7)
    try FileSystem.setMode(path, 0o666)
    let refused = try run(nobody + curl).output
    #expect(refused.contains("\"code\":\"forbidden\"") && refused.hasSuffix(" 403"))
    withExtendedLifetime(server) {}
  }
}

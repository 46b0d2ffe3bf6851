import Admin
import EventCore
import Glibc
import HTTPFraming
import LinuxIO
import Synchronization

/// A folder that is deleted at the end, with what is in it.
final class TemporaryFolder: Sendable {
  let path: String

  init() {
    var template = Array("/tmp/bgproxy-test-XXXXXX".utf8CString)
    path = unsafe template.withUnsafeMutableBufferPointer { unsafe String(cString: mkdtemp($0.baseAddress!)) }
  }

  deinit { delete(path) }

  private func delete(_ path: String) {
    if let folder = unsafe opendir(path) {
      while let entry = unsafe readdir(folder) {
        let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
          unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != "." && name != ".." { delete(path + "/" + name) }
      }
      unsafe closedir(folder)
    }
    _ = unsafe remove(path)
  }
}

/// Time that passes only where the test says so.
final class ManualClock: Sendable {
  private let time = Atomic<UInt64>(1_000_000_000)
  @Sendable func now() -> Instant { Instant(nanoseconds: time.load(ordering: .acquiring)) }
  func advance(milliseconds: UInt64) {
    _ = time.add(milliseconds * 1_000_000, ordering: .acquiringAndReleasing)
  }
}

extension HTTPServer.Limits {
  /// With no time limit that a machine could miss for being busy: a test that is about one sets it.
  static var patient: HTTPServer.Limits {
    var limits = HTTPServer.Limits()
    (limits.requestMilliseconds, limits.idleMilliseconds, limits.stallMilliseconds) = (3_600_000, 3_600_000, 3_600_000)
    (limits.answerMilliseconds, limits.lingerMilliseconds) = (3_600_000, 3_600_000)
    return limits
  }
}

/// An `HTTPServer` with a reactor and a thread of its own, on a Unix socket in a folder of its own.
final class TestServer: @unchecked Sendable {
  /// What a handler works with; on the reactor's thread.
  struct Stage {
    let server: TestServer
    let request: HTTPRequest
    let id: ResponseID
    func respond(_ response: HTTPResponse) { server.server.respond(to: id, response) }
  }

  let folder = TemporaryFolder()
  let reactor: Reactor
  let path: String
  private let thread: LoopThread
  // Both are touched on the reactor's thread only, once it is set up.
  private(set) var server: HTTPServer!
  let notices = Mutex<[HTTPServer.Notice]>([])

  init(
    _ limits: HTTPServer.Limits = .patient, listener: Int32? = nil,
    handler: @escaping @Sendable (Stage) -> Void = { $0.respond(echo($0.request)) },
    admit: @escaping @Sendable (borrowing Descriptor) -> HTTPServer.Admission = { _ in .allowed(nil) },
    clock: @escaping @Sendable () -> Instant = Instant.now
  ) throws {
    _ = try Process.raiseDescriptorLimit()
    path = folder.path + "/socket"
    (reactor, thread) = try Reactor.onOwnThread(named: "test server", clock: clock)
    let number = try listener ?? Descriptor.listen(at: SocketAddress(path: path)).release()
    onLoop { [self] in
      server = try? HTTPServer(
        reactor: reactor, listener: Descriptor(owning: number), limits: limits, admit: admit
      ) { [weak self] request, id in
        if let self { handler(Stage(server: self, request: request, id: id)) }
      }
      server.onNotice = { [weak self] notice in self?.notices.withLock { $0.append(notice) } }
    }
  }

  deinit {
    let server = self.server!
    let box = UncheckedBox(server)
    reactor.post { box.value.close() }
    reactor.stop()
    // The last reference may be one that the reactor's own thread lets go of, which cannot wait for itself.
    let thread = thread
    if reactor.isCurrent { Task.detached { thread.join() } } else { thread.join() }
  }

  private struct UncheckedBox: @unchecked Sendable {
    let value: HTTPServer
    init(_ value: HTTPServer) { self.value = value }
  }

  /// Runs something on the reactor's thread and waits for it.
  @discardableResult
  func onLoop<Value: Sendable>(_ body: @escaping @Sendable () -> Value) -> Value {
    let outcome = Outcome<Value>()
    reactor.post { outcome.set(body()) }
    return outcome.wait()
  }

  /// Returns when the server has dealt with all that its clients have done before.
  func settle() {
    // The first may be told of in the middle of a tick that has found what they did; the second comes with a later one.
    onLoop {}
    onLoop {}
  }

  /// Lets time pass on the server's clock; what is due then is done when this returns.
  func pass(milliseconds: UInt64, on clock: ManualClock) {
    settle()
    clock.advance(milliseconds: milliseconds)
    // Timers fire at the end of a tick: after the first of two letters, and before the second.
    settle()
  }

  /// Waits until a notice has come that meets a condition.
  func waitForNotice(_ condition: (HTTPServer.Notice) -> Bool) -> Bool {
    eventually { self.notices.withLock { $0.contains(where: condition) } }
  }

  func client() throws -> TestClient { try TestClient(path) }
  func adminClient() -> AdminClient { AdminClient(path: path, timeoutMilliseconds: 60_000) }

  var losses: [HTTPServer.Loss] {
    notices.withLock { $0.compactMap { if case .dropped(let loss) = $0 { loss } else { nil } } }
  }
}

/// A value that one thread waits for and another sets.
final class Outcome<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)

  func set(_ new: Value) { value.withLock { $0 = new } }

  func wait() -> Value {
    while true {
      if let value = value.withLock({ $0 }) { return value }
      usleep(200)
    }
  }
}

/// Whether a condition holds before a generous deadline.
func eventually(_ condition: () -> Bool) -> Bool {
  let deadline = Instant.now().advanced(milliseconds: 20_000)
  while Instant.now() < deadline {
    if condition() { return true }
    usleep(1000)
  }
  return condition()
}

/// Whether nobody listens at a path any more. A child that another test has just started has the descriptors of this
/// process until it runs its program: so a listener that was closed may be there a moment longer.
func isRefused(_ path: String) -> Bool {
  do throws(Errno) {
    _ = try Descriptor.connectWaiting(path: path, timeoutMilliseconds: 20_000)
    return false
  } catch {
    return error == .connectionRefused
  }
}

@Sendable func echo(_ request: HTTPRequest) -> HTTPResponse {
  let query = request.query.map { "?" + $0 } ?? ""
  return HTTPResponse(
    text: "\(request.method) \(request.path)\(query) \(String(decoding: request.body, as: UTF8.self))")
}

/// A client that sends what it is told and reads what comes, waiting at most 20 s for each.
final class TestClient {
  private let socket: Descriptor
  private var input: [UInt8] = []

  struct Answer {
    let head: ResponseHead
    let body: String
    var status: Int { head.status }
  }

  init(_ path: String) throws {
    socket = try Descriptor.connectWaiting(path: path, timeoutMilliseconds: 20_000)
  }

  /// false where the server does not take all of it.
  @discardableResult
  func send(_ text: String) -> Bool { send(Array(text.utf8)) }

  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      guard case .bytes(let count) = socket.send(rest) else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  func endWriting() { socket.shutdownWrite() }

  /// false at the end of the connection.
  private func receive() -> Bool {
    var piece = [UInt8](repeating: 0, count: 4096)
    guard case .bytes(let count) = socket.receive(into: &piece) else { return false }
    input += piece[..<count]
    return true
  }

  /// The next answer; nil where the connection ends before it is whole.
  func answer(to method: String = "GET") throws -> Answer? {
    var scanner = HeadScanner(limit: 16_384)
    while true {
      if case .complete(let length) = scanner.scan(input.span) {
        let head = try ResponseHead(input.span.extracting(0..<length), answering: method)
        input.removeFirst(length)
        guard case .bytes(let count) = head.body else { return Answer(head: head, body: rest()) }
        while input.count < Int(count) {
          if !receive() { return nil }
        }
        let body = String(decoding: input.prefix(Int(count)), as: UTF8.self)
        input.removeFirst(Int(count))
        return Answer(head: head, body: body)
      }
      if !receive() { return nil }
    }
  }

  /// All that comes until the connection ends.
  func rest() -> String {
    while receive() {}
    defer { input = [] }
    return String(decoding: input, as: UTF8.self)
  }

  /// Waits until something has come.
  func readUntil(_ text: String) -> Bool {
    while !String(decoding: input, as: UTF8.self).contains(text) {
      if !receive() { return false }
    }
    return true
  }
}

extension HTTPServer.Notice {
  var isEndOfConnection: Bool {
    if case .connectionEnded = self { return true }
    return false
  }
}

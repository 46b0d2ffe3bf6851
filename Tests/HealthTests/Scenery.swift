import EventCore
import Glibc
import Health
import LinuxIO
import Synchronization
import Testing

/// A folder that is deleted at the end, with the socket in it.
final class TemporaryFolder: Sendable {
  let path: String
  var socket: SocketAddress { get throws { try SocketAddress(path: path + "/socket") } }

  init() {
    var template = Array("/tmp/bgproxy-test-XXXXXX".utf8CString)
    path = unsafe template.withUnsafeMutableBufferPointer { unsafe String(cString: mkdtemp($0.baseAddress!)) }
  }

  deinit {
    _ = unsafe unlink(path + "/socket")
    _ = unsafe rmdir(path)
  }
}

/// Time that passes only where the test says so.
final class ManualClock: Sendable {
  private let time = Atomic<UInt64>(1_000_000_000)
  func advance(milliseconds: UInt64) {
    _ = time.add(milliseconds * 1_000_000, ordering: .acquiringAndReleasing)
  }
  var now: Instant { Instant(nanoseconds: time.load(ordering: .acquiring)) }
}

/// Whether a condition holds before a generous deadline.
func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
  let deadline = Instant.now().advanced(milliseconds: 20_000)
  while Instant.now() < deadline {
    if try condition() { return true }
    usleep(1000)
  }
  return try condition()
}

/// A value that one thread waits for and another sets.
private final class Outcome<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)

  func set(_ new: Value) { value.withLock { $0 = new } }

  func wait() -> Value {
    while true {
      if let value = value.withLock({ $0 }) { return value }
      usleep(100)
    }
  }
}

func loopback(_ host: String = "127.0.0.1", port: UInt16 = 0) throws -> SocketAddress {
  try #require(try SocketAddress.resolve(host: host, port: port).first)
}

/// A prober, and the servers that it probes, on a reactor and a thread of their own.
final class Stage: @unchecked Sendable {
  private struct Told {
    var changes: [HealthChange<Int>] = []
    var shortages: [Errno] = []
    var answers: [[Int: FreshProbe]] = []
  }

  let clock: ManualClock?
  let reactor: Reactor
  private let thread: LoopThread
  private let told = Mutex(Told())
  // These are touched on the reactor's thread only, once they are set up.
  private(set) var prober: Prober<Int>!
  /// The jitter: a number of the range.
  var random: (ClosedRange<Int64>) -> Int64 = { _ in 0 }
  private var servers: [ScriptedServer] = []

  init(clock: ManualClock? = nil) throws {
    _ = try Process.raiseDescriptorLimit()
    self.clock = clock
    let now: @Sendable () -> Instant = { clock?.now ?? Instant.now() }
    let reactor = try Reactor(clock: now)
    self.reactor = reactor
    thread = try LoopThread(name: "test prober") { try? reactor.run() }
    onLoop { stage in
      stage.prober = Prober(
        reactor: reactor,
        observer: Prober.Observer(
          changed: { [weak stage] change in stage?.told.withLock { $0.changes.append(change) } },
          shortage: { [weak stage] _, errno in stage?.told.withLock { $0.shortages.append(errno) } }),
        clock: now, random: { [weak stage] in stage?.random($0) ?? 0 })
    }
  }

  /// Closes what is open, and ends the thread.
  func end() {
    onLoop { stage in
      stage.prober.stop()
      for server in stage.servers { server.close() }
      stage.servers = []
    }
    reactor.stop()
    thread.join()
  }

  /// Runs something on the reactor's thread and waits for it.
  @discardableResult
  func onLoop<Value: Sendable>(_ body: @escaping @Sendable (Stage) -> Value) -> Value {
    let outcome = Outcome<Value>()
    reactor.post { [self] in outcome.set(body(self)) }
    return outcome.wait()
  }

  // MARK: Servers

  /// Answers each connection by these steps.
  func server(_ steps: ScriptedServer.Step..., at address: SocketAddress? = nil) throws -> ScriptedServer {
    let server = try ScriptedServer(reactor, at: try address ?? loopback(), steps)
    onLoop {
      $0.servers.append(server)
      server.open()
    }
    return server
  }

  // MARK: The prober

  func watch(_ targets: ProbeTarget<Int>...) { onLoop { $0.prober.watch(targets) } }
  func health(_ id: Int = 1) -> TargetHealth? { onLoop { $0.prober.health(of: id) } }

  var changes: [HealthChange<Int>] { told.withLock { $0.changes } }
  var shortages: [Errno] { told.withLock { $0.shortages } }
  /// To what was asked, in the order in which the answers came.
  var answers: [[Int: FreshProbe]] { told.withLock { $0.answers } }

  func ask(_ ids: Int...) {
    onLoop { stage in
      stage.prober.probe(ids) { [weak stage] answer in stage?.tell(answer) }
    }
  }

  func tell(_ answer: [Int: FreshProbe]) { told.withLock { $0.answers.append(answer) } }

  /// Has all that may be probed at a time begun, 64 in a millisecond.
  func beginAll() {
    for _ in 0...Prober<Int>.mostUnderWay / 64 { advance(milliseconds: 1) }
  }

  /// The target's first result.
  func firstResult(_ target: ProbeTarget<Int>) throws -> ProbeResult {
    watch(target)
    #expect(eventually { health(target.id)?.result != nil }, "no result within the deadline")
    return try #require(health(target.id)?.result)
  }

  func advance(milliseconds: UInt64) {
    clock?.advance(milliseconds: milliseconds)
    // Timers fire after the first of these, and before the second.
    onLoop { _ in }
    onLoop { _ in }
  }
}

/// A port of this machine that is taken, and at which nobody listens: that of one end of a connection.
struct RefusingPort: ~Copyable {
  private let listener: Descriptor
  private let client: Descriptor
  let address: SocketAddress

  init() throws {
    let listener = try Descriptor.listen(at: loopback())
    let bound = listener.localAddress
    let target = try #require(bound)
    let client = try Descriptor.streamSocket(for: target)
    _ = client.connect(to: target)
    let local = client.localAddress
    let address = try #require(local)
    self.listener = listener
    self.client = client
    self.address = address
  }
}

/// A listener with a full backlog, which nobody accepts from.
struct FullBacklog: ~Copyable {
  private let listener: Descriptor
  let address: SocketAddress
  private let clients: [Int32]

  /// With TCP the backlog is full when a connection is there to be accepted, and not before.
  init(at wanted: SocketAddress) throws {
    let listener = try Descriptor.listen(at: wanted, backlog: 0)
    let bound = listener.localAddress
    let address = try #require(bound)
    var clients: [Int32] = []
    for _ in 0..<8 {
      let client = try Descriptor.streamSocket(for: address)
      if case .failed = client.connect(to: address) { break }
      clients.append(client.release())
    }
    var entry = pollfd(fd: listener.number, events: Int16(POLLIN), revents: 0)
    try #require(unsafe poll(&entry, 1, 20_000) == 1, "nothing is there to be accepted")
    self.listener = listener
    self.address = address
    self.clients = clients
  }

  deinit { for client in clients { Glibc.close(client) } }

  /// Accepts what waits.
  func empty() { while case .connection = listener.accept() {} }
}

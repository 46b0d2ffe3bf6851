import CLinux
import Glibc
import LinuxIO
import Testing

private let tcp = Int32(IPPROTO_TCP)

private func option(_ socket: borrowing Descriptor, _ level: Int32, _ name: Int32) -> Int32 {
  linux_get_option(socket.number, level, name)
}

private func congestion(_ socket: borrowing Descriptor) -> String {
  var name = [CChar](repeating: 0, count: 16)
  _ = unsafe linux_congestion(socket.number, &name)
  return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Idle, interval and count of keepalive probes; nil where there are none.
private func keepalive(_ socket: borrowing Descriptor) -> [Int32]? {
  guard option(socket, SOL_SOCKET, SO_KEEPALIVE) == 1 else { return nil }
  return [option(socket, tcp, TCP_KEEPIDLE), option(socket, tcp, TCP_KEEPINTVL), option(socket, tcp, TCP_KEEPCNT)]
}

@Suite struct TCPOptionsTests {
  private static let inet = Transport.available.filter { $0 != .local }
  private let all = TCPOptions(congestion: "reno", keepaliveSeconds: 120, userTimeoutMilliseconds: 30_000)

  @Test(arguments: inet)
  func connections_inheritWhatTheListeningSocketHas(transport: Transport) throws {
    let folder = try TemporaryFolder()
    let listener = try Descriptor.listen(at: transport.freeAddress(in: folder), options: all)
    let connection = try Connection(to: listener, at: localAddress(of: listener))
    #expect(option(connection.server, tcp, TCP_NODELAY) == 1)
    #expect(congestion(connection.server) == "reno")
    #expect(keepalive(connection.server) == [120, 12, 5])
    #expect(option(connection.server, tcp, TCP_USER_TIMEOUT) == 30_000)
  }

  @Test(arguments: inet)
  func connections_inheritNothingButNoDelay_whenNothingIsGiven(transport: Transport) throws {
    let connection = try Connection(transport)
    #expect(option(connection.server, tcp, TCP_NODELAY) == 1)
    #expect(keepalive(connection.server) == nil)
    #expect(option(connection.server, tcp, TCP_USER_TIMEOUT) == 0)
    #expect(congestion(connection.server) == congestion(connection.client))
  }

  @Test(arguments: inet)
  func replaceOptions_takesBackWhatIsNotGiven(transport: Transport) throws {
    let folder = try TemporaryFolder()
    let deferring = TCPOptions(
      congestion: "reno", keepaliveSeconds: 5, userTimeoutMilliseconds: 1000, defersAccept: true)
    let listener = try Descriptor.listen(at: transport.freeAddress(in: folder), options: deferring)
    #expect(option(listener, tcp, TCP_DEFER_ACCEPT) > 0)
    listener.replaceOptions(by: TCPOptions())
    #expect(option(listener, tcp, TCP_DEFER_ACCEPT) == 0)
    let connection = try Connection(to: listener, at: localAddress(of: listener))
    #expect(keepalive(connection.server) == nil)
    #expect(option(connection.server, tcp, TCP_USER_TIMEOUT) == 0)
    #expect(congestion(connection.server) == congestion(connection.client), "the system's default")
    listener.replaceOptions(by: all)
    let later = try Connection(to: listener, at: localAddress(of: listener))
    #expect(keepalive(later.server) == [120, 12, 5])
  }

  @Test(arguments: inet)
  func set_setsWhatIsGiven_onASocketThatConnects(transport: Transport) throws {
    let folder = try TemporaryFolder()
    let socket = try Descriptor.streamSocket(for: transport.freeAddress(in: folder))
    let before = congestion(socket)
    socket.set(TCPOptions(congestion: nil, keepaliveSeconds: 3, userTimeoutMilliseconds: nil))
    #expect(keepalive(socket) == [3, 1, 5])
    #expect(congestion(socket) == before)
    socket.set(all)
    #expect(congestion(socket) == "reno")
    #expect(option(socket, tcp, TCP_USER_TIMEOUT) == 30_000)
  }

  @Test func probeInterval_isATenth_withinWhatIsUseful() {
    #expect([1, 10, 120, 7200, 32_767].map { TCPOptions.probeInterval(afterIdleSeconds: $0) } == [1, 1, 12, 75, 75])
  }

  @Test func localSockets_areNotHarmed() throws {
    let folder = try TemporaryFolder()
    let listener = try Descriptor.listen(at: Transport.local.freeAddress(in: folder), options: all)
    listener.replaceOptions(by: all)
    _ = try Connection(to: listener, at: localAddress(of: listener))
  }

  @Test func setCongestion_namesWhatTheKernelSays() throws {
    let socket = try Descriptor.streamSocket(for: numeric("127.0.0.1"))
    #expect(throws: Errno.noSuchFile) { try socket.setCongestion("no-such-one") }
    try socket.setCongestion("reno")
  }

  @Test func deferredAccept_comesWithTheFirstByte() throws {
    // After about a second the system gives up waiting for it, which a busy machine lets pass now and then.
    #expect(try (0..<10).contains { _ in try isDeferred() })
  }

  private func isDeferred() throws -> Bool {
    let folder = try TemporaryFolder()
    let options = TCPOptions(
      congestion: nil, keepaliveSeconds: nil, userTimeoutMilliseconds: nil, defersAccept: true)
    let listener = try Descriptor.listen(at: Transport.ipv4.freeAddress(in: folder), options: options)
    let address = try localAddress(of: listener)
    let client = try Descriptor.streamSocket(for: address)
    _ = client.connect(to: address)
    try wait(for: .writable, on: client)
    // Begun later, and there already.
    _ = try Connection(.ipv4)
    guard case .wouldBlock = listener.accept() else { return false }
    #expect(client.send([1]) == .bytes(1))
    try wait(for: .readable, on: listener)
    return true
  }

  @Test func bindSource_leavesThePortToConnect_andRefusesWhatThisMachineLacks() throws {
    let folder = try TemporaryFolder()
    let listener = try Descriptor.listen(at: Transport.ipv4.freeAddress(in: folder))
    let address = try localAddress(of: listener)
    let socket = try Descriptor.streamSocket(for: address)
    #expect(try socket.bindSource(numeric("127.0.0.2")) == nil)
    #expect(try localAddress(of: socket).port == 0)
    _ = socket.connect(to: address)
    try wait(for: .writable, on: socket)
    #expect(try localAddress(of: socket).host == "127.0.0.2")
    #expect(try localAddress(of: socket).port != 0)
    let other = try Descriptor.streamSocket(for: address)
    // RFC 5737: for documentation.
    #expect(try other.bindSource(numeric("192.0.2.1")) == .addressNotAvailable)
  }
}

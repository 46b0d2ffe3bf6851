import Glibc
import LinuxIO
import Testing

/// A folder that is deleted at the end, with what is in it.
final class TemporaryFolder: Sendable {
  let path: String

  init() throws {
    var template = Array("/tmp/bgproxy-test-XXXXXX".utf8CString)
    path = try unsafe template.withUnsafeMutableBufferPointer { buffer in
      guard let path = unsafe mkdtemp(buffer.baseAddress!) else { throw Errno(rawValue: errno) }
      return unsafe String(cString: path)
    }
  }

  deinit { delete(path) }

  func names() -> [String] { list(path).sorted() }

  private func list(_ path: String) -> [String] {
    guard let folder = unsafe opendir(path) else { return [] }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    unsafe closedir(folder)
    return names
  }

  private func delete(_ path: String) {
    if (try? FileStatus(linkAt: path))?.isFolder == true { for name in list(path) { delete(path + "/" + name) } }
    _ = unsafe remove(path)
  }
}

/// A kind of stream socket that a test is run for.
enum Transport: CaseIterable, Sendable {
  case ipv4, ipv6, local

  /// A machine may have been set up without IPv6.
  static var available: [Transport] {
    let hasIPv6 = unsafe access("/proc/net/if_inet6", F_OK) == 0
    return allCases.filter { $0 != .ipv6 || hasIPv6 }
  }

  /// Free to listen at: port 0, or a path in `folder` that does not exist.
  func freeAddress(in folder: TemporaryFolder) throws -> SocketAddress {
    switch self {
    case .ipv4: try numeric("127.0.0.1")
    case .ipv6: try numeric("::1")
    case .local: try SocketAddress(path: folder.path + "/socket")
    }
  }
}

func numeric(_ host: String, port: UInt16 = 0) throws -> SocketAddress {
  try #require(try SocketAddress.resolve(host: host, port: port).first)
}

/// The two ends of a connection. Assigning `.none` to one closes it.
struct Connection: ~Copyable {
  var client: Descriptor
  var server: Descriptor

  init(_ transport: Transport) throws {
    let folder = try TemporaryFolder()
    let listener = try Descriptor.listen(at: transport.freeAddress(in: folder))
    self = try Connection(to: listener, at: localAddress(of: listener))
  }

  init(to listener: borrowing Descriptor, at address: SocketAddress) throws {
    let client = try Descriptor.streamSocket(for: address)
    let start = client.connect(to: address)
    #expect(start == .connected || start == .inProgress)
    try wait(for: .readable, on: listener)
    let server = try acceptOne(listener)
    try wait(for: .writable, on: client)
    self.client = client
    self.server = server
  }
}

private func acceptOne(_ listener: borrowing Descriptor) throws(Errno) -> Descriptor {
  switch listener.accept() {
  case .connection(let accepted): return accepted
  case .wouldBlock: throw .wouldBlock
  case .failed(let error): throw error
  }
}

func localAddress(of socket: borrowing Descriptor) throws -> SocketAddress {
  let address = socket.localAddress
  return try #require(address)
}

func peerAddress(of socket: borrowing Descriptor) throws -> SocketAddress {
  let address = socket.peerAddress
  return try #require(address)
}

/// Waits until the kernel reports the readiness; that it never does fails the test.
func wait(for readiness: Readiness, on descriptor: borrowing Descriptor) throws {
  var entry = pollfd(fd: descriptor.number, events: Int16(truncatingIfNeeded: readiness.rawValue), revents: 0)
  try #require(unsafe poll(&entry, 1, 10_000) == 1, "nothing happened within the deadline")
}

/// Waits for readiness, then receives once.
func receiveNext(_ descriptor: borrowing Descriptor, atMost capacity: Int = 4096) throws -> (Transfer, [UInt8]) {
  try wait(for: .readable, on: descriptor)
  var buffer = [UInt8](repeating: 0, count: capacity)
  let transfer = descriptor.receive(into: &buffer)
  if case .bytes(let count) = transfer { return (transfer, Array(buffer.prefix(count))) }
  return (transfer, [])
}

/// Waits for a condition that the kernel brings about by itself, or a child that another test has just started: until that
/// runs its program it has the descriptors of this process, and what was closed here stays open there.
func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
  let deadline = Instant.now().advanced(milliseconds: 20_000)
  while Instant.now() < deadline {
    if try condition() { return true }
    usleep(200)
  }
  return try condition()
}

func isOpen(_ number: Int32) -> Bool { fcntl(number, F_GETFD) >= 0 }

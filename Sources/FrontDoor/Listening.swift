import Configuration
import Glibc
import LinuxIO
import Relay

/// Opens the sockets that production and preview traffic arrives at.
enum Listening {
  /// A socket that listens, and its address, with the port that the kernel chose.
  struct Opened: ~Copyable {
    let descriptor: Descriptor
    let address: SocketAddress

    init(_ descriptor: consuming Descriptor, asked: SocketAddress) {
      address = descriptor.localAddress ?? asked
      self.descriptor = descriptor
    }

    consuming func takeDescriptor() -> Descriptor { descriptor }
  }

  /// Binds an address of the configuration. Throws a text that names the address.
  static func bind(
    _ address: Address, resolved: [Address: [SocketAddress]], options: TCPOptions
  ) throws(StartFailure) -> BoundSocket {
    let opened = try open(address, resolved: resolved, options: options)
    let bound = opened.address
    return BoundSocket(opened.takeDescriptor(), at: bound)
  }

  /// The same for a socket that no worker accepts from.
  static func open(
    _ address: Address, resolved: [Address: [SocketAddress]], options: TCPOptions
  ) throws(StartFailure) -> Opened {
    do {
      switch address {
      case .wildcard(let port): return try bindWildcard(port: port, options)
      case .local(let path): return try bindLocal(path: path)
      case .host:
        guard let first = resolved[address]?.first else { throw StartFailure("\(address): has no address") }
        return Opened(try Descriptor.listen(at: first, options: options), asked: first)
      }
    } catch let failure as StartFailure {
      throw failure
    } catch {
      let reason = error as? Errno == .addressInUse ? "the address is in use" : "\(error)"
      throw StartFailure("\(address): cannot listen: \(reason)")
    }
  }

  /// Both families where the system has IPv6, else IPv4.
  private static func bindWildcard(port: UInt16, _ options: TCPOptions) throws(Errno) -> Opened {
    let (ipv6, ipv4) = SocketAddress.wildcard(port: port)
    do {
      return Opened(try Descriptor.listen(at: ipv6, options: options), asked: ipv6)
    } catch {
      guard error == .familyNotSupported || error == .addressNotAvailable else { throw error }
      return Opened(try Descriptor.listen(at: ipv4, options: options), asked: ipv4)
    }
  }

  /// A socket file that nobody listens at any more is replaced. Who may connect is up to the folder's permissions:
  /// the file itself is open to all, as a port would be.
  private static func bindLocal(path: String) throws -> Opened {
    let address = try SocketAddress(path: path)
    // What one process finds stale may be what another has just bound and does not listen at yet.
    let lock = try FileSystem.tryLock(folder: parentFolder(of: path))
    guard lock != nil else { throw StartFailure("unix:\(path): another process is opening a socket in this folder") }
    if let status = try? FileStatus(path: path) {
      guard status.isSocket else { throw StartFailure("unix:\(path): exists and is no socket") }
      guard isStale(address) else { throw Errno.addressInUse }
      try FileSystem.unlink(path)
    }
    let socket = try Descriptor.listen(at: address)
    try FileSystem.setMode(path, 0o666)
    return Opened(socket, asked: address)
  }

  /// Whether nobody listens there.
  private static func isStale(_ address: SocketAddress) -> Bool {
    guard let probe = try? Descriptor.streamSocket(for: address) else { return false }
    return probe.connect(to: address) == .failed(.connectionRefused)
  }

  /// Takes a socket's file away, where it has one.
  static func removeFile(of socket: BoundSocket) { removeFile(at: socket.address) }

  static func removeFile(at address: SocketAddress) {
    guard address.family == .local else { return }
    try? FileSystem.unlink(String("\(address)".dropFirst("unix:".count)))
  }
}

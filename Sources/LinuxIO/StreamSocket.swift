import CLinux
import Glibc

/// Stream sockets: each system call once, non-blocking, expected outcomes as values.
extension Descriptor {
  /// A non-blocking, close-on-exec stream socket for connecting to `address`.
  public static func streamSocket(for address: SocketAddress) throws(Errno) -> Descriptor {
    let family = unsafe linux_address_family([address.raw])
    return Descriptor(owning: try checked(linux_stream_socket(family)))
  }

  /// A listening socket. SO_REUSEADDR, so that a restart does not wait for TIME_WAIT; never SO_REUSEPORT, with which
  /// a second front door could bind the same address in silence. An IPv6 wildcard takes IPv4 as well.
  ///
  /// Connections inherit TCP_NODELAY and the options from it: a call for each connection is saved.
  public static func listen(
    at address: SocketAddress, options: TCPOptions = TCPOptions(), backlog: Int32 = largestBacklog
  ) throws(Errno) -> Descriptor {
    let socket = try streamSocket(for: address)
    if address.family != .local {
      try checked(linux_set_option(socket.number, SOL_SOCKET, SO_REUSEADDR, 1))
      socket.setNoDelay()
      socket.set(options)
      if address.family == .ipv6 {
        let isWildcard = address == SocketAddress.wildcard(port: address.port ?? 0).ipv6
        try checked(linux_set_option(socket.number, Int32(IPPROTO_IPV6), IPV6_V6ONLY, isWildcard ? 0 : 1))
      }
    }
    var raw = address.raw
    try checked(unsafe linux_bind(socket.number, &raw))
    try checked(linux_listen(socket.number, backlog))
    return socket
  }

  /// The largest backlog asked for; the kernel cuts it to net.core.somaxconn (listen(2)).
  public static var largestBacklog: Int32 { 65_535 }

  public enum ConnectStart: Equatable, Sendable {
    case connected
    case inProgress
    case failed(Errno)
  }

  /// Begins a connect. AF_UNIX answers `EAGAIN` where the listener's backlog is full (unix(7)).
  @inlinable
  public func connect(to address: SocketAddress) -> ConnectStart {
    let result = unsafe withUnsafePointer(to: address.raw) { unsafe linux_connect(number, $0) }
    if result == 0 { return .connected }
    return result == -EINPROGRESS ? .inProgress : .failed(Errno(rawValue: -result))
  }

  public enum Accepted: ~Copyable {
    case connection(Descriptor)
    case wouldBlock
    case failed(Errno)
  }

  public func accept() -> Accepted { accepted(linux_accept(number, nil)) }

  /// - Parameter client: gets a hash of the client's address without its port: the same for all that one client can choose
  ///   from (IPv6: a /64); 0 with AF_UNIX.
  public func accept(client: inout UInt32) -> Accepted { accepted(unsafe linux_accept(number, &client)) }

  private func accepted(_ result: Int32) -> Accepted {
    if result >= 0 { return .connection(Descriptor(owning: result)) }
    return result == -EAGAIN ? .wouldBlock : .failed(Errno(rawValue: -result))
  }

  @inlinable
  public func receive(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
    received(unsafe linux_receive(number, buffer.baseAddress, buffer.count))
  }

  /// What a receive would find; takes nothing. `bytes(1)` stands for one or more.
  @inlinable
  public func peek() -> Transfer { received(linux_peek(number)) }

  @inlinable
  func received(_ result: Int) -> Transfer {
    if result > 0 { return .bytes(result) }
    if result == 0 { return .endOfFile }
    return result == -Int(EAGAIN) ? .wouldBlock : .failed(Errno(rawValue: Int32(truncatingIfNeeded: -result)))
  }

  @inlinable
  public func send(_ buffer: UnsafeRawBufferPointer) -> Transfer {
    let result = unsafe linux_send(number, buffer.baseAddress, buffer.count)
    if result >= 0 { return .bytes(result) }
    return result == -Int(EAGAIN) ? .wouldBlock : .failed(Errno(rawValue: Int32(truncatingIfNeeded: -result)))
  }

  /// Sends FIN. `ENOTCONN` where the connection is gone already.
  @inlinable
  @discardableResult
  public func shutdownWrite() -> Errno? {
    let result = linux_shutdown_write(number)
    return result < 0 ? Errno(rawValue: -result) : nil
  }

  /// Makes the coming close send RST instead of FIN. No effect on AF_UNIX, which has no reset.
  @inlinable
  public func resetOnClose() { _ = linux_reset_on_close(number) }

  /// Before a connect: holds the last packet of the handshake back for a moment (TCP_QUICKACK, tcp(7)). Where the
  /// connection is reset in that moment, the peer's kernel has answered, and the peer itself has nothing to accept.
  /// Refused, without harm, by sockets that are not TCP.
  public func holdBackAcknowledgment() { _ = linux_set_option(number, Int32(IPPROTO_TCP), TCP_QUICKACK, 0) }

  /// TCP_NODELAY; refused, without harm, by sockets that are not TCP.
  @inlinable
  public func setNoDelay() { _ = linux_set_option(number, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }

  /// The error that a connect ended with, if any: SO_ERROR, which reading clears.
  @inlinable
  public func takeError() -> Errno? {
    let result = linux_get_option(number, SOL_SOCKET, SO_ERROR)
    return result == 0 ? nil : Errno(rawValue: result < 0 ? -result : result)
  }

  /// Bytes handed to the kernel that the peer has not acknowledged (TCP) or read (AF_UNIX). 0 where it cannot tell.
  public var unsentBytes: Int { max(0, Int(linux_unsent_bytes(number))) }

  /// Bytes that wait to be received. 0 where the kernel cannot tell.
  public var unreadBytes: Int { max(0, Int(linux_unread_bytes(number))) }

  public var localAddress: SocketAddress? {
    var raw = linux_address()
    return unsafe linux_local_address(number, &raw) < 0 ? nil : SocketAddress(raw: raw)
  }

  /// nil once the connection is gone.
  public var peerAddress: SocketAddress? {
    var raw = linux_address()
    return unsafe linux_peer_address(number, &raw) < 0 ? nil : SocketAddress(raw: raw)
  }
}

/// Blocking use, for clients that have nothing else to do.
extension Descriptor {
  /// A connected AF_UNIX socket whose calls wait at most `timeoutMilliseconds` (1 or more) each and then fail
  /// with EAGAIN.
  public static func connectWaiting(path: String, timeoutMilliseconds: Int64) throws(Errno) -> Descriptor {
    var address = try SocketAddress(path: path).raw
    let number = try checked(Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
    let socket = Descriptor(owning: number)
    try checked(linux_set_timeout(number, SO_RCVTIMEO, timeoutMilliseconds))
    try checked(linux_set_timeout(number, SO_SNDTIMEO, timeoutMilliseconds))
    try checked(unsafe linux_connect(number, &address))
    return socket
  }
}

import CLinux
import Glibc

/// What is set on TCP sockets: tcp(7). Plain data, so that setting it costs its system calls and nothing else.
public struct TCPOptions: Sendable {
  @usableFromInline var raw = linux_tcp_options()

  /// Everything as the system has it.
  public init() {}

  /// - Parameters:
  ///   - congestion: a name of at most 15 bytes; nil: the system's default, as everywhere here.
  ///   - keepaliveSeconds: without traffic, before the first probe: 1 to 32767.
  ///   - userTimeoutMilliseconds: 1 or more.
  ///   - defersAccept: for a listening socket: a connection is there to accept when its client has sent something, or
  ///     after about a second.
  public init(
    congestion: String?, keepaliveSeconds: Int32?, userTimeoutMilliseconds: Int32?, defersAccept: Bool = false
  ) {
    if let congestion { unsafe linux_name_congestion(&raw, congestion) }
    if let idle = keepaliveSeconds {
      raw.keepalive_idle = idle
      raw.keepalive_interval = Self.probeInterval(afterIdleSeconds: idle)
      raw.keepalive_count = Self.probeCount
    }
    raw.user_timeout = userTimeoutMilliseconds ?? 0
    raw.defer_accept = defersAccept ? 1 : 0
  }

  /// Seconds between two probes: a tenth of the time before the first, 1 at least and, as the system has it, 75 at most.
  public static func probeInterval(afterIdleSeconds idle: Int32) -> Int32 { min(75, max(1, idle / 10)) }
  /// Probes without an answer after which the peer counts as gone.
  public static var probeCount: Int32 { 5 }

  public var isEmpty: Bool {
    raw.congestion.0 == 0 && raw.keepalive_idle == 0 && raw.user_timeout == 0 && raw.defer_accept == 0
  }
}

extension Descriptor {
  /// Sets what is given, on a socket that was just made. What the kernel refuses stays as it was.
  @inlinable
  public func set(_ options: TCPOptions) {
    _ = unsafe withUnsafePointer(to: options.raw) { unsafe linux_set_tcp_options(number, $0, false) }
  }

  /// Sets what is given, and takes back what is not; connections that are accepted later inherit it. Refused, without
  /// harm, by sockets that are not TCP.
  public func replaceOptions(by options: TCPOptions) {
    _ = unsafe withUnsafePointer(to: options.raw) { unsafe linux_set_tcp_options(number, $0, true) }
  }

  /// Throws `ENOENT` where the kernel has no congestion control of that name and can load none, `EPERM` where this user
  /// may not choose it.
  public func setCongestion(_ name: String) throws(Errno) { try checked(unsafe linux_set_congestion(number, name)) }

  /// Has the coming connect start from an address of this machine; which port, is chosen then. `EADDRNOTAVAIL` where
  /// this machine does not have the address.
  @inlinable
  public func bindSource(_ address: SocketAddress) -> Errno? {
    let result = unsafe withUnsafePointer(to: address.raw) { unsafe linux_bind_source(number, $0) }
    return result < 0 ? Errno(rawValue: -result) : nil
  }
}

import CLinux
import Glibc

/// The address of a stream socket: IPv4, IPv6 or AF_UNIX.
public struct SocketAddress: Sendable, Equatable, CustomStringConvertible {
  @usableFromInline var raw: linux_address

  init(raw: linux_address) { self.raw = raw }

  /// An AF_UNIX address. Throws `ENAMETOOLONG` where the path is empty or over 107 bytes (unix(7)), `EINVAL` where it
  /// holds a null byte, at which the kernel would cut it.
  public init(path: String) throws(Errno) {
    if path.utf8.contains(0) { throw Errno(rawValue: EINVAL) }
    var raw = linux_address()
    try checked(unsafe linux_address_local(&raw, path))
    self.raw = raw
  }

  public enum Family: Sendable { case ipv4, ipv6, local }

  public var family: Family {
    switch unsafe linux_address_family([raw]) {
    case AF_INET: .ipv4
    case AF_INET6: .ipv6
    default: .local
    }
  }

  /// In host order; nil for AF_UNIX.
  public var port: UInt16? {
    get { UInt16(exactly: unsafe linux_address_port([raw])) }
    set { if let newValue { unsafe linux_address_set_port(&raw, newValue) } }
  }

  /// The description without its port: `1.2.3.4` or `::1`.
  public var host: String {
    guard family != .local, let colon = description.lastIndex(of: ":") else { return description }
    return String(description[..<colon].drop { $0 == "[" }.prefix { $0 != "]" })
  }

  /// `1.2.3.4:80`, `[::1]:80` or `unix:/path`.
  public var description: String {
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 160) { text in
      _ = unsafe linux_address_format([raw], text.baseAddress!, text.count)
      return unsafe String(cString: text.baseAddress!)
    }
  }

  public static func == (a: SocketAddress, b: SocketAddress) -> Bool {
    unsafe linux_address_equal([a.raw], [b.raw])
  }

  /// The addresses of a host name or a numeric address, in the order getaddrinfo(3) prefers. May wait for a name
  /// server, so it is never called on a thread that serves. Throws a text for people.
  public static func resolve(host: String, port: UInt16) throws(ResolutionFailure) -> [SocketAddress] {
    if host.utf8.contains(0) { throw ResolutionFailure(host: host, reason: "a name cannot hold a null byte") }
    let capacity = 16
    var systemError: Int32 = 0
    var found = [linux_address](repeating: linux_address(), count: capacity)
    let count = unsafe linux_resolve(host, port, false, &found, Int32(capacity), &systemError)
    if count > 0 { return found.prefix(Int(count)).map { SocketAddress(raw: $0) } }
    if systemError != 0 { throw ResolutionFailure(host: host, reason: "\(Errno(rawValue: systemError))") }
    let reason = count == 0 ? "no IPv4 or IPv6 address" : unsafe String(cString: linux_resolve_error(count))
    throw ResolutionFailure(host: host, reason: reason)
  }

  /// All addresses of this machine at a port: `[::]`, which takes IPv4 too where the system allows, and `0.0.0.0`.
  public static func wildcard(port: UInt16) -> (ipv6: SocketAddress, ipv4: SocketAddress) {
    var v6 = linux_address()
    unsafe linux_address_wildcard(&v6, AF_INET6, port)
    var v4 = linux_address()
    unsafe linux_address_wildcard(&v4, AF_INET, port)
    return (SocketAddress(raw: v6), SocketAddress(raw: v4))
  }
}

/// A name that has no address.
public struct ResolutionFailure: Error, Equatable, CustomStringConvertible {
  public let host: String
  public let reason: String
  public init(host: String, reason: String) { (self.host, self.reason) = (host, reason) }
  public var description: String { "cannot resolve \(host): \(reason)" }
}

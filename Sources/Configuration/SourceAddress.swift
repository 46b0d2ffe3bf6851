public import LinuxIO

/// An address of this machine that connections are made from: IPv4, or IPv6 with its zone where it has one; no port.
public struct SourceAddress: Hashable, Sendable {
  /// As it was written.
  public let text: String

  /// nil where the text is no numeric address, or one that stands for any (`0.0.0.0`, `::`), or an IPv4 address in the
  /// clothes of IPv6, from which no IPv6 target can be reached.
  init?(_ text: String) {
    guard isIPv4(text) || Configuration.isIPv6(text), !Self.isMapped(text) else { return nil }
    self.text = text
    guard let address = Self.numeric(withoutZone) else { return nil }
    let any = SocketAddress.wildcard(port: 0)
    guard address != any.ipv4, address != any.ipv6 else { return nil }
  }

  public var isIPv6: Bool { text.utf8.contains(UInt8(ascii: ":")) }

  /// With port 0. Throws where its zone names no interface of this machine.
  public func resolve() throws(ResolutionFailure) -> SocketAddress {
    let found = try SocketAddress.resolve(host: text, port: 0)
    guard let first = found.first else { throw ResolutionFailure(host: text, reason: "no address") }
    return first
  }

  /// Whether both are the same address, however they are written.
  func means(_ other: SourceAddress) -> Bool {
    zone == other.zone && Self.numeric(withoutZone) == Self.numeric(other.withoutZone)
  }

  /// Whether connections to a target can be made from it, as far as its text tells: a name may turn out to be of either
  /// family.
  func mayReach(_ target: Address) -> Bool {
    switch target {
    case .host(let host, _) where Configuration.isIPv6(host): isIPv6
    case .host(let host, _) where isIPv4(host): !isIPv6
    case .host: true
    case .wildcard, .local: false
    }
  }

  private static func isMapped(_ text: String) -> Bool {
    text.utf8.contains(UInt8(ascii: ":"))
      && (text.utf8.contains(UInt8(ascii: ".")) || text.lowercased().hasPrefix("::ffff:"))
  }

  private var withoutZone: String { String(text.prefix { $0 != "%" }) }
  private var zone: Substring { text.drop { $0 != "%" } }

  /// Numeric, so nobody is asked.
  private static func numeric(_ text: String) -> SocketAddress? {
    try? SocketAddress.resolve(host: text, port: 0).first
  }
}

extension SourceAddress: Encodable {
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }
}

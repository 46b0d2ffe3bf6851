public import Arguments

/// What is set on the TCP sockets of a listener, tcp(7). Every key that is nil is left as the system has it.
public struct TCPSettings: Equatable, Sendable {
  /// For both sides, where `client` or `target` says nothing else.
  public var both = SideSettings()
  /// Connections are accepted only when their client has sent something: TCP_DEFER_ACCEPT.
  public var deferAccept: Bool?
  public var client = SideSettings()
  public var target = SideSettings()

  /// Options of the connections on one side.
  public struct SideSettings: Equatable, Sendable {
    /// The name of a congestion control, 1 to 15 of `a-z A-Z 0-9 - _`: TCP_CONGESTION.
    public var congestion: String?
    /// Without traffic, before the first probe; in whole seconds: SO_KEEPALIVE and TCP_KEEPIDLE.
    public var keepalive: Milliseconds?
    /// Without an acknowledgment of what was sent, before the connection is given up: TCP_USER_TIMEOUT.
    public var userTimeout: Milliseconds?

    public init(congestion: String? = nil, keepalive: Milliseconds? = nil, userTimeout: Milliseconds? = nil) {
      (self.congestion, self.keepalive, self.userTimeout) = (congestion, keepalive, userTimeout)
    }

    func over(_ other: SideSettings) -> SideSettings {
      SideSettings(
        congestion: congestion ?? other.congestion, keepalive: keepalive ?? other.keepalive,
        userTimeout: userTimeout ?? other.userTimeout)
    }
  }

  public init(
    both: SideSettings = SideSettings(), deferAccept: Bool? = nil, client: SideSettings = SideSettings(),
    target: SideSettings = SideSettings()
  ) {
    (self.both, self.deferAccept, self.client, self.target) = (both, deferAccept, client, target)
  }

  /// What counts for connections from clients.
  public var towardsClients: SideSettings { client.over(both) }
  /// What counts for connections to targets.
  public var towardsTargets: SideSettings { target.over(both) }

  var isEmpty: Bool { self == TCPSettings() }
}

extension TCPSettings: Encodable {
  enum CodingKeys: String, CodingKey, CaseIterable {
    case congestion, keepalive, userTimeout, deferAccept, client, target
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try both.encode(into: &container, .congestion, .keepalive, .userTimeout)
    try container.encodeIfPresent(deferAccept, forKey: .deferAccept)
    if client != SideSettings() { try container.encode(client, forKey: .client) }
    if target != SideSettings() { try container.encode(target, forKey: .target) }
  }
}

extension TCPSettings.SideSettings: Encodable {
  enum CodingKeys: String, CodingKey, CaseIterable { case congestion, keepalive, userTimeout }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try encode(into: &container, .congestion, .keepalive, .userTimeout)
  }

  fileprivate func encode<Key: CodingKey>(
    into container: inout KeyedEncodingContainer<Key>, _ congestionKey: Key, _ keepaliveKey: Key,
    _ userTimeoutKey: Key
  ) throws {
    try container.encodeIfPresent(congestion, forKey: congestionKey)
    try container.encodeIfPresent(keepalive.map(formatDuration), forKey: keepaliveKey)
    try container.encodeIfPresent(userTimeout.map(formatDuration), forKey: userTimeoutKey)
  }
}

extension TCPSettings {
  mutating func read(_ cursor: Cursor) throws(SettingsError) {
    let members = try cursor.object(CodingKeys.self)
    both = try SideSettings(members[.congestion], members[.keepalive], members[.userTimeout])
    if let value = members[.deferAccept] { deferAccept = try value.boolean() }
    if let value = members[.client] { client = try SideSettings(value) }
    if let value = members[.target] { target = try SideSettings(value) }
  }
}

extension TCPSettings.SideSettings {
  /// The kernel takes up to 32767 seconds for TCP_KEEPIDLE: tcp(7).
  private static let keepaliveRange: ClosedRange<Milliseconds> = 1000...32_767_000
  /// Less than a second would end connections on which one packet was lost; the kernel counts milliseconds in 31 bits.
  private static let userTimeoutRange: ClosedRange<Milliseconds> = 1000...86_400_000

  fileprivate init(_ cursor: Cursor) throws(SettingsError) {
    let members = try cursor.object(CodingKeys.self)
    try self.init(members[.congestion], members[.keepalive], members[.userTimeout])
  }

  fileprivate init(_ congestion: Cursor?, _ keepalive: Cursor?, _ userTimeout: Cursor?) throws(SettingsError) {
    self.init()
    if let congestion { self.congestion = try Self.congestion(congestion) }
    if let keepalive {
      self.keepalive = try keepalive.duration(in: Self.keepaliveRange, example: "\"30s\" or \"2m\"", step: 1000)
    }
    if let userTimeout {
      self.userTimeout = try userTimeout.duration(in: Self.userTimeoutRange, example: "\"30s\" or \"1m\"", step: 1)
    }
  }

  /// Which names there are is the kernel's to say, when it is asked for one. TCP_CA_NAME_MAX, with its closing NUL, is 16.
  private static func congestion(_ cursor: Cursor) throws(SettingsError) -> String {
    let expected = "the name of a congestion control, such as \"cubic\" or \"bbr\""
    let name = try cursor.text(expected).value
    guard (1...15).contains(name.utf8.count), name.utf8.allSatisfy(isWord) else {
      throw cursor.failure(expected: expected)
    }
    return name
  }
}

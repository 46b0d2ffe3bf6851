public import LinuxIO

/// How a target is probed.
public struct ProbeSettings: Equatable, Sendable {
  public enum Kind: Equatable, Sendable {
    /// Nothing is asked, and nothing is known.
    case off
    /// It has to take a connection.
    case tcp
    /// It has to answer a request as is expected.
    case http(HTTPExpectation)
  }

  public var kind: Kind
  /// Milliseconds from the start of one probe to the start of the next, give or take a tenth: 1 or more.
  public var interval: Int64
  /// Milliseconds for one probe, all of a target's addresses together: 1 or more.
  public var timeout: Int64
  /// Passed results in a row that make an unhealthy target healthy, 1 or more.
  public var rise: Int
  /// Failed results in a row that make a healthy target unhealthy, 1 or more.
  public var fall: Int

  public init(_ kind: Kind, interval: Int64 = 2000, timeout: Int64 = 1000, rise: Int = 2, fall: Int = 3) {
    (self.kind, self.interval, self.timeout, self.rise, self.fall) = (kind, interval, timeout, rise, fall)
  }
}

/// A request and the answer that is expected to it.
public struct HTTPExpectation: Equatable, Sendable {
  /// Starts with `/`; visible ASCII without blanks.
  public var path: String
  /// For the Host field, visible ASCII without blanks; nil: the target's name.
  public var host: String?
  /// At least one, in 200 ... 599.
  public var statuses: [ClosedRange<Int>]
  /// Has to occur in the first 64 KiB of the body: 1 to 200 bytes; nil: the body is not looked at.
  public var body: String?

  public init(path: String, host: String? = nil, statuses: [ClosedRange<Int>] = [200...399], body: String? = nil) {
    (self.path, self.host, self.statuses, self.body) = (path, host, statuses, body)
  }
}

/// What is probed.
public struct ProbeTarget<ID: Hashable & Sendable>: Equatable, Sendable {
  /// The caller's: by it a target is recognized when a new set is given.
  public var id: ID
  /// As an operator wrote it: `10.0.0.2:80`, `unix:/run/app.sock`.
  public var name: String
  /// Tried in this order; empty: a name that has no address at present.
  public var addresses: [SocketAddress]
  /// Addresses of this machine to connect from, port 0; those of the target's family are tried in this order. Where
  /// there are none the system chooses.
  public var sources: [SocketAddress]
  public var settings: ProbeSettings

  public init(
    id: ID, name: String, addresses: [SocketAddress], sources: [SocketAddress] = [], settings: ProbeSettings
  ) {
    (self.id, self.name, self.addresses, self.sources, self.settings) = (id, name, addresses, sources, settings)
  }
}

public import Arguments

/// How targets are probed, where their listener says nothing else: every default filled in.
public struct HealthSettings: Equatable, Sendable {
  /// From the start of one probe of a target to the start of the next, give or take a tenth: 100 ms to 1 h.
  public var interval: Milliseconds
  /// For one probe: 10 ms to 1 min.
  public var timeout: Milliseconds
  /// Probes that have to pass in a row before an unhealthy target is healthy: 1 to 100.
  public var rise: Int
  /// Probes that have to fail in a row before a healthy target is unhealthy: 1 to 100.
  public var fall: Int
  public var probe: ProbeSetting
  /// What targets of protocol `http` are asked; nil: they only have to take a connection, as those of `tcp` do.
  public var http: HTTPProbeSettings?

  public init(
    interval: Milliseconds = 2000, timeout: Milliseconds = 1000, rise: Int = 2, fall: Int = 3,
    probe: ProbeSetting = .auto, http: HTTPProbeSettings? = nil
  ) {
    (self.interval, self.timeout, self.rise, self.fall) = (interval, timeout, rise, fall)
    (self.probe, self.http) = (probe, http)
  }
}

/// `probe`: whether targets are probed at all.
public enum ProbeSetting: String, Codable, Sendable, CaseIterable { case auto, off }

/// A request, and the answer that is expected to it.
public struct HTTPProbeSettings: Equatable, Sendable {
  /// Starts with `/`; at most 1000 bytes of visible ASCII.
  public var path: String
  public var status: StatusRanges
  /// Has to occur in the first 64 KiB of the body: 1 to 200 bytes, printable; nil: the body is not looked at.
  public var body: String?
  /// For the Host field: 1 to 255 of `A-Z a-z 0-9 . _ - : [ ]`; nil: the target's address.
  public var host: String?

  public init(
    path: String = "/", status: StatusRanges = StatusRanges([200...399]), body: String? = nil, host: String? = nil
  ) {
    (self.path, self.status, self.body, self.host) = (path, status, body, host)
  }
}

/// Statuses of final answers: `200-399`, `200,204`.
public struct StatusRanges: Equatable, Sendable {
  /// 1 to 16, each in 200 ... 599.
  public let ranges: [ClosedRange<Int>]

  static let expected = "statuses from 200 to 599 such as \"200-399\" or \"200,204,300-399\""

  public init(_ ranges: [ClosedRange<Int>]) { self.ranges = ranges }

  init?(_ text: String) {
    func status(_ digits: Substring) -> Int? {
      guard digits.utf8.count == 3, digits.utf8.allSatisfy(isDigit), let status = Int(digits) else { return nil }
      return (200...599).contains(status) ? status : nil
    }
    var ranges: [ClosedRange<Int>] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false)
      guard ends.count <= 2, let first = status(ends[0]), let last = status(ends[ends.count - 1]), first <= last else {
        return nil
      }
      ranges.append(first...last)
    }
    if ranges.count > 16 { return nil }
    self.ranges = ranges
  }

  var text: String {
    ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
  }
}

/// What a listener says of its health: each value that is there replaces that of the whole front door.
public struct HealthOverrides: Equatable, Sendable {
  public var interval: Milliseconds?
  public var timeout: Milliseconds?
  public var rise: Int?
  public var fall: Int?
  public var probe: ProbeSetting?
  public var http: HTTP?

  public enum HTTP: Equatable, Sendable {
    /// No request, whatever the front door has: a connection is enough.
    case off
    case request(Request)
  }

  public struct Request: Equatable, Sendable {
    public var path: String?
    public var status: StatusRanges?
    public var body: String?
    public var host: String?

    public init(path: String? = nil, status: StatusRanges? = nil, body: String? = nil, host: String? = nil) {
      (self.path, self.status, self.body, self.host) = (path, status, body, host)
    }
  }

  public init() {}

  var isEmpty: Bool { self == HealthOverrides() }
}

extension Settings {
  /// What counts for the targets of a listener. `http` is nil where a connection is enough.
  public func health(of listener: ListenerSettings) -> HealthSettings {
    var settings = health.with(listener.health)
    if listener.protocol != .http { settings.http = nil }
    return settings
  }
}

extension HealthSettings {
  func with(_ other: HealthOverrides) -> HealthSettings {
    HealthSettings(
      interval: other.interval ?? interval, timeout: other.timeout ?? timeout, rise: other.rise ?? rise,
      fall: other.fall ?? fall, probe: other.probe ?? probe, http: http(with: other.http))
  }

  private func http(with other: HealthOverrides.HTTP?) -> HTTPProbeSettings? {
    switch other {
    case nil: return http
    case .off?: return nil
    case .request(let request)?:
      let base = http ?? HTTPProbeSettings()
      return HTTPProbeSettings(
        path: request.path ?? base.path, status: request.status ?? base.status, body: request.body ?? base.body,
        host: request.host ?? base.host)
    }
  }
}

// MARK: Reading

extension HealthSettings {
  mutating func read(_ cursor: Cursor) throws(SettingsError) {
    self = with(try HealthOverrides(cursor))
  }
}

extension HealthOverrides {
  private static let intervalRange: ClosedRange<Milliseconds> = 100...3_600_000
  private static let timeoutRange: ClosedRange<Milliseconds> = 10...60_000
  private static let countRange = 1...100

  init(_ cursor: Cursor) throws(SettingsError) {
    let members = try cursor.object(HealthSettings.CodingKeys.self)
    if let value = members[.interval] {
      interval = try value.duration(in: Self.intervalRange, example: "\"500ms\" or \"2s\"", step: 1)
    }
    if let value = members[.timeout] {
      timeout = try value.duration(in: Self.timeoutRange, example: "\"500ms\" or \"2s\"", step: 1)
    }
    if let value = members[.rise] { rise = try value.wholeNumber(in: Self.countRange) }
    if let value = members[.fall] { fall = try value.wholeNumber(in: Self.countRange) }
    if let value = members[.probe] {
      let expected = "\"auto\" or \"off\""
      guard let setting = ProbeSetting(rawValue: try value.text(expected).value) else {
        throw value.failure(expected: expected)
      }
      probe = setting
    }
    if let value = members[.http] { http = try HTTP(value) }
  }
}

extension HealthOverrides {
  /// Of a listener. With protocol `tcp` a request would never be sent, so it is refused.
  init(_ cursor: Cursor, of protocol: ListenerProtocol) throws(SettingsError) {
    try self.init(cursor)
    if `protocol` != .http, case .request? = http, let value = try cursor.object(HealthSettings.CodingKeys.self)[.http]
    {
      throw value.origin.error(expected: "\"off\", as the listener's protocol is not \"http\"", found: "an object")
    }
  }
}

extension HealthOverrides.HTTP {
  fileprivate init(_ cursor: Cursor) throws(SettingsError) {
    if case .string("off") = cursor.node.value {
      self = .off
      return
    }
    guard case .object = cursor.node.value else { throw cursor.failure(expected: "an object or \"off\"") }
    self = .request(try HealthOverrides.Request(cursor))
  }
}

extension HealthOverrides.Request {
  fileprivate init(_ cursor: Cursor) throws(SettingsError) {
    let members = try cursor.object(HTTPProbeSettings.CodingKeys.self)
    path = try members[.path]?.text(
      "a path that starts with \"/\", of at most 1000 bytes, without blanks and \"#\"",
      where: { path in
        path.hasPrefix("/") && path.utf8.count <= 1000
          && path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }
      })
    status = try members[.status].map { value throws(SettingsError) in
      guard let ranges = StatusRanges(try value.text(StatusRanges.expected).value) else {
        throw value.failure(expected: StatusRanges.expected)
      }
      return ranges
    }
    body = try members[.body]?.text(
      "a text of 1 to 200 bytes without control characters",
      where: { (1...200).contains($0.utf8.count) && $0.unicodeScalars.allSatisfy(isPrintable) })
    host = try members[.host]?.text(
      "a host, with or without a port, of 1 to 255 of A-Z a-z 0-9 . _ - : [ ]",
      where: { host in
        (1...255).contains(host.utf8.count) && host.utf8.allSatisfy { isWord($0) || ".:[]".utf8.contains($0) }
      })
  }
}

// MARK: Writing

extension HealthSettings: Encodable {
  enum CodingKeys: String, CodingKey, CaseIterable { case interval, timeout, rise, fall, probe, http }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(formatDuration(interval), forKey: .interval)
    try container.encode(formatDuration(timeout), forKey: .timeout)
    try container.encode(rise, forKey: .rise)
    try container.encode(fall, forKey: .fall)
    try container.encode(probe, forKey: .probe)
    try container.encodeIfPresent(http, forKey: .http)
  }
}

extension HTTPProbeSettings: Encodable {
  enum CodingKeys: String, CodingKey, CaseIterable { case path, status, body, host }
}

extension StatusRanges: Encodable {
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }
}

extension HealthOverrides: Encodable {
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: HealthSettings.CodingKeys.self)
    try container.encodeIfPresent(interval.map(formatDuration), forKey: .interval)
    try container.encodeIfPresent(timeout.map(formatDuration), forKey: .timeout)
    try container.encodeIfPresent(rise, forKey: .rise)
    try container.encodeIfPresent(fall, forKey: .fall)
    try container.encodeIfPresent(probe, forKey: .probe)
    switch http {
    case nil: break
    case .off?: try container.encode("off", forKey: .http)
    case .request(let request)?: try container.encode(request, forKey: .http)
    }
  }
}

extension HealthOverrides.Request: Encodable {
  typealias CodingKeys = HTTPProbeSettings.CodingKeys
}

public import Arguments
public import Switching

/// The effective configuration of a front door: every default filled in, every value validated.
///
/// Encoded, it has the keys of the file, so that its JSON is a configuration file in its own right.
public struct Settings: Equatable, Sendable {
  /// 1 to 64, with names that differ.
  public var listeners: [ListenerSettings]
  /// The active color where there is no state file yet.
  public var active: Color
  /// Absolute path.
  public var stateFile: String
  /// Threads that relay: 0 to 256; 0 is one for each processor.
  public var workers: Int
  public var admin: AdminSettings
  public var drain: DrainSettings
  public var timeouts: TimeoutSettings
  public var limits: LimitSettings
  public var health: HealthSettings
  public var bake: BakeSettings
  public var checks: ChecksSettings
  public var busyPoll: BusyPollSetting
  public var splice: SpliceSetting

  public init(
    listeners: [ListenerSettings], active: Color = .blue, stateFile: String, workers: Int = 0, admin: AdminSettings,
    drain: DrainSettings = DrainSettings(), timeouts: TimeoutSettings = TimeoutSettings(),
    limits: LimitSettings = LimitSettings(), health: HealthSettings = HealthSettings(),
    bake: BakeSettings = BakeSettings(), checks: ChecksSettings = ChecksSettings(), busyPoll: BusyPollSetting = .auto,
    splice: SpliceSetting = .off
  ) {
    self.listeners = listeners
    self.active = active
    self.stateFile = stateFile
    self.workers = workers
    self.admin = admin
    self.drain = drain
    self.timeouts = timeouts
    self.limits = limits
    self.health = health
    self.bake = bake
    self.checks = checks
    self.busyPoll = busyPoll
    self.splice = splice
  }
}

/// What the sessions of a listener speak.
public enum ListenerProtocol: String, Codable, Sendable, CaseIterable {
  /// Anything: bytes are relayed, and a session stays with its color.
  case tcp
  /// HTTP/1: bytes are relayed as they are, and a session moves between two requests.
  case http
}

/// An address at which production traffic arrives, with the targets of each color behind it.
public struct ListenerSettings: Equatable, Sendable {
  /// 1 to 64 of `A-Z a-z 0-9 . _ -`. A reload recognizes a listener by its name.
  public var name: String
  public var bind: Address
  public var `protocol`: ListenerProtocol
  /// Always leads to the idle color; nil: no preview.
  public var preview: Address?
  /// 1 to 64 of each color.
  public var targets: ByColor<[Address]>
  /// Addresses of this machine from which connections to targets are made, at most 64; empty: the system chooses.
  public var source: [SourceAddress]
  public var tcp: TCPSettings
  public var health: HealthOverrides

  public init(
    name: String, bind: Address, protocol: ListenerProtocol = .tcp, preview: Address? = nil,
    targets: ByColor<[Address]>, source: [SourceAddress] = [], tcp: TCPSettings = TCPSettings(),
    health: HealthOverrides = HealthOverrides()
  ) {
    (self.name, self.bind, self.protocol, self.preview, self.targets) = (name, bind, `protocol`, preview, targets)
    (self.source, self.tcp, self.health) = (source, tcp, health)
  }
}

public struct AdminSettings: Equatable, Sendable {
  /// Absolute path of the Unix socket, at most 107 bytes (unix(7)).
  public var socket: String
  /// Permissions of the socket: no bits outside 0660.
  public var mode: UInt32
  /// The name of the group whose members may use the socket besides root and the daemon's own user; nil: nobody else.
  public var group: String?
  /// Where metrics and the status page are served, to everybody who can connect; nil: nowhere.
  public var metrics: Address?

  public init(socket: String, mode: UInt32 = 0o660, group: String? = nil, metrics: Address? = nil) {
    (self.socket, self.mode, self.group, self.metrics) = (socket, mode, group, metrics)
  }
}

public struct DrainSettings: Equatable, Sendable {
  /// How long sessions of a color that is no longer active may run on: 0 to 365 days.
  public var timeout: Milliseconds
  /// The last part of the window, in which what is left is closed evenly: 0 to 365 days, in effect at most half of the
  /// window.
  public var spread: Milliseconds

  public init(timeout: Milliseconds = 30_000, spread: Milliseconds = 10_000) {
    (self.timeout, self.spread) = (timeout, spread)
  }
}

/// Each from 1 ms to 365 days.
public struct TimeoutSettings: Equatable, Sendable {
  /// For one attempt to reach one target.
  public var connect: Milliseconds
  /// Without a byte in either direction.
  public var idle: Milliseconds
  /// Without a byte after one side has sent its FIN.
  public var halfClosed: Milliseconds
  /// In a hold, without a backend.
  public var hold: Milliseconds

  public init(
    connect: Milliseconds = 5000, idle: Milliseconds = 3_600_000, halfClosed: Milliseconds = 60_000,
    hold: Milliseconds = 30_000
  ) {
    (self.connect, self.idle, self.halfClosed, self.hold) = (connect, idle, halfClosed, hold)
  }
}

public struct LimitSettings: Equatable, Sendable {
  /// Sessions at a time: 0 to a billion; 0 is as many as the descriptor limit allows.
  public var sessions: Int

  public init(sessions: Int = 0) { self.sessions = sessions }
}

extension Settings: Encodable {
  enum CodingKeys: String, CodingKey, CaseIterable {
    case listeners, active, stateFile, workers, admin, drain, timeouts, limits, health, bake, checks, busyPoll, splice
  }
}

extension ListenerSettings: Encodable {
  enum CodingKeys: String, CodingKey, CaseIterable {
    case name, bind, `protocol`, preview, blue, green, source, tcp, health
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(bind, forKey: .bind)
    try container.encode(`protocol`, forKey: .protocol)
    try container.encodeIfPresent(preview, forKey: .preview)
    try container.encode(targets.blue, forKey: .blue)
    try container.encode(targets.green, forKey: .green)
    if !source.isEmpty { try container.encode(source, forKey: .source) }
    if !tcp.isEmpty { try container.encode(tcp, forKey: .tcp) }
    if !health.isEmpty { try container.encode(health, forKey: .health) }
  }
}

extension AdminSettings: Encodable {
  enum CodingKeys: String, CodingKey, CaseIterable { case socket, mode, group, metrics }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(socket, forKey: .socket)
    let digits = String(mode, radix: 8)
    try container.encode(String(repeating: "0", count: max(0, 4 - digits.count)) + digits, forKey: .mode)
    try container.encodeIfPresent(group, forKey: .group)
    try container.encodeIfPresent(metrics, forKey: .metrics)
  }
}

extension DrainSettings: Encodable {
  enum CodingKeys: String, CodingKey, CaseIterable { case timeout, spread }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(formatDuration(timeout), forKey: .timeout)
    try container.encode(formatDuration(spread), forKey: .spread)
  }
}

extension TimeoutSettings: Encodable {
  enum CodingKeys: String, CodingKey, CaseIterable { case connect, idle, halfClosed, hold }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(formatDuration(connect), forKey: .connect)
    try container.encode(formatDuration(idle), forKey: .idle)
    try container.encode(formatDuration(halfClosed), forKey: .halfClosed)
    try container.encode(formatDuration(hold), forKey: .hold)
  }
}

extension LimitSettings: Encodable {
  enum CodingKeys: String, CodingKey, CaseIterable { case sessions }
}

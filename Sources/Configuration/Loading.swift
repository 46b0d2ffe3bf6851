public import LinuxIO
import Switching

extension Settings {
  /// The configuration of a file, at most 1 MiB of JSON5, with the options of the command line over it.
  ///
  /// The file is validated whole, what the options override included.
  /// - Parameters:
  ///   - text: the bytes of the file.
  ///   - file: its name, for messages.
  ///   - environment: where the files are that neither the file nor an option names.
  public static func load(
    text: [UInt8], file: String, overrides: Overrides = Overrides(),
    environment: DefaultPaths = .ofThisProcess()
  ) throws(SettingsError) -> Settings {
    let root: JSON5.Node
    do { root = try JSON5.read(text) } catch {
      throw Origin(file: file, place: error.place, keyPath: error.path).error(error.message)
    }
    let members = try Cursor(root, file: file, keyPath: "").object(CodingKeys.self)
    var settings = Settings(defaults: environment)
    if let list = members[.listeners] { settings.listeners = try readListeners(list) }
    if let active = members[.active] { settings.active = try active.color() }
    if let stateFile = members[.stateFile] {
      settings.stateFile = try absolutePath(try stateFile.text("an absolute path"), longest: longestPath)
    }
    if let workers = members[.workers] { settings.workers = try workers.wholeNumber(in: workerRange) }
    if let admin = members[.admin] { try settings.admin.read(admin) }
    if let drain = members[.drain] { try settings.drain.read(drain) }
    if let timeouts = members[.timeouts] { try settings.timeouts.read(timeouts) }
    if let limits = members[.limits] { try settings.limits.read(limits) }
    if let health = members[.health] { try settings.health.read(health) }
    if let bake = members[.bake] { try settings.bake.read(bake) }
    if let checks = members[.checks] { try settings.checks.read(checks) }
    if let busyPoll = members[.busyPoll] { settings.busyPoll = try busyPoll.busyPoll() }
    if let splice = members[.splice] { settings.splice = try splice.splice() }
    try settings.apply(overrides)
    if overrides.metrics == nil, let metrics = settings.admin.metrics, let admin = members[.admin] {
      let origin = try admin.object(AdminSettings.CodingKeys.self)[.metrics]?.origin ?? admin.origin
      try settings.refuseCollision(of: metrics, origin)
    }
    guard !settings.listeners.isEmpty else {
      throw members.missing(.listeners, expected: "an array of 1 to \(mostListeners) listeners")
    }
    return settings
  }

  /// The configuration that the command line alone describes.
  public static func load(
    overrides: Overrides, environment: DefaultPaths = .ofThisProcess()
  ) throws(SettingsError) -> Settings {
    var settings = Settings(defaults: environment)
    try settings.apply(overrides)
    guard !settings.listeners.isEmpty else {
      throw Origin(option: "--listen").error(expected: "an address, or --config with a file", found: "neither")
    }
    return settings
  }

  private init(defaults: DefaultPaths) {
    self.init(
      listeners: [], stateFile: defaults.stateFile, admin: AdminSettings(socket: defaults.adminSocket))
  }

  private mutating func apply(_ overrides: Overrides) throws(SettingsError) {
    if let draft = try ListenerDraft(overrides) { listeners = try validated([draft]) }
    if let color = overrides.active { active = color }
    if let path = overrides.state {
      stateFile = try absolutePath(SourcedText(value: path, origin: Origin(option: "--state")), longest: longestPath)
    }
    if let path = overrides.socket {
      admin.socket = try absolutePath(
        SourcedText(value: path, origin: Origin(option: "--socket")), longest: longestSocketPath)
    }
    if let count = overrides.workers {
      guard workerRange.contains(count) else {
        throw Origin(option: "--workers").error(
          expected: "a whole number from \(workerRange.lowerBound) to \(workerRange.upperBound)", found: "\(count)")
      }
      workers = count
    }
    if let address = overrides.metrics {
      let text = SourcedText(value: address, origin: Origin(option: "--metrics"))
      let metrics = try parsed(text, for: .listening)
      try refuseCollision(of: metrics, text.origin)
      admin.metrics = metrics
    }
  }

  private func refuseCollision(of metrics: Address, _ origin: Origin) throws(SettingsError) {
    for listener in listeners {
      for address in [listener.bind, listener.preview].compactMap(\.self) where address.collides(with: metrics) {
        throw origin.error(
          expected: "an address of its own", found: "\(metrics), which the listener \(listener.name) takes")
      }
    }
  }
}

/// Keys of the interface that are refused by name until they are built.
enum Planned {
  static let listener = ["proxyProtocol"]
}

private let workerRange = 0...256
/// PATH_MAX, with its closing NUL, is 4096; the names of files beside the state file are a little longer than its own.
private let longestPath = 4000

private func absolutePath(_ text: SourcedText, longest: Int) throws(SettingsError) -> String {
  if let expected = pathProblem(text.value, longest: longest) {
    throw text.origin.error(expected: expected, found: quoted(text.value))
  }
  return text.value
}

extension AdminSettings {
  fileprivate mutating func read(_ cursor: Cursor) throws(SettingsError) {
    let members = try cursor.object(CodingKeys.self)
    if let path = members[.socket] {
      socket = try absolutePath(try path.text("an absolute path"), longest: longestSocketPath)
    }
    if let text = members[.mode] { mode = try Self.mode(text) }
    if let name = members[.group] { group = try Self.group(name) }
    if let address = members[.metrics] { metrics = try parsed(try address.text("an address"), for: .listening) }
  }

  private static func mode(_ cursor: Cursor) throws(SettingsError) -> UInt32 {
    let expected = "permissions in octal, as text, with no bits outside \"0660\""
    let digits = try cursor.text(expected).value
    guard (3...4).contains(digits.utf8.count), digits.utf8.allSatisfy(isDigit), let bits = UInt32(digits, radix: 8),
      bits & ~0o660 == 0
    else { throw cursor.failure(expected: expected) }
    return bits
  }

  /// What useradd(8) takes, with some room: no colon, which separates the fields of group(5).
  private static func group(_ cursor: Cursor) throws(SettingsError) -> String {
    let expected = "the name of a group"
    let name = try cursor.text(expected).value
    guard (1...256).contains(name.utf8.count), name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != 0x3A }) else {
      throw cursor.failure(expected: expected)
    }
    return name
  }
}

extension DrainSettings {
  fileprivate mutating func read(_ cursor: Cursor) throws(SettingsError) {
    let members = try cursor.object(CodingKeys.self)
    if let value = members[.timeout] { timeout = try value.duration(from: 0) }
    if let value = members[.spread] { spread = try value.duration(from: 0) }
  }
}

extension TimeoutSettings {
  fileprivate mutating func read(_ cursor: Cursor) throws(SettingsError) {
    let members = try cursor.object(CodingKeys.self)
    if let value = members[.connect] { connect = try value.duration(from: 1) }
    if let value = members[.idle] { idle = try value.duration(from: 1) }
    if let value = members[.halfClosed] { halfClosed = try value.duration(from: 1) }
    if let value = members[.hold] { hold = try value.duration(from: 1) }
  }
}

extension LimitSettings {
  fileprivate mutating func read(_ cursor: Cursor) throws(SettingsError) {
    let members = try cursor.object(CodingKeys.self)
    if let value = members[.sessions] { sessions = try value.wholeNumber(in: 0...1_000_000_000) }
  }
}

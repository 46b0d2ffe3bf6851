/// What a reload does: which listeners come, go or change, and what has to wait for a restart.
///
/// `active` is no part of it: a reload never switches.
public struct ReloadPlan: Equatable, Sendable {
  /// Names of listeners, in the order of the new configuration.
  public let added: [String]
  /// Names of listeners, in the order of the old configuration.
  public let removed: [String]
  /// Names of listeners of which any other key differs, in the order of the new configuration.
  public let changed: [String]
  /// Key paths, outside of the listeners, whose new value takes effect at once.
  public let atOnce: [String]
  /// Key paths whose new value takes effect only with the next start.
  public let needsRestart: [String]

  public init(from old: Settings, to new: Settings) {
    let before = Dictionary(old.listeners.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    let names = Set(new.listeners.map(\.name))
    added = new.listeners.map(\.name).filter { before[$0] == nil }
    removed = old.listeners.map(\.name).filter { !names.contains($0) }
    changed = new.listeners.filter { before[$0.name].map { [new = $0] in new != $0 } ?? false }.map(\.name)

    func differing(_ values: [(keyPath: String, differs: Bool)]) -> [String] {
      values.filter(\.differs).map(\.keyPath)
    }
    atOnce = differing([
      ("drain.timeout", old.drain.timeout != new.drain.timeout),
      ("drain.spread", old.drain.spread != new.drain.spread),
      ("timeouts.connect", old.timeouts.connect != new.timeouts.connect),
      ("timeouts.idle", old.timeouts.idle != new.timeouts.idle),
      ("timeouts.halfClosed", old.timeouts.halfClosed != new.timeouts.halfClosed),
      ("timeouts.hold", old.timeouts.hold != new.timeouts.hold),
      ("limits.sessions", old.limits.sessions != new.limits.sessions),
      ("health.interval", old.health.interval != new.health.interval),
      ("health.timeout", old.health.timeout != new.health.timeout),
      ("health.rise", old.health.rise != new.health.rise),
      ("health.fall", old.health.fall != new.health.fall),
      ("health.probe", old.health.probe != new.health.probe),
      ("health.http", old.health.http != new.health.http),
      ("bake.time", old.bake.time != new.bake.time),
      ("bake.connectFailures", old.bake.connectFailures != new.bake.connectFailures),
      ("bake.resets", old.bake.resets != new.bake.resets),
      ("bake.serverErrors", old.bake.serverErrors != new.bake.serverErrors),
      ("bake.firstByte", old.bake.firstByte != new.bake.firstByte),
      ("bake.minimumClients", old.bake.minimumClients != new.bake.minimumClients),
      ("bake.minimumSamples", old.bake.minimumSamples != new.bake.minimumSamples),
      ("checks.before", old.checks.before != new.checks.before),
      ("checks.after", old.checks.after != new.checks.after),
      ("busyPoll", old.busyPoll != new.busyPoll),
      ("splice", old.splice != new.splice),
    ])
    needsRestart = differing([
      ("workers", old.workers != new.workers),
      ("stateFile", old.stateFile != new.stateFile),
      ("admin.socket", old.admin.socket != new.admin.socket),
      ("admin.mode", old.admin.mode != new.admin.mode),
      ("admin.group", old.admin.group != new.admin.group),
      ("admin.metrics", old.admin.metrics != new.admin.metrics),
    ])
  }
}

public import Switching

/// The JSON of the admin channel: what both programs say to each other, and what `--json` prints.

public struct StatusReport: Codable, Equatable, Sendable {
  public var version: String
  public var pid: Int32
  public var startedAt: String
  public var active: Color
  /// Where a rollback would go.
  @Nullable public var previous: Color?
  public var generation: UInt64
  /// nil where there was no switch yet.
  @Nullable public var switchedAt: String?
  public var phase: Phase
  /// Percent of new sessions that go to each color.
  public var share: ByColor<Int>
  public var colors: ByColor<ColorReport>
  /// Sessions that wait for a hold to end.
  public var held: Int
  /// Keep-alive clients without a backend at present.
  public var parked: Int
  @Nullable public var hold: HoldReport?
  @Nullable public var drain: DrainReport?
  @Nullable public var bake: BakeReport?
  @Nullable public var ramp: RampReport?
  @Nullable public var lastSwitch: Receipt?
  public var splice: SpliceReport
  public var listeners: [ListenerReport]
  /// Where metrics and the status page are served; nil: nowhere.
  @Nullable public var metrics: String?
  /// Where `recent` was asked for.
  public var recent: RecentReport?

  /// The first that applies.
  public enum Phase: String, Codable, Sendable, CaseIterable {
    case stopping, paused, holding, ramping, baking, draining, steady
  }

  public init(
    version: String, pid: Int32, startedAt: String, active: Color, previous: Color?, generation: UInt64,
    switchedAt: String?, phase: Phase, share: ByColor<Int>, colors: ByColor<ColorReport>, held: Int, parked: Int,
    hold: HoldReport?, drain: DrainReport?, bake: BakeReport?, ramp: RampReport?, lastSwitch: Receipt?,
    splice: SpliceReport, listeners: [ListenerReport]
  ) {
    self.version = version
    self.pid = pid
    self.startedAt = startedAt
    self.active = active
    self.generation = generation
    self.phase = phase
    self.share = share
    self.colors = colors
    self.held = held
    self.parked = parked
    self.splice = splice
    self.listeners = listeners
    self.previous = previous
    self.switchedAt = switchedAt
    self.drain = drain
    self.hold = hold
    self.bake = bake
    self.ramp = ramp
    self.lastSwitch = lastSwitch
  }
}

/// A bake under way: the front door watches the color that became active.
public struct BakeReport: Codable, Equatable, Sendable {
  /// The color that is watched.
  public var color: Color
  public var since: String
  public var until: String
  public var signals: [SignalReport]
  public init(color: Color, since: String, until: String, signals: [SignalReport]) {
    (self.color, self.since, self.until, self.signals) = (color, since, until, signals)
  }
}

/// A ramp under way: a share of the new clients goes to the color that is to become active.
public struct RampReport: Codable, Equatable, Sendable {
  public var to: Color
  /// The step in force, from 1.
  public var step: Int
  public var steps: [RampStep]
  /// Of the step in force.
  public var since: String
  public var until: String
  public var signals: [SignalReport]
  public init(to: Color, step: Int, steps: [RampStep], since: String, until: String, signals: [SignalReport]) {
    (self.to, self.step, self.steps, self.since, self.until, self.signals) = (to, step, steps, since, until, signals)
  }
}

/// One thing that is watched during a bake or ramp. Beyond its limit it takes the release back.
public struct SignalReport: Codable, Equatable, Sendable {
  /// health, connectFailures, resets, serverErrors, firstByte
  public var signal: String
  /// A share from 0 to 1; with `health` the number of listeners without a healthy target.
  public var value: Double
  public var limit: Double
  /// What the share is of.
  public var samples: UInt64
  /// Client addresses that had it; nil where clients cannot cause it.
  @Nullable public var clients: Int?
  public init(signal: String, value: Double, limit: Double, samples: UInt64, clients: Int?) {
    (self.signal, self.value, self.limit, self.samples) = (signal, value, limit, samples)
    self.clients = clients
  }
}

/// One step of a ramp.
public struct RampStep: Codable, Equatable, Sendable {
  /// Of new sessions (tcp) and of clients (http): 1 to 99.
  public var percent: Int
  /// How long it lasts: a duration such as 1m.
  public var time: String
  public init(percent: Int, time: String) { (self.percent, self.time) = (percent, time) }
}

/// Sustained transfers, whose bytes go through pipes instead of being copied.
public struct SpliceReport: Codable, Equatable, Sendable {
  /// That are open at present, at most `limit`; beyond it bytes are copied.
  public var pipes: Int
  public var limit: Int
  /// That went through pipes since the start; those of sessions count them as well.
  public var bytes: UInt64
  public init(pipes: Int, limit: Int, bytes: UInt64) { (self.pipes, self.limit, self.bytes) = (pipes, limit, bytes) }
}

/// A hold that is in force: a pause or a handover.
public struct HoldReport: Codable, Equatable, Sendable {
  public var since: String
  /// When traffic resumes by itself.
  public var until: String
  public var by: Requester
  /// Production sessions that still run on a color.
  public var inFlight: Int
  /// Where a handover leads; nil for a pause.
  @Nullable public var handover: Color?
  public init(since: String, until: String, by: Requester, inFlight: Int, handover: Color?) {
    (self.since, self.until, self.by, self.inFlight) = (since, until, by, inFlight)
    self.handover = handover
  }
}

public struct ColorReport: Codable, Equatable, Sendable {
  /// Every listener has at least one healthy target. nil: not known yet.
  @Nullable public var healthy: Bool?
  public var sessions: Int
  public var draining: Int
  /// Of the sessions with protocol http: between two requests, in an exchange, and with boundaries that are not known.
  public var idle: Int
  public var busy: Int
  public var opaque: Int
  public var accepted: UInt64
  public var requests: UInt64
  public var connectFailures: UInt64
  public var resets: UInt64
  /// Backends that closed between two requests, which cost no client anything.
  public var idleCloses: UInt64
  /// Requests that met such a close and were sent again.
  public var retries: UInt64
  public var bytesIn: UInt64
  public var bytesOut: UInt64

  public init(
    healthy: Bool?, sessions: Int, draining: Int, idle: Int, busy: Int, opaque: Int, accepted: UInt64,
    requests: UInt64, connectFailures: UInt64, resets: UInt64, idleCloses: UInt64, retries: UInt64, bytesIn: UInt64,
    bytesOut: UInt64
  ) {
    self.sessions = sessions
    self.draining = draining
    (self.idle, self.busy, self.opaque, self.idleCloses, self.retries) = (idle, busy, opaque, idleCloses, retries)
    self.accepted = accepted
    self.requests = requests
    self.connectFailures = connectFailures
    self.resets = resets
    self.bytesIn = bytesIn
    self.bytesOut = bytesOut
    self.healthy = healthy
  }
}

public struct DrainReport: Codable, Equatable, Sendable {
  public var deadline: String
  public var remaining: Int
  public var initial: Int
  public init(deadline: String, remaining: Int, initial: Int) {
    (self.deadline, self.remaining, self.initial) = (deadline, remaining, initial)
  }
}

public struct ListenerReport: Codable, Equatable, Sendable {
  public var name: String
  public var bind: String
  public var `protocol`: String
  @Nullable public var preview: String?
  public var targets: ByColor<[TargetReport]>
  public init(name: String, bind: String, protocol: String, preview: String?, targets: ByColor<[TargetReport]>) {
    (self.name, self.bind, self.protocol, self.targets) = (name, bind, `protocol`, targets)
    self.preview = preview
  }
}

public struct TargetReport: Codable, Equatable, Sendable {
  public var address: String
  @Nullable public var healthy: Bool?
  /// What the last probe, or real traffic since, has found, for people; nil: nothing yet.
  @Nullable public var result: String?
  public var sessions: Int
  public init(address: String, healthy: Bool?, result: String? = nil, sessions: Int) {
    (self.address, self.sessions) = (address, sessions)
    self.healthy = healthy
    self.result = result
  }
}

/// The body of `POST /v1/switch`.
public struct SwitchRequest: Codable, Equatable, Sendable {
  public var to: Color
  public var drain: String?
  public var expect: Color?
  public var dryRun: Bool?
  public var reason: String?
  /// The two colors never serve at the same time.
  public var handover: Bool?
  /// With a handover: answer when nothing serves, and wait for another request on this connection.
  public var during: Bool?
  /// That other request: true goes on, false gives the handover up.
  public var proceed: Bool?
  /// To a color that is not healthy, too. With a handover: what has not ended in time is cut.
  public var force: Bool?
  /// How long the new color is watched afterwards; else as configured.
  public var bake: String?
  /// 1 to 20 steps, with growing shares.
  public var ramp: [RampStep]?
  public init(to: Color, drain: String? = nil, expect: Color? = nil, dryRun: Bool? = nil, reason: String? = nil) {
    (self.to, self.drain, self.expect, self.dryRun, self.reason) = (to, drain, expect, dryRun, reason)
  }
}

/// The body of `POST /v1/pause`; empty counts as `{}`.
public struct PauseRequest: Codable, Equatable, Sendable {
  /// Answer when no work is in flight.
  public var wait: Bool?
  /// How long the pause may last.
  public var max: String?
  public init(wait: Bool? = nil, max: String? = nil) { (self.wait, self.max) = (wait, max) }
}

/// The body of `POST /v1/rollback`; empty counts as `{}`.
public struct RollbackRequest: Codable, Equatable, Sendable {
  public var drain: String?
  public var reason: String?
  /// To a color that is not healthy, too.
  public var force: Bool?
  public init(drain: String? = nil, reason: String? = nil, force: Bool? = nil) {
    (self.drain, self.reason, self.force) = (drain, reason, force)
  }
}

/// The body of `POST /v1/drain`; empty counts as `{}`, which changes nothing and answers the progress.
public struct DrainRequest: Codable, Equatable, Sendable {
  public var extend: String?
  public var now: Bool?
  public init(extend: String? = nil, now: Bool? = nil) { (self.extend, self.now) = (extend, now) }
}

/// The answer of `GET /v1/sessions`.
public struct SessionsReport: Codable, Equatable, Sendable {
  public var sessions: [SessionReport]
  public init(sessions: [SessionReport]) { self.sessions = sessions }
}

public struct SessionReport: Codable, Equatable, Sendable {
  public var listener: String
  public var preview: Bool
  /// nil: it waits, without a backend.
  @Nullable public var color: Color?
  public var generation: UInt64
  public var draining: Bool
  public var client: String
  public var target: String
  /// Protocol tcp: connecting, held, open, halfClosed, resetting. Protocol http: parked, held, connecting, idle, busy,
  /// opaque, resetting, closing.
  public var state: String
  /// Protocol http: why it is not known where requests begin and end.
  @Nullable public var opaque: String?
  public var ageSeconds: Double
  public var idleSeconds: Double
  /// From the client.
  public var bytesIn: UInt64
  /// To the client.
  public var bytesOut: UInt64
  public init(
    listener: String, preview: Bool, color: Color?, generation: UInt64, draining: Bool, client: String, target: String,
    state: String, opaque: String?, ageSeconds: Double, idleSeconds: Double, bytesIn: UInt64, bytesOut: UInt64
  ) {
    self.listener = listener
    self.preview = preview
    self.generation = generation
    self.draining = draining
    self.client = client
    self.target = target
    self.state = state
    self.ageSeconds = ageSeconds
    self.idleSeconds = idleSeconds
    self.bytesIn = bytesIn
    self.bytesOut = bytesOut
    self.color = color
    self.opaque = opaque
  }
}

/// The answer of `GET /v1/health`: each target of each listener.
public struct HealthReport: Codable, Equatable, Sendable {
  public var health: [TargetHealthReport]
  public init(health: [TargetHealthReport]) { self.health = health }
}

public struct TargetHealthReport: Codable, Equatable, Sendable {
  public var listener: String
  public var color: Color
  public var address: String
  /// How it is probed: tcp, http, or off.
  public var probe: String
  /// nil: not probed yet.
  @Nullable public var healthy: Bool?
  /// Of `healthy`.
  @Nullable public var since: String?
  /// Of the last result.
  @Nullable public var checkedAt: String?
  /// Of the last probe, or of a connection of real traffic that failed since: `connected`, `200`, `connection refused`,
  /// for people.
  @Nullable public var result: String?
  /// Of the last probe.
  @Nullable public var latencyMicroseconds: Int64?
  /// Results in a row that speak against `healthy`; it changes when they are as many as `rise` or `fall`.
  public var against: Int
  public init(
    listener: String, color: Color, address: String, probe: String, healthy: Bool?, since: String?,
    checkedAt: String?, result: String?, latencyMicroseconds: Int64?, against: Int
  ) {
    (self.listener, self.color, self.address, self.probe) = (listener, color, address, probe)
    self.against = against
    self.healthy = healthy
    self.since = since
    self.checkedAt = checkedAt
    self.result = result
    self.latencyMicroseconds = latencyMicroseconds
  }
}

/// The answer of `GET /v1/history`: the oldest first.
public struct HistoryReport: Codable, Equatable, Sendable {
  public var history: [Receipt]
  public init(history: [Receipt]) { self.history = history }
}

/// The answer of `POST /v1/reload`.
public struct ReloadReport: Codable, Equatable, Sendable {
  public var added: [String]
  public var removed: [String]
  public var changed: [String]
  /// Keys whose new value takes effect only with the next start.
  public var needsRestart: [String]
  public init(added: [String], removed: [String], changed: [String], needsRestart: [String]) {
    (self.added, self.removed, self.changed, self.needsRestart) = (added, removed, changed, needsRestart)
  }
}

/// One line of `GET /v1/events`.
public struct EventReport: Codable, Equatable, Sendable {
  /// The event that comes before an orderly end of the front door, and of the events.
  public static let stopping = "stopping"

  public var at: String
  /// switch, drain, drain-changed, settled, pause, resume, hold, handover-given-up, reload, reload-refused, limit,
  /// target-unreachable, target-up, target-down, bake, bake-passed, bake-failed, ramp, no-way-back, trial-waits,
  /// state-not-written, state-written, stopping
  public var event: String
  public var message: String
  /// Among the past events, of a trouble that lasts and was told more than once: how often, and when first.
  public var count: Int?
  public var since: String?
  /// With `switch` and `settled`.
  public var receipt: Receipt?
  /// With `drain`.
  public var drain: DrainReport?
  public init(at: String, event: String, message: String, receipt: Receipt? = nil, drain: DrainReport? = nil) {
    (self.at, self.event, self.message, self.receipt, self.drain) = (at, event, message, receipt, drain)
  }
}

/// The body of every answer that is not a success.
public struct ErrorReport: Codable, Equatable, Sendable, Error {
  public struct Detail: Codable, Equatable, Sendable {
    /// For programs: `unhealthy`, `unexpected`, `not-persisted`, …
    public var code: String
    /// For people.
    public var message: String
  }
  public var error: Detail
  public init(code: String, message: String) { error = Detail(code: code, message: message) }
}

public import Switching

/// The last minutes, for live views: `GET /v1/status?recent=5m`.
public struct RecentReport: Codable, Equatable, Sendable {
  /// Between two samples.
  public var stepSeconds: Double
  /// The oldest first, as far back as was asked for, at most ten minutes.
  public var samples: [TrafficSample]
  /// The last ones, however old they are, without the progress of drains; the oldest first.
  public var events: [EventReport]
  /// What each configured listener did in the last minute.
  public var lastMinute: [ListenerMinute]
  public init(
    stepSeconds: Double, samples: [TrafficSample], events: [EventReport], lastMinute: [ListenerMinute]
  ) {
    (self.stepSeconds, self.samples, self.events) = (stepSeconds, samples, events)
    self.lastMinute = lastMinute
  }
}

/// Production traffic of one listener in the last minute.
public struct ListenerMinute: Codable, Equatable, Sendable {
  public var name: String
  public var colors: ByColor<ListenerFigures>
  public init(name: String, colors: ByColor<ListenerFigures>) { (self.name, self.colors) = (name, colors) }
}

public struct ListenerFigures: Codable, Equatable, Sendable {
  /// Assigned to the color.
  public var sessions: UInt64
  /// Protocol http.
  public var requests: UInt64
  /// Sessions that found no target.
  public var connectFailures: UInt64
  /// Sessions that a target reset.
  public var resets: UInt64
  /// Sessions (tcp) and requests (http) that a target broke off before the first byte of its answer.
  public var earlyResets: UInt64
  /// Responses with a status of 500 or more.
  public var serverErrors: UInt64
  public init(
    sessions: UInt64, requests: UInt64, connectFailures: UInt64, resets: UInt64, earlyResets: UInt64,
    serverErrors: UInt64
  ) {
    (self.sessions, self.requests, self.connectFailures) = (sessions, requests, connectFailures)
    (self.resets, self.earlyResets, self.serverErrors) = (resets, earlyResets, serverErrors)
  }
}

/// What production traffic did in one step.
public struct TrafficSample: Codable, Equatable, Sendable {
  /// Its end.
  public var at: String
  /// How long it was: about as long as a step, longer on a busy machine.
  public var seconds: Double
  public var colors: ByColor<TrafficFigures>
  public init(at: String, seconds: Double, colors: ByColor<TrafficFigures>) {
    (self.at, self.seconds, self.colors) = (at, seconds, colors)
  }
}

public struct TrafficFigures: Codable, Equatable, Sendable {
  /// Open at its end; the rest is what has come in the step.
  public var sessions: Int
  public var accepted: UInt64
  public var requests: UInt64
  public var bytesIn: UInt64
  public var bytesOut: UInt64
  public var connectFailures: UInt64
  public var resets: UInt64
  public var serverErrors: UInt64
  /// Of the times to the first byte in the ten seconds up to its end; nil where there was none.
  @Nullable public var p50Microseconds: UInt64?
  @Nullable public var p99Microseconds: UInt64?
  public init(
    sessions: Int, accepted: UInt64, requests: UInt64, bytesIn: UInt64, bytesOut: UInt64, connectFailures: UInt64,
    resets: UInt64, serverErrors: UInt64, p50Microseconds: UInt64?, p99Microseconds: UInt64?
  ) {
    self.sessions = sessions
    self.accepted = accepted
    self.requests = requests
    self.bytesIn = bytesIn
    self.bytesOut = bytesOut
    self.connectFailures = connectFailures
    self.resets = resets
    self.serverErrors = serverErrors
    self.p50Microseconds = p50Microseconds
    self.p99Microseconds = p99Microseconds
  }
}

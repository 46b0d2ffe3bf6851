/// What a worker counts for one color (or for its preview listeners). Plain numbers, written by the one worker that
/// owns them; others see copies that the worker hands out. They start at 0 and only grow.
public struct TrafficCounters: Equatable, Sendable {
  /// Sessions that were claimed for it: one that moved to the other color is counted by both.
  public var accepted: UInt64 = 0
  /// Sessions that looked for a target; with protocol http each time they did.
  public var connects: UInt64 = 0
  /// Sessions that found no target of their color.
  public var connectFailures: UInt64 = 0
  /// Sessions that the backend reset.
  public var resets: UInt64 = 0
  /// Connections to backends that were made, and attempts at an address that failed.
  public var established: UInt64 = 0
  public var failedAttempts: UInt64 = 0
  /// What its backends were given to do: sessions (tcp) that were connected, and requests (http).
  public var begun: UInt64 = 0
  /// Sessions (tcp) and requests (http) that the backend broke off before the first byte of its answer.
  public var earlyResets: UInt64 = 0
  /// Requests that were claimed for it; protocol http.
  public var requests: UInt64 = 0
  /// Final answers, and those with a status of 500 or more; protocol http.
  public var answers: UInt64 = 0
  public var serverErrors: UInt64 = 0
  /// Backends that closed between two requests, which cost no client anything; protocol http.
  public var idleCloses: UInt64 = 0
  /// Requests that met such a close and were sent again; protocol http.
  public var retries: UInt64 = 0
  /// Bytes from clients.
  public var bytesIn: UInt64 = 0
  /// Bytes to clients.
  public var bytesOut: UInt64 = 0

  @inlinable
  public init() {}

  public static func += (sum: inout TrafficCounters, other: TrafficCounters) {
    sum.accepted += other.accepted
    sum.connects += other.connects
    sum.connectFailures += other.connectFailures
    sum.resets += other.resets
    sum.established += other.established
    sum.failedAttempts += other.failedAttempts
    sum.begun += other.begun
    sum.earlyResets += other.earlyResets
    sum.requests += other.requests
    sum.answers += other.answers
    sum.serverErrors += other.serverErrors
    sum.idleCloses += other.idleCloses
    sum.retries += other.retries
    sum.bytesIn += other.bytesIn
    sum.bytesOut += other.bytesOut
  }
}

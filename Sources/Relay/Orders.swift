import LinuxIO
import Switching
import Telemetry

/// What the control thread asks of a worker. Orders are carried out in the order in which they were posted.
enum WorkerOrder: Sendable {
  /// A connection that another worker accepted; the number is this worker's to close.
  case adopt(number: Int32, client: UInt32, Door)
  case open(Door)
  /// Stops watching the socket, after taking what waits in its queue.
  case close(Door, done: @Sendable () -> Void)
  case apply(Routes, RelaySettings)
  /// A barrier: the word was stored. Answered at the end of the tick, when every claim made with the old word is
  /// counted.
  case confirm(Assignment, reply: @Sendable (WorkerReport) -> Void)
  /// Exact counts, at the end of the tick.
  case report(reply: @Sendable (WorkerReport) -> Void)
  /// Of each listener.
  case countListeners(reply: @Sendable (ListenerCounts) -> Void)
  /// What the metrics tell, at the end of the tick.
  case measure(reply: @Sendable (Measures) -> Void)
  case drain(DrainOrder?)
  /// A hold has begun, or changed, or ended; the word says so already.
  case hold(HoldOrder?)
  /// A release is on trial, or none is any more.
  case watch(WatchOrder?)
  case list(reply: @Sendable ([SessionSnapshot]) -> Void)
}

/// When the sessions that are to drain are closed.
public struct DrainOrder: Sendable, Equatable {
  public enum Scope: Sendable { case idleColor, everything }
  public var scope: Scope
  /// From here on quiet sessions are closed evenly.
  public var spreadStart: Instant
  /// Here whatever is left is reset.
  public var deadline: Instant
  public init(scope: Scope, spreadStart: Instant, deadline: Instant) {
    (self.scope, self.spreadStart, self.deadline) = (scope, spreadStart, deadline)
  }
}

/// A hold: nothing new goes to a backend, and http sessions let go of theirs between two requests.
public struct HoldOrder: Sendable, Equatable {
  /// What becomes of the sessions it finds is counted: for the receipt of the handover.
  public var isHandover: Bool
  /// Sessions that still have a backend are reset.
  public var cuts = false
  public init(isHandover: Bool) { self.isHandover = isHandover }
}

/// A release on trial: whose figures are of interest.
public struct WatchOrder: Sendable, Equatable {
  public var color: Color
  /// Microseconds after which a first byte is late; nil: nobody asks.
  public var lateness: UInt64?
  public init(color: Color, lateness: UInt64?) { (self.color, self.lateness) = (color, lateness) }
}

/// Sessions by state, of those whose protocol is http.
public struct StateCensus: Sendable, Equatable {
  public var idle = 0
  public var busy = 0
  public var opaque = 0

  mutating func count(_ state: SessionState) {
    switch state {
    case .idle: idle += 1
    case .connecting, .busy, .resetting: busy += 1
    case .opaque: opaque += 1
    case .parked, .held, .open, .halfClosed, .closing: break
    }
  }

  static func + (a: StateCensus, b: StateCensus) -> StateCensus {
    var sum = a
    sum.idle += b.idle
    sum.busy += b.busy
    sum.opaque += b.opaque
    return sum
  }
}

/// The exact counts of one worker at the end of a tick, or their sum over all workers.
public struct WorkerReport: Sendable {
  /// Sessions by account: blue, green, preview, waiting.
  public var sessions: [Int]
  public var counters: [TrafficCounters]
  /// Of the drain under way.
  public var tally: DrainTally
  /// With a barrier: what the drain before it had come to.
  public var closedTally: DrainTally
  /// Sessions that wait for a hold to end.
  public var held: Int
  /// Sessions of protocol http that have no backend, since nothing was asked.
  public var parked: Int
  public var census: ByColor<StateCensus>
  /// Bytes that went through pipes.
  public var splicedBytes: UInt64
  /// Protocol http: how long requests waited for the first byte of their answers.
  public var firstByte: ByColor<LatencyHistogram>
  /// Protocol tcp: how long it took from the connection to a backend to the first byte from there.
  public var firstByteOfSessions: ByColor<LatencyHistogram>
  /// While a release is on trial.
  public var watch: WatchFindings?

  public static let empty = WorkerReport(
    sessions: [0, 0, 0, 0], counters: Array(repeating: TrafficCounters(), count: 4), tally: DrainTally(),
    closedTally: DrainTally(), held: 0, parked: 0, census: ByColor(both: StateCensus()), splicedBytes: 0,
    firstByte: ByColor(both: LatencyHistogram()), firstByteOfSessions: ByColor(both: LatencyHistogram()), watch: nil)

  static func + (a: WorkerReport, b: WorkerReport) -> WorkerReport {
    var sum = a
    for index in sum.sessions.indices {
      sum.sessions[index] += b.sessions[index]
      sum.counters[index] += b.counters[index]
    }
    sum.tally = a.tally + b.tally
    sum.closedTally = a.closedTally + b.closedTally
    sum.held += b.held
    sum.parked += b.parked
    sum.splicedBytes += b.splicedBytes
    for color in Color.allCases {
      sum.census[color] = a.census[color] + b.census[color]
      sum.firstByte[color] += b.firstByte[color]
      sum.firstByteOfSessions[color] += b.firstByteOfSessions[color]
    }
    if let watch = b.watch { sum.watch = (a.watch ?? WatchFindings()) + watch }
    return sum
  }

  public func sessions(of color: Color) -> Int { sessions[Int(Account(color).rawValue)] }
  public func counters(of color: Color) -> TrafficCounters { counters[Int(Account(color).rawValue)] }
  /// Of both protocols.
  public func firstBytes(of color: Color) -> LatencyHistogram {
    var sum = firstByte[color]
    sum += firstByteOfSessions[color]
    return sum
  }
  public var allSessions: Int { sessions.reduce(0, +) }
  /// Production sessions that have a backend, or are about to: the work in flight.
  public var inFlight: Int { sessions(of: .blue) + sessions(of: .green) }
}

/// One session as an operator sees it.
public struct SessionSnapshot: Sendable {
  public let listener: ListenerID
  public let isPreview: Bool
  /// nil: it waits, without a backend.
  public let assignment: Assignment?
  /// nil once the client is gone.
  public let client: SocketAddress?
  /// -1: none yet.
  public let target: Int32
  public let state: SessionState
  /// With protocol http: why its boundaries are not known; nil where they are.
  public let opacity: String?
  public let ageMilliseconds: Int64
  public let idleMilliseconds: Int64
  public let bytesIn: UInt64
  public let bytesOut: UInt64
}

/// What a worker tells without being asked.
public enum WorkerNews: Sendable {
  /// The last session that was to drain here has ended.
  case drained
  /// In a hold, the last session here has let go of its backend.
  case quiet
  /// Accepting has stopped for a moment.
  case limitReached(Limit)
  /// A target could not be reached.
  case connectFailed(target: Int32, Errno)

  public enum Limit: Sendable, Equatable {
    case sessions
    /// Of the process or the system: no connection could be accepted or made.
    case descriptors(Errno)
    /// This machine has no free port towards the target.
    case ports
    /// An address that connections should be made from cannot be used.
    case source(SocketAddress, Errno)
  }
}

import EventCore
import LinuxIO
import Switching
public import Telemetry

/// What happened at one listener, for one account; what has no listener or no color of its own is counted as `waiting`.
public struct ListenerCounters: Equatable, Sendable {
  /// Connections of clients that were accepted.
  public var connections: UInt64 = 0
  /// Sessions that were claimed for a color.
  public var assigned: UInt64 = 0
  /// Sessions that found no target of their color.
  public var connectFailures: UInt64 = 0
  /// As in `TrafficCounters`: those of all its targets.
  public var requests: UInt64 = 0
  public var serverErrors: UInt64 = 0
  public var resets: UInt64 = 0
  public var earlyResets: UInt64 = 0
  /// Sessions that had to wait in a hold; each time they did.
  public var held: UInt64 = 0
  /// What the front door told clients in a backend's place; with protocol tcp by closing their connection.
  public var unreachable: UInt64 = 0
  public var timedOut: UInt64 = 0
  public var heldTooLong: UInt64 = 0

  public init() {}

  public static func += (sum: inout ListenerCounters, other: ListenerCounters) {
    sum.connections &+= other.connections
    sum.assigned &+= other.assigned
    sum.connectFailures &+= other.connectFailures
    sum.requests &+= other.requests
    sum.serverErrors &+= other.serverErrors
    sum.resets &+= other.resets
    sum.earlyResets &+= other.earlyResets
    sum.held &+= other.held
    sum.unreachable &+= other.unreachable
    sum.timedOut &+= other.timedOut
    sum.heldTooLong &+= other.heldTooLong
  }
}

/// How long things took at one listener, for production sessions of one color.
public struct ListenerTimes: Equatable, Sendable {
  public var connect = CoarseHistogram()
  public var firstByte = CoarseHistogram()

  public init() {}

  public static func += (sum: inout ListenerTimes, other: ListenerTimes) {
    sum.connect += other.connect
    sum.firstByte += other.firstByte
  }
}

/// Why a client is kept waiting without a backend.
public enum HoldReason: String, Sendable, CaseIterable {
  /// A pause or a handover.
  case hold
  /// A release on trial takes no connections: it will be taken back in a moment.
  case trial
}

/// Sessions that a listener has at present, of one account.
public struct ListenerCensus: Equatable, Sendable {
  public var sessions = 0
  public var held = 0
  public var parked = 0

  public init() {}

  public static func += (sum: inout ListenerCensus, other: ListenerCensus) {
    sum.sessions += other.sessions
    sum.held += other.held
    sum.parked += other.parked
  }
}

/// Rows of counters that one worker writes. Raw storage: the byte path adds to it, and must not look after references.
@safe struct CounterTable<Row: Sendable>: ~Copyable {
  private let empty: Row
  private var rows: UnsafeMutablePointer<Row>
  private(set) var count = 0

  init(of empty: Row) {
    self.empty = empty
    unsafe rows = .allocate(capacity: 0)
  }

  deinit {
    unsafe rows.deinitialize(count: count)
    unsafe rows.deallocate()
  }

  /// Makes room for at least so many rows.
  mutating func grow(to wanted: Int) {
    guard wanted > count else { return }
    let larger = UnsafeMutablePointer<Row>.allocate(capacity: wanted)
    unsafe larger.moveInitialize(from: rows, count: count)
    unsafe (larger + count).initialize(repeating: empty, count: wanted - count)
    unsafe rows.deallocate()
    unsafe rows = larger
    count = wanted
  }

  mutating func clear(_ row: Int) { self[row] = empty }

  subscript(row: Int) -> Row {
    @inline(__always) _read {
      precondition(row >= 0 && row < count)
      yield unsafe rows[row]
    }
    @inline(__always) _modify {
      precondition(row >= 0 && row < count)
      yield unsafe &rows[row]
    }
  }

  func copied() -> [Row] { (0..<count).map { self[$0] } }
}

/// What the metrics tell beside the counts by color: of each listener and target, and how long things took. A worker writes
/// it; the control thread asks for a copy when somebody reads the metrics.
struct Ledger: ~Copyable {
  private var targets = CounterTable(of: TrafficCounters())
  private var listeners = CounterTable(of: ListenerCounters())
  private var listenerTimes = CounterTable(of: ListenerTimes())
  private var connectTimes = ByColor(both: LatencyHistogram())
  private var heldTimes = InlineArray<2, LatencyHistogram>(repeating: LatencyHistogram())
  private var sessionTimes = InlineArray<3, LatencyHistogram>(repeating: LatencyHistogram())
  /// Of the routes whose targets and listeners it counts.
  private var edition: UInt64 = 0

  /// Before sessions find their way by these routes.
  mutating func prepare(for routes: Routes) {
    targets.grow(to: routes.slotCount * 2)
    for slot in routes.freshSlots {
      targets.clear(Self.row(slot, isPreview: false))
      targets.clear(Self.row(slot, isPreview: true))
    }
    let rows = routes.targets.keys.map { Int($0.row) + 1 }.max() ?? 0
    listeners.grow(to: rows * Account.allCases.count)
    listenerTimes.grow(to: rows * Color.allCases.count)
    for listener in routes.freshListeners {
      for account in Account.allCases { listeners.clear(Self.row(listener, account)) }
      for color in Color.allCases { listenerTimes.clear(Self.row(listener, color)) }
    }
    edition = routes.edition
  }

  /// Changes what is counted for a target; nothing where there is none.
  @inline(__always)
  mutating func count(target slot: Int32, isPreview: Bool, _ change: (inout TrafficCounters) -> Void) {
    guard slot >= 0 else { return }
    change(&targets[Self.row(slot, isPreview: isPreview)])
  }

  @inline(__always)
  mutating func count(_ listener: ListenerID, _ account: Account, _ change: (inout ListenerCounters) -> Void) {
    let row = Self.row(listener, account)
    guard row < listeners.count else { return }
    change(&listeners[row])
  }

  mutating func connected(_ listener: ListenerID, _ color: Color, microseconds: UInt64) {
    connectTimes[color].add(microseconds: microseconds)
    let row = Self.row(listener, color)
    if row < listenerTimes.count { listenerTimes[row].connect.add(microseconds: microseconds) }
  }

  mutating func firstByteCame(_ listener: ListenerID, _ color: Color, microseconds: UInt64) {
    let row = Self.row(listener, color)
    if row < listenerTimes.count { listenerTimes[row].firstByte.add(microseconds: microseconds) }
  }

  mutating func held(for reason: HoldReason, microseconds: UInt64) {
    heldTimes[Self.index(reason)].add(microseconds: microseconds)
  }

  mutating func sessionEnded(of color: Color?, microseconds: UInt64) {
    sessionTimes[Self.index(color)].add(microseconds: microseconds)
  }

  /// - Parameter census: by listener and account, as `Measures.listeners`.
  func measures(census: [ListenerCensus], firstByte: ByColor<LatencyHistogram>, ofSessions: ByColor<LatencyHistogram>)
    -> Measures
  {
    Measures(
      edition: edition, targets: targets.copied(), listeners: listenerCounts, census: census,
      listenerTimes: listenerTimes.copied(), connectTimes: connectTimes, firstByte: firstByte,
      firstByteOfSessions: ofSessions, heldTimes: heldTimes.indices.map { heldTimes[$0] },
      sessionTimes: sessionTimes.indices.map { sessionTimes[$0] })
  }

  var listenerRows: Int { listeners.count }

  var listenerCounts: ListenerCounts { ListenerCounts(edition: edition, rows: listeners.copied()) }

  static func row(_ listener: ListenerID, _ account: Account) -> Int {
    Int(listener.row) * Account.allCases.count + Int(account.rawValue)
  }

  fileprivate static func row(_ listener: ListenerID, _ color: Color) -> Int {
    Int(listener.row) * Color.allCases.count + index(color)
  }

  fileprivate static func row(_ slot: Int32, isPreview: Bool) -> Int { Int(slot) * 2 + (isPreview ? 1 : 0) }

  fileprivate static func index(_ reason: HoldReason) -> Int {
    switch reason {
    case .hold: 0
    case .trial: 1
    }
  }

  fileprivate static func index(_ color: Color?) -> Int {
    switch color {
    case .blue: 0
    case .green: 1
    case nil: 2
    }
  }
}

/// What happened at each listener, in all workers together.
public struct ListenerCounts: Sendable {
  /// As `Measures.edition`.
  public private(set) var edition: UInt64
  fileprivate var rows: [ListenerCounters]

  public func counters(of listener: ListenerID, _ account: Account) -> ListenerCounters {
    let row = Ledger.row(listener, account)
    return rows.indices.contains(row) ? rows[row] : ListenerCounters()
  }

  fileprivate init(edition: UInt64, rows: [ListenerCounters]) { (self.edition, self.rows) = (edition, rows) }

  static func + (a: ListenerCounts, b: ListenerCounts) -> ListenerCounts {
    var sum = a
    sum.edition = min(a.edition, b.edition)
    Measures.add(b.rows, to: &sum.rows, +=)
    return sum
  }
}

/// A copy of the ledgers of all workers, added up.
public struct Measures: Sendable {
  /// Of the routes that every worker had by then. Whoever knows of later ones must ask again: rows are used again.
  public private(set) var edition: UInt64
  private var targets: [TrafficCounters]
  private var listeners: ListenerCounts
  private var census: [ListenerCensus]
  private var listenerTimes: [ListenerTimes]
  public private(set) var connectTimes: ByColor<LatencyHistogram>
  /// Protocol http.
  public private(set) var firstByte: ByColor<LatencyHistogram>
  /// Protocol tcp.
  public private(set) var firstByteOfSessions: ByColor<LatencyHistogram>
  private var heldTimes: [LatencyHistogram]
  private var sessionTimes: [LatencyHistogram]

  fileprivate init(
    edition: UInt64, targets: [TrafficCounters], listeners: ListenerCounts, census: [ListenerCensus],
    listenerTimes: [ListenerTimes], connectTimes: ByColor<LatencyHistogram>, firstByte: ByColor<LatencyHistogram>,
    firstByteOfSessions: ByColor<LatencyHistogram>, heldTimes: [LatencyHistogram], sessionTimes: [LatencyHistogram]
  ) {
    self.edition = edition
    self.targets = targets
    self.listeners = listeners
    self.census = census
    self.listenerTimes = listenerTimes
    self.connectTimes = connectTimes
    self.firstByte = firstByte
    self.firstByteOfSessions = firstByteOfSessions
    self.heldTimes = heldTimes
    self.sessionTimes = sessionTimes
  }

  /// Production sessions, or those of the preview, at one target.
  public func counters(ofTarget slot: Int32, isPreview: Bool) -> TrafficCounters {
    value(of: targets, Ledger.row(slot, isPreview: isPreview)) ?? TrafficCounters()
  }

  public func counters(of listener: ListenerID, _ account: Account) -> ListenerCounters {
    listeners.counters(of: listener, account)
  }

  public func census(of listener: ListenerID, _ account: Account) -> ListenerCensus {
    value(of: census, Ledger.row(listener, account)) ?? ListenerCensus()
  }

  public func times(of listener: ListenerID, _ color: Color) -> ListenerTimes {
    value(of: listenerTimes, Ledger.row(listener, color)) ?? ListenerTimes()
  }

  /// How long clients were kept waiting without a backend; each time, once it has ended.
  public func heldTimes(for reason: HoldReason) -> LatencyHistogram { heldTimes[Ledger.index(reason)] }

  /// How long sessions lasted whose last color was this one; nil: that never had any.
  public func sessionTimes(of color: Color?) -> LatencyHistogram { sessionTimes[Ledger.index(color)] }

  private func value<Row>(of rows: [Row], _ index: Int) -> Row? { rows.indices.contains(index) ? rows[index] : nil }

  static func + (a: Measures, b: Measures) -> Measures {
    var sum = a
    sum.edition = min(a.edition, b.edition)
    add(b.targets, to: &sum.targets, +=)
    sum.listeners = a.listeners + b.listeners
    add(b.census, to: &sum.census, +=)
    add(b.listenerTimes, to: &sum.listenerTimes, +=)
    for color in Color.allCases {
      sum.connectTimes[color] += b.connectTimes[color]
      sum.firstByte[color] += b.firstByte[color]
      sum.firstByteOfSessions[color] += b.firstByteOfSessions[color]
    }
    add(b.heldTimes, to: &sum.heldTimes, +=)
    add(b.sessionTimes, to: &sum.sessionTimes, +=)
    return sum
  }

  /// Workers may have heard of new routes already, or not yet.
  fileprivate static func add<Row>(_ rows: [Row], to sum: inout [Row], _ add: (inout Row, Row) -> Void) {
    for index in rows.indices {
      if index < sum.count { add(&sum[index], rows[index]) } else { sum.append(rows[index]) }
    }
  }
}

extension Worker {
  /// Counts something for a session's account and for its target.
  @inline(__always)
  mutating func count(_ token: Token, _ change: (inout TrafficCounters) -> Void) {
    let account = sessions[token].account
    change(&counters[Int(account.rawValue)])
    ledger.count(target: sessions[token].target, isPreview: sessions[token].exchange.isPreview, change)
  }

  /// Counts something for a session's listener.
  mutating func countAtListener(_ token: Token, _ account: Account, _ change: (inout ListenerCounters) -> Void) {
    ledger.count(sessions[token].listener, account, change)
  }

  /// Looks at all sessions: some ten microseconds a thousand.
  func measures() -> Measures {
    var census = Array(repeating: ListenerCensus(), count: ledger.listenerRows)
    for slot in 0..<sessions.highWater {
      guard let token = sessions.token(at: slot) else { continue }
      let row = Ledger.row(sessions[token].listener, sessions[token].account)
      guard row < census.count else { continue }
      census[row].sessions += 1
      switch sessions[token].phase {
      case .held: census[row].held += 1
      case .parked: census[row].parked += 1
      case .connecting, .relaying, .resetting, .lingering, .closing: break
      }
    }
    return ledger.measures(census: census, firstByte: firstByte, ofSessions: firstByteOfSessions)
  }
}

import EventCore
import LinuxIO
import Switching
import Telemetry

/// Watching: what a release on trial is judged by, and what the color before it was like.
extension Worker {
  /// What was found of the same color stays.
  mutating func change(watchingTo order: WatchOrder?) {
    if let order, watch?.color == order.color {
      watch?.lateness = order.lateness
    } else {
      watch = order.map { Watch($0) }
    }
  }

  /// After bytes of protocol http have moved: requests, answers, and the time between them.
  ///
  /// Times are those of the ticks, which the loop knows anyway.
  /// - Parameter wasAnswering: an answer was under way before they moved. Backends answer in order: the next request is
  ///   waited for once that has ended.
  @inline(__always)
  mutating func watchExchange(_ token: Token, _ wasAnswering: Bool) {
    let requests = sessions[token].exchange.takeUncounted()
    if requests != 0 {
      count(token) { counters in
        counters.requests &+= UInt64(requests)
        counters.begun &+= UInt64(requests)
      }
      countAtListener(token, sessions[token].account) { $0.requests &+= UInt64(requests) }
      if !wasAnswering, sessions[token].askedAt == .distantFuture { sessions[token].askedAt = loop.now }
    }
    let answered = sessions[token].exchange.tracker.takeAnswered()
    if answered.all != 0 {
      count(token) { counters in
        counters.answers &+= UInt64(answered.all)
        counters.serverErrors &+= UInt64(answered.serverErrors)
      }
      if answered.serverErrors != 0 {
        countAtListener(token, sessions[token].account) { $0.serverErrors &+= UInt64(answered.serverErrors) }
        note(.serverErrors, token)
      }
    }
    let isAnswering = sessions[token].exchange.tracker.hasAnswerBegun
    if answered.all != 0 || isAnswering, sessions[token].askedAt != .distantFuture { firstByteOfAnswer(token) }
    if wasAnswering || answered.all != 0, !isAnswering, sessions[token].exchange.tracker.outstanding > 0 {
      sessions[token].askedAt = loop.now
    }
  }

  mutating func firstByteOfSession(_ token: Token) {
    guard let (color, microseconds) = firstByteCame(token) else { return }
    firstByteOfSessions[color].add(microseconds: microseconds)
  }

  private mutating func firstByteOfAnswer(_ token: Token) {
    guard let (color, microseconds) = firstByteCame(token) else { return }
    firstByte[color].add(microseconds: microseconds)
    if let lateness = watch?.lateness, microseconds >= lateness { note(.firstByte, token) }
  }

  /// For whom it counts, and how long it was waited for; nil: it is not production's.
  private mutating func firstByteCame(_ token: Token) -> (color: Color, microseconds: UInt64)? {
    let microseconds = UInt64(max(0, loop.now.microseconds(since: sessions[token].askedAt)))
    sessions[token].askedAt = .distantFuture
    let color: Color
    switch sessions[token].account {
    case .blue: color = .blue
    case .green: color = .green
    case .preview, .waiting: return nil
    }
    ledger.firstByteCame(sessions[token].listener, color, microseconds: microseconds)
    return (color, microseconds)
  }

  /// Something that clients can cause has happened.
  private mutating func note(_ signal: Signal, _ token: Token) {
    if watch == nil { return }
    let (account, client) = (sessions[token].account, sessions[token].exchange.client)
    watch?.note(signal, by: account, client)
  }

  /// The backend broke off before the first byte of its answer.
  mutating func brokeOff(_ token: Token) {
    count(token) { $0.earlyResets &+= 1 }
    countAtListener(token, sessions[token].account) { $0.earlyResets &+= 1 }
    note(.resets, token)
  }

  /// What the watch has found until now, answers included that are late and have not come yet.
  mutating func watchFindings() -> WatchFindings? {
    guard let account = watch?.account, let color = watch?.color else { return nil }
    var overdue: UInt64 = 0
    if let lateness = watch?.lateness {
      for slot in 0..<sessions.highWater {
        guard let token = sessions.token(at: slot), sessions[token].account == account,
          sessions[token].phase == .relaying, sessions[token].exchange.isWatched,
          sessions[token].askedAt != .distantFuture,
          UInt64(max(0, loop.now.microseconds(since: sessions[token].askedAt))) >= lateness
        else { continue }
        overdue += 1
        note(.firstByte, token)
      }
    }
    guard let found = watch?.findings else { return nil }
    var findings = WatchFindings()
    findings.color = color
    findings.overdue = overdue
    // The worker goes on writing while the control thread reads.
    findings.resets = found.resets.copied()
    findings.serverErrors = found.serverErrors.copied()
    findings.firstByte = found.firstByte.copied()
    return findings
  }
}

/// A release on trial, as one worker watches it.
struct Watch {
  let color: Color
  let account: Account
  /// Microseconds.
  var lateness: UInt64?
  private(set) var findings = WatchFindings()

  init(_ order: WatchOrder) {
    color = order.color
    account = Account(order.color)
    lateness = order.lateness
  }

  mutating func note(_ signal: Signal, by account: Account, _ client: UInt32) {
    if account == self.account { findings.insert(client, signal) }
  }
}

/// What counters do not tell of a release on trial: whose sessions went wrong, and what is still awaited.
public struct WatchFindings: Sendable, Equatable {
  public var color = Color.blue
  /// Requests whose first byte is late and has not come yet.
  public var overdue: UInt64 = 0
  public var resets = AddressSketch()
  public var serverErrors = AddressSketch()
  public var firstByte = AddressSketch()

  public init() {}

  mutating func insert(_ client: UInt32, _ signal: Signal) {
    switch signal {
    case .health, .connectFailures: break
    case .resets: resets.insert(client)
    case .serverErrors: serverErrors.insert(client)
    case .firstByte: firstByte.insert(client)
    }
  }

  static func + (a: WatchFindings, b: WatchFindings) -> WatchFindings {
    var sum = b
    sum.overdue += a.overdue
    sum.resets.formUnion(a.resets)
    sum.serverErrors.formUnion(a.serverErrors)
    sum.firstByte.formUnion(a.firstByte)
    return sum
  }

  /// How many client addresses had it, about.
  public func clients(_ signal: Signal) -> Int {
    switch signal {
    case .health, .connectFailures: 0
    case .resets: resets.count
    case .serverErrors: serverErrors.count
    case .firstByte: firstByte.count
    }
  }
}

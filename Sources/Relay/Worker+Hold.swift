import EventCore
import LinuxIO
import Switching

/// Holding: sessions that wait without a backend, and letting them go on.
extension Worker {
  /// Slots looked at in one tick, so that nobody's bytes are kept waiting for long.
  private static let sweepBudget = 512
  /// Milliseconds between two steps of letting held sessions go on.
  private static let releaseStep: Int64 = 2
  /// Sessions that have gone on, all workers together, and whose backend has not shown yet that it has taken them. What a
  /// full backlog drops comes again a second later; where the server speaks first, it may stay silent for ever.
  private static let releaseWindow = 8
  /// Milliseconds after which a backend that says nothing counts as one that has accepted and works. So between 800 and
  /// 4,000 go on in a second, and a backlog of 128 is filled only where its server accepts nothing for 160 ms.
  private static let acceptPatience: Int64 = 10
  /// Milliseconds after which a connect does not keep others waiting any more: there may be other targets.
  private static let connectPatience: Int64 = 250

  // MARK: The hold

  /// The word says already whether a hold is in force; this is for the sessions that nothing else would tell.
  mutating func changeHold(_ order: HoldOrder?) {
    let wasHandover = holdOrder?.isHandover == true
    holdOrder = order
    hasToldQuiet = false
    guard let order else {
      handoverTally = nil
      releaseHeld()
      return
    }
    if order.isHandover, !wasHandover {
      handoverTally = DrainTally()
      handoverTally?.open = sessionsByAccount[Int(Account(confirmed.color).rawValue)]
    }
    sweepCursor = 0
    if order.cuts { cutInFlight() }
    tellWhenQuiet()
  }

  mutating func tellWhenQuiet() {
    guard holdOrder != nil, !hasToldQuiet, sessionsByAccount[0] + sessionsByAccount[1] == 0 else { return }
    hasToldQuiet = true
    shared.news(.quiet)
  }

  private mutating func cutInFlight() {
    for slot in 0..<sessions.highWater {
      guard let token = sessions.token(at: slot), sessions[token].phase != .closing else { continue }
      switch sessions[token].account {
      case .blue, .green: requestClose(token, .cut, resets: true)
      case .preview, .waiting: break
      }
    }
  }

  /// Has sessions that nobody else wakes look whether they are where they belong.
  mutating func sweep() {
    guard let cursor = sweepCursor else { return }
    let end = min(cursor + Self.sweepBudget, sessions.highWater)
    for slot in cursor..<max(cursor, end) {
      guard let token = sessions.token(at: slot) else { continue }
      switch sessions[token].phase {
      case .relaying where sessions[token].exchange.isWatched: relay(token)
      case .parked where lane.isStopping: _ = endAtBoundary(token)
      case .parked, .held, .connecting, .relaying, .resetting, .lingering, .closing: break
      }
    }
    sweepCursor = end < sessions.highWater ? end : nil
  }

  // MARK: Sessions

  /// Has a session wait for the end of the hold. What its client sends stays in the kernel.
  mutating func hold(_ token: Token) {
    setPhase(token, .held)
    sessions[token].heldSince = loop.now
    countAtListener(token, sessions[token].account) { $0.held &+= 1 }
    if heldQueue.count - heldQueueStart > 2 * heldSessions + 64 {
      // In a long hold clients give up, and others come.
      heldQueue = heldQueue[heldQueueStart...].filter { sessions.contains($0) && sessions[$0].phase == .held }
      heldQueueStart = 0
    }
    heldQueue.append(token.lane(0))
    schedule(token, at: loop.now.advanced(milliseconds: settings.holdTimeout))
  }

  /// It goes on, is refused, or its client has left.
  mutating func holdEnded(_ token: Token) {
    let microseconds = UInt64(max(0, loop.now.microseconds(since: sessions[token].heldSince)))
    ledger.held(for: sessions[token].phase == .held ? .hold : .trial, microseconds: microseconds)
    sessions[token].heldSince = .distantFuture
  }

  /// The client has waited long enough. Where the hold is over it only waits for its turn, which comes: those before it
  /// go on at the pace that their backend can take.
  mutating func holdTimerFired(_ token: Token) {
    if holdOrder == nil {
      schedule(token, at: loop.now.advanced(milliseconds: settings.holdTimeout))
    } else {
      refuse(token, .held)
    }
  }

  /// Others wait already: who comes now waits behind them.
  var othersWait: Bool { heldQueueStart < heldQueue.count }

  /// Lets the next of those that wait go on.
  mutating func releaseHeld() {
    loop.timers.cancel(releaseTimer)
    releaseTimer = .none
    guard holdOrder == nil else { return }
    let pending = released.filter { isUnderWay($0) }
    released = pending
    var budget = max(1, Self.releaseWindow / shared.gates.count) - pending.count
    while budget > 0, heldQueueStart < heldQueue.count {
      let token = heldQueue[heldQueueStart]
      heldQueueStart += 1
      guard sessions.contains(token), sessions[token].phase == .held else { continue }
      released.append(Released(token: token, bytes: sessions[token].outbound.bytes, at: loop.now))
      admit(token, isItsTurn: true)
      budget -= 1
    }
    if heldQueueStart < heldQueue.count {
      releaseTimer = loop.timers.arm(at: loop.now.advanced(milliseconds: Self.releaseStep), Fixture.releaseTimer)
    } else {
      heldQueue.removeAll(keepingCapacity: false)
      heldQueueStart = 0
      released.removeAll(keepingCapacity: false)
    }
  }

  /// Whether nothing is known yet of what became of a session that has gone on.
  private func isUnderWay(_ released: Released) -> Bool {
    guard sessions.contains(released.token) else { return false }
    let age = loop.now.milliseconds(since: released.at)
    switch sessions[released.token].phase {
    case .connecting: return age < Self.connectPatience
    case .relaying: return age < Self.acceptPatience && sessions[released.token].outbound.bytes == released.bytes
    case .parked, .held, .resetting, .lingering, .closing: return false
    }
  }
}

/// A session that waited for the end of a hold, and has gone on.
struct Released {
  let token: Token
  /// That its client had got by then.
  let bytes: UInt64
  let at: Instant
}

import EventCore
import LinuxIO
import Switching

/// Holding: sessions that wait without a backend, and letting them go on.
extension Worker {
  /// Slots looked at in one tick, so that nobody's bytes are kept waiting for long.
  private static let sweepBudget = 512
  /// Held sessions that go on in one step, all workers together, and milliseconds between two steps: 8,000 a second. A
  /// backend's backlog (511 with nginx and Apache) is not filled faster than it is emptied.
  private static let releaseBatch = 16
  private static let releaseStep: Int64 = 2
  /// No more go on while so many connects are under way: a backend that is behind sets the pace.
  private static let releaseWindow = 64

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
    if heldQueue.count - heldQueueStart > 2 * heldSessions + 64 {
      // In a long hold clients give up, and others come.
      heldQueue = heldQueue[heldQueueStart...].filter { sessions.contains($0) && sessions[$0].phase == .held }
      heldQueueStart = 0
    }
    heldQueue.append(token.lane(0))
    schedule(token, at: loop.now.advanced(milliseconds: settings.holdTimeout))
  }

  /// The client has waited long enough.
  mutating func holdTimerFired(_ token: Token) { refuse(token, .held) }

  /// Lets the next of those that wait go on.
  mutating func releaseHeld() {
    loop.timers.cancel(releaseTimer)
    releaseTimer = .none
    guard holdOrder == nil else { return }
    var budget = max(1, Self.releaseBatch / shared.gates.count)
    while budget > 0, connectingSessions < Self.releaseWindow, heldQueueStart < heldQueue.count {
      let token = heldQueue[heldQueueStart]
      heldQueueStart += 1
      guard sessions.contains(token), sessions[token].phase == .held else { continue }
      admit(token)
      budget -= 1
    }
    if heldQueueStart < heldQueue.count {
      releaseTimer = loop.timers.arm(at: loop.now.advanced(milliseconds: Self.releaseStep), Fixture.releaseTimer)
    } else {
      heldQueue.removeAll(keepingCapacity: false)
      heldQueueStart = 0
    }
  }
}

import EventCore
import LinuxIO
import Switching

/// Draining: what happens to the sessions that a switch left behind, and to all of them when the front door stops.
extension Worker {
  /// Milliseconds between two steps of the spread: small beside the shortest sensible one.
  private static let spreadStep: Int64 = 50
  /// Slots looked at, and sessions cut, in one step, so that a step does not delay anybody's bytes for long.
  private static let scanBudget = 4096
  private static let cutBudget = 256

  /// The barrier: from here on, sessions of the other color are the ones left behind. Answers what the drain before
  /// came to.
  mutating func confirm(_ assignment: Assignment) -> DrainTally {
    let closed = tally
    if let handover = handoverTally, assignment.color != confirmed.color {
      // Its hold has found the sessions that the switch would have left behind.
      tally = handover
    } else {
      tally = DrainTally()
      tally.open = sessionsByAccount[Int(Account(assignment.color.other).rawValue)] + movedEarly
      tally.moved = movedEarly
    }
    movedEarly = 0
    handoverTally = nil
    confirmed = assignment
    beginDrain(nil)
    // Sessions between two requests let go of the old color at once.
    sweepCursor = 0
    return closed
  }

  /// Takes a new plan, or none; the counts go on.
  mutating func beginDrain(_ order: DrainOrder?) {
    drainOrder = order
    spreadInitial = nil
    hasToldDrained = false
    loop.timers.cancel(drainTimer)
    drainTimer = .none
    guard let order else { return }
    if order.scope == .everything, !lane.isStopping {
      lane.isStopping = true
      sweepCursor = 0
    }
    drainTimer = loop.timers.arm(at: min(order.spreadStart, order.deadline), Fixture.drainTimer)
    tellWhenDrained()
  }

  mutating func tellWhenDrained() {
    guard drainOrder != nil, !hasToldDrained, drainingSessions == 0 else { return }
    hasToldDrained = true
    shared.news(.drained)
  }

  private var drainingSessions: Int {
    switch drainOrder?.scope {
    case .idleColor: sessionsByAccount[Int(Account(confirmed.color.other).rawValue)]
    case .everything: sessions.count
    case nil: 0
    }
  }

  private func isDraining(_ token: Token) -> Bool {
    drainOrder?.scope == .everything || wasLeftBehind(sessions[token].account, sessions[token].assignment)
  }

  /// Whether a session belongs to the color that the confirmed switch has left. One that was claimed after the next
  /// store already, whose barrier is still to come, is none of them.
  func wasLeftBehind(_ account: Account, _ assignment: Assignment?) -> Bool {
    guard let assignment else { return false }
    return account == Account(confirmed.color.other) && assignment.generation < confirmed.generation
  }

  mutating func advanceDrain() {
    guard let order = drainOrder else { return }
    if loop.now >= order.deadline {
      // What does not fit in the budget is cut in the ticks that follow, with other sessions' turns in between.
      let isCut = cutRemaining(hadSpread: order.spreadStart < order.deadline)
      let next = loop.now.advanced(milliseconds: isCut ? Self.spreadStep : 1)
      if drainingSessions > 0 { drainTimer = loop.timers.arm(at: next, Fixture.drainTimer) }
      return
    }
    closeQuiet(order)
    let next = min(loop.now.advanced(milliseconds: Self.spreadStep), order.deadline)
    drainTimer = loop.timers.arm(at: next, Fixture.drainTimer)
  }

  /// Closes quiet sessions until no more are left than a straight line from all, at the start of the spread, to none,
  /// just before the deadline, allows. Sessions that end by themselves count, so the pace is even whatever happens.
  private mutating func closeQuiet(_ order: DrainOrder) {
    let remaining = drainingSessions
    let initial = spreadInitial ?? remaining
    spreadInitial = initial
    // The line ends two steps early: the last quiet sessions are to end with FIN, not at the deadline with RST.
    let length = max(1, order.deadline.milliseconds(since: order.spreadStart) - 2 * Self.spreadStep)
    let left = max(0, order.deadline.milliseconds(since: loop.now) - 2 * Self.spreadStep)
    let allowed = Int((Int64(initial) * left + length - 1) / length)
    var excess = remaining - allowed
    var looks = min(Self.scanBudget, sessions.highWater)
    while excess > 0 && looks > 0 {
      looks -= 1
      drainCursor = drainCursor + 1 < sessions.highWater ? drainCursor + 1 : 0
      guard let token = sessions.token(at: drainCursor), isDraining(token), sessions[token].isQuiet(at: loop.now)
      else { continue }
      requestClose(token, .spread, resets: false)
      excess -= 1
    }
  }

  /// Ends what is left, from where the last step ended; false where there may be more. What is quiet still ends with FIN,
  /// for it is here only where this worker is late: the spread would have closed it.
  private mutating func cutRemaining(hadSpread: Bool) -> Bool {
    var budget = Self.cutBudget
    for _ in 0..<sessions.highWater {
      drainCursor = drainCursor + 1 < sessions.highWater ? drainCursor + 1 : 0
      guard let token = sessions.token(at: drainCursor), sessions[token].phase != .closing, isDraining(token)
      else { continue }
      if hadSpread, sessions[token].isQuiet(at: loop.now) {
        requestClose(token, .spread, resets: false)
      } else {
        requestClose(token, .cut, resets: true)
      }
      budget -= 1
      if budget == 0 { return false }
    }
    return true
  }
}

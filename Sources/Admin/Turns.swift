import EventCore
import LinuxIO

/// How much of a thread's time something takes: a fifth at the most, however much there is to do. Each time that was
/// worked is paid for with a rest of four times as long; what was not worked lately may be worked at once, up to a limit.
struct Pace {
  private static let share: UInt64 = 5
  /// Nanoseconds of rest that may be owed before it has to be taken: a millisecond of work.
  private static let credit: UInt64 = 5_000_000
  /// Nanoseconds, whatever was worked.
  private static let longestRest: UInt64 = 2_000_000_000

  /// When all that was worked will have been paid for.
  private var paidAt: UInt64 = 0

  mutating func worked(from begun: Instant, to end: Instant) {
    if begun < end { worked(nanoseconds: end.nanoseconds - begun.nanoseconds, until: end) }
  }

  /// - Parameter worked: of the time before `end`, at most all that has been.
  mutating func worked(nanoseconds worked: UInt64, until end: Instant) {
    let (time, overflow) = worked.multipliedReportingOverflow(by: Self.share)
    let latest = end.nanoseconds + Self.credit + Self.longestRest
    let begun = end.nanoseconds - min(worked, end.nanoseconds)
    paidAt = overflow ? latest : min(latest, max(paidAt, begun) + time)
  }

  /// Milliseconds until there may be work again, rounded up; 0: at once.
  func rest(at now: Instant) -> Int64 {
    let allowed = now.nanoseconds + Self.credit
    return paidAt <= allowed ? 0 : Int64((paidAt - allowed + 999_999) / 1_000_000)
  }
}

protocol TurnTaker: AnyObject {
  /// Does one small piece of what it has to do.
  func takeTurn()
}

/// Lets those who have something to do have turns, one after the other, at a `Pace` that they share. None has its turn
/// in the middle of anything else, and all of them only after what else a tick of the reactor has found.
final class Turns {
  private let reactor: Reactor
  private var pace = Pace()
  /// The first in the line first.
  private var waiting: [any TurnTaker] = []
  /// While it is armed, and while turns are being taken.
  private var timer: Reactor.TimerID?

  init(on reactor: Reactor) { self.reactor = reactor }

  /// To be called again when the turn was taken, where there is more to do, and not before.
  func await(_ taker: any TurnTaker) {
    waiting.append(taker)
    arm()
  }

  func forgo(_ taker: any TurnTaker) { waiting.removeAll { $0 === taker } }

  /// Counts work that was not done in a turn, and is done now. Answers the milliseconds of rest that are due.
  func count(nanoseconds worked: UInt64) -> Int64 {
    let now = reactor.clock()
    pace.worked(nanoseconds: worked, until: now)
    return pace.rest(at: now)
  }

  private func arm() {
    guard timer == nil, !waiting.isEmpty else { return }
    timer = reactor.after(milliseconds: pace.rest(at: reactor.now)) { [self] in
      takeTurns()
      timer = nil
      arm()
    }
  }

  private func takeTurns() {
    var now = reactor.clock()
    while !waiting.isEmpty, pace.rest(at: now) == 0 {
      waiting.removeFirst().takeTurn()
      let end = reactor.clock()
      pace.worked(from: now, to: end)
      now = end
    }
  }
}

/// Whether a loop looks for events for a moment before it sleeps.
///
/// A sleep and a wake cost more than the work of one small message, for this process and for the one that wakes it; but a
/// loop with many connections finds more to do at each wake if it sleeps, and that is cheaper still. So with `auto` it polls
/// only while all events come from one session, and only as long as the next one usually comes while it polls.
public struct BusyPolling: Sendable {
  public enum Mode: Sendable, Equatable {
    case off
    case auto
    /// For so long, in nanoseconds, before every sleep.
    case fixed(UInt64)
  }

  /// With `auto`: about what a sleep and a wake cost; longer would be dearer than to sleep.
  static let window: UInt64 = 50_000
  /// Events of one session, one after another, before it is taken for the only one.
  static let loneEvents: UInt32 = 32
  /// Looks that found something are remembered up to so many; one that did not costs `missCost` of them.
  static let mostCredit = 16
  static let missCost = 4
  /// Sleeps until polling is tried again, at first and at most; each time that it does not pay, twice as many.
  static let firstRest: UInt32 = 64
  static let mostRest: UInt32 = 8192

  public var mode = Mode.off
  private var slot = -1
  private var alone: UInt32 = 0
  private var credit = 0
  private var resting: UInt32 = 0
  private var nextRest = Self.firstRest

  public init() {}

  /// Told of each event.
  @inline(__always)
  public mutating func saw(_ token: Token) {
    if token.slot == slot && token.generation != 0 {
      if alone < Self.loneEvents { alone += 1 }
    } else {
      slot = token.slot
      alone = 0
    }
  }

  /// How long to look before the coming sleep, in nanoseconds; 0: not at all. With a length above 0 the outcome is to be
  /// told.
  public mutating func beforeSleep() -> UInt64 {
    switch mode {
    case .off: return 0
    case .fixed(let length): return length
    case .auto: break
    }
    guard alone == Self.loneEvents else { return 0 }
    guard resting == 0 else {
      resting -= 1
      return 0
    }
    return Self.window
  }

  public mutating func looked(found: Bool) {
    guard mode == .auto else { return }
    if found {
      credit = min(credit + 1, Self.mostCredit)
      if credit == Self.mostCredit { nextRest = Self.firstRest }
      return
    }
    credit -= Self.missCost
    guard credit < 0 else { return }
    credit = 0
    resting = nextRest
    nextRest = min(nextRest * 2, Self.mostRest)
  }
}

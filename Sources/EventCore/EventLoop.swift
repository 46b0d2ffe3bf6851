import LinuxIO

/// What every event loop is made of: an epoll, timers, and the time, read once for each tick.
///
/// The order of a tick is the owner's: see `Worker.tick` and `Reactor.tick`.
public struct EventLoop: ~Copyable {
  @usableFromInline let epoll: Epoll
  public var timers = TimerQueue()
  public var polling = BusyPolling()
  /// The time at which the current tick woke up.
  public private(set) var now: Instant
  private let clock: @Sendable () -> Instant

  /// - Parameters:
  ///   - eventBudget: the most events handled in one tick; what is left comes with the next.
  ///   - clock: where time comes from; a test or a simulation brings its own.
  public init(eventBudget: Int, clock: @escaping @Sendable () -> Instant = Instant.now) throws(Errno) {
    epoll = try Epoll(capacity: eventBudget)
    self.clock = clock
    now = clock()
  }

  @inlinable
  public func watch(_ descriptor: borrowing Descriptor, for interest: Readiness, _ token: Token) throws(Errno) {
    try epoll.add(descriptor.number, interest, token: token.rawValue)
  }

  public func watch(number: Int32, for interest: Readiness, _ token: Token) throws(Errno) {
    try epoll.add(number, interest, token: token.rawValue)
  }

  public func change(number: Int32, to interest: Readiness, _ token: Token) throws(Errno) {
    try epoll.modify(number, interest, token: token.rawValue)
  }

  public func unwatch(number: Int32) throws(Errno) { try epoll.remove(number) }

  /// Waits until something is ready, a timer is due, or not at all where the owner has deferred work; answers how many
  /// events there are, and looks at the clock.
  public mutating func wait(hasDeferredWork: Bool) throws(Errno) -> Int {
    var milliseconds: Int32 = -1
    if hasDeferredWork {
      milliseconds = 0
    } else if case let length = polling.beforeSleep(), length > 0, let count = try poll(for: length) {
      return count
    } else if let deadline = timers.nextDeadline {
      // Rounded up: waking before the deadline would only mean waiting again.
      let time = clock()
      let left = deadline.nanoseconds > time.nanoseconds ? deadline.nanoseconds - time.nanoseconds : 0
      milliseconds = Int32(clamping: left / 1_000_000 + (left % 1_000_000 == 0 ? 0 : 1))
    }
    let count = try epoll.wait(milliseconds: milliseconds)
    now = clock()
    return count
  }

  /// Looks again and again until something is ready or a timer is due; nil where neither is so within the time.
  private mutating func poll(for nanoseconds: UInt64) throws(Errno) -> Int? {
    let end = clock().nanoseconds &+ nanoseconds
    while true {
      let count = try epoll.wait(milliseconds: 0)
      now = clock()
      if count > 0 {
        polling.looked(found: true)
        return count
      }
      if let deadline = timers.nextDeadline, deadline <= now { return 0 }
      if now.nanoseconds >= end {
        polling.looked(found: false)
        return nil
      }
    }
  }

  @inlinable
  public func event(at index: Int) -> (token: Token, readiness: Readiness) {
    let (token, readiness) = epoll.event(at: index)
    return (Token(rawValue: token), readiness)
  }

  /// Takes out a timer that is due at the time of this tick.
  public mutating func popExpired() -> (handle: TimerQueue.Handle, token: Token)? { timers.popExpired(now) }
}

import EventCore
import LinuxIO
import Testing

@Suite struct EventLoopTests {
  @Test func wait_returnsAtOnce_whenWorkIsDeferredOrATimerIsDue() throws {
    let clock = ManualClock(5)
    var loop = try EventLoop(eventBudget: 1, clock: { clock.now })
    #expect(try loop.wait(hasDeferredWork: true) == 0)
    _ = loop.timers.arm(at: Instant(nanoseconds: 5), Token(rawValue: 9))
    #expect(try loop.wait(hasDeferredWork: false) == 0)
    #expect(loop.popExpired()?.token == Token(rawValue: 9))
  }

  @Test func now_standsStill_untilTheNextWait() throws {
    let clock = ManualClock(1)
    var loop = try EventLoop(eventBudget: 1, clock: { clock.now })
    clock.set(2)
    #expect(loop.now == Instant(nanoseconds: 1))
    _ = loop.timers.arm(at: Instant(nanoseconds: 2), Token(rawValue: 9))
    #expect(loop.popExpired() == nil)
    #expect(try loop.wait(hasDeferredWork: false) == 0)
    #expect(loop.now == Instant(nanoseconds: 2))
    #expect(loop.popExpired() != nil)
  }

  @Test(arguments: [0, 1, 1_000_000] as [UInt64])
  func wait_answersEvents_whenTheTimerIsInTheDistantFuture(time: UInt64) throws {
    let bell = try Bell()
    var loop = try EventLoop(eventBudget: 1, clock: { Instant(nanoseconds: time) })
    try loop.watch(bell.wakeUp.descriptor, for: .readable, Token(slot: 3, generation: 1))
    _ = loop.timers.arm(at: .distantFuture, Token(rawValue: 1))
    bell.wakeUp.signal()
    #expect(try loop.wait(hasDeferredWork: false) == 1)
    let (token, readiness) = loop.event(at: 0)
    #expect(token == Token(slot: 3, generation: 1))
    #expect(readiness == .readable)
  }

  @Test func events_followTheRegistration_whenItIsChangedOrTakenAway() throws {
    let bell = try Bell()
    var loop = try EventLoop(eventBudget: 4)
    try loop.watch(number: bell.number, for: .readable, Token(rawValue: 1))
    bell.wakeUp.signal()
    try loop.change(number: bell.number, to: [.readable, .writable], Token(rawValue: 2))
    #expect(try loop.wait(hasDeferredWork: true) == 1)
    let (token, readiness) = loop.event(at: 0)
    #expect(token == Token(rawValue: 2))
    #expect(readiness == [.readable, .writable])
    try loop.unwatch(number: bell.number)
    #expect(try loop.wait(hasDeferredWork: true) == 0)
  }
}

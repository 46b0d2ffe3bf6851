import EventCore
import LinuxIO
import Testing

@Suite struct BusyPollingTests {
  private func polling(_ mode: BusyPolling.Mode) -> BusyPolling {
    var polling = BusyPolling()
    polling.mode = mode
    return polling
  }

  private let lone = Token(slot: 3, generation: 1)

  /// Both sockets of one session, in turn.
  private func seeLone(_ polling: inout BusyPolling, _ count: Int) {
    for index in 0..<count { polling.saw(lone.lane(index % 2)) }
  }

  /// How often it polls in so many sleeps, each of which ends with an event of the lone session.
  private func polls(_ polling: inout BusyPolling, sleeps: Int, found: (Int) -> Bool) -> Int {
    var count = 0
    for sleep in 0..<sleeps {
      if polling.beforeSleep() > 0 {
        polling.looked(found: found(sleep))
        count += 1
      }
      seeLone(&polling, 1)
    }
    return count
  }

  @Test func off_neverPolls_andFixed_always() {
    var off = polling(.off)
    var fixed = polling(.fixed(70_000))
    #expect(polls(&off, sleeps: 1000) { _ in true } == 0)
    #expect(polls(&fixed, sleeps: 1000) { _ in false } == 1000)
    #expect(fixed.beforeSleep() == 70_000)
  }

  @Test func auto_pollsForALoneSession_asLongAsThatPays() {
    var polling = polling(.auto)
    #expect(polling.beforeSleep() == 0, "nothing is known yet")
    seeLone(&polling, 40)
    #expect(polls(&polling, sleeps: 1000) { _ in true } == 1000)
  }

  @Test func auto_doesNotPoll_whenEventsComeFromSeveralSessions() {
    var polling = polling(.auto)
    for sleep in 0..<1000 {
      #expect(polling.beforeSleep() == 0)
      polling.saw(Token(slot: sleep % 2, generation: 1))
    }
  }

  @Test func auto_doesNotPoll_forFixtures() {
    var polling = polling(.auto)
    for _ in 0..<1000 {
      #expect(polling.beforeSleep() == 0)
      polling.saw(Token(slot: 16, generation: 0))
    }
  }

  @Test func auto_givesUp_whenLookingFindsNothing_andTriesLessAndLess() {
    var polling = polling(.auto)
    seeLone(&polling, 40)
    #expect(polls(&polling, sleeps: 100_000) { _ in false } < 40)
  }

  /// A client that asks, has its answer at once and then thinks: half of the looks find nothing.
  @Test func auto_givesUp_whenHalfOfTheLooksFindNothing() {
    var polling = polling(.auto)
    seeLone(&polling, 40)
    #expect(polls(&polling, sleeps: 100_000) { $0 % 2 == 0 } < 200)
  }

  @Test func auto_goesOn_whenALookNowAndThenFindsNothing() {
    var polling = polling(.auto)
    seeLone(&polling, 40)
    #expect(polls(&polling, sleeps: 10_000) { $0 % 20 != 0 } > 9000)
  }

  @Test func auto_comesBack_whenItPaysAgain() {
    var polling = polling(.auto)
    seeLone(&polling, 40)
    _ = polls(&polling, sleeps: 2000) { _ in false }
    #expect(polls(&polling, sleeps: 100_000) { _ in true } > 90_000)
  }

  // MARK: In the loop

  @Test func wait_looksUntilTheTimeIsUp_thenSleepsUntilTheTimer() throws {
    let clock = SteppingClock(step: 1000)
    var loop = try EventLoop(eventBudget: 1, clock: { clock.tick() })
    loop.polling.mode = .fixed(50_000)
    _ = loop.timers.arm(at: Instant(nanoseconds: 2_000_000), Token(rawValue: 9))
    #expect(try loop.wait(hasDeferredWork: false) == 0)
    #expect((50...60).contains(clock.looks), "50 looks of a microsecond each, then one sleep")
  }

  @Test func wait_looksNoLongerThanToTheNextTimer() throws {
    let clock = SteppingClock(step: 1000)
    var loop = try EventLoop(eventBudget: 1, clock: { clock.tick() })
    loop.polling.mode = .fixed(50_000)
    _ = loop.timers.arm(at: Instant(nanoseconds: 10_000), Token(rawValue: 9))
    #expect(try loop.wait(hasDeferredWork: false) == 0)
    #expect(clock.looks < 15)
    #expect(loop.popExpired()?.token == Token(rawValue: 9))
  }

  @Test func wait_answersWhatItFinds_whileLooking() throws {
    let bell = try Bell()
    let clock = SteppingClock(step: 1000, at: 20) { bell.wakeUp.signal() }
    var loop = try EventLoop(eventBudget: 1, clock: { clock.tick() })
    loop.polling.mode = .fixed(1_000_000)
    try loop.watch(bell.wakeUp.descriptor, for: .readable, lone)
    #expect(try loop.wait(hasDeferredWork: false) == 1)
    #expect(loop.event(at: 0).token == lone)
    #expect(clock.looks < 30)
  }
}

/// Time that passes by one step each time that somebody looks.
private final class SteppingClock: @unchecked Sendable {
  // Used by one thread alone.
  private(set) var looks = 0
  private let step: UInt64
  private let event: (look: Int, action: () -> Void)?

  init(step: UInt64, at look: Int = 0, _ action: (() -> Void)? = nil) {
    self.step = step
    event = action.map { (look, $0) }
  }

  func tick() -> Instant {
    looks += 1
    if looks == event?.look { event?.action() }
    return Instant(nanoseconds: UInt64(looks) * step)
  }
}

import EventCore
import Glibc
import LinuxIO
import Testing

/// Most of these run the reactor on the test's own thread, where nothing happens in between.
@Suite struct ReactorTests {
  /// Runs it until something stops it; that nothing does fails the test.
  private func run(_ reactor: Reactor) throws {
    let guardian = reactor.after(milliseconds: 20_000) {
      Issue.record("the reactor was not stopped within the deadline")
      reactor.stop()
    }
    try reactor.run()
    reactor.cancel(guardian)
  }

  private final class Handler: ReactorHandler {
    let body: (Readiness) -> Void
    init(_ body: @escaping (Readiness) -> Void) { self.body = body }
    func ready(_ readiness: Readiness) { body(readiness) }
  }

  // MARK: Posts

  @Test func posts_runInOrder_whenPostedBeforeAndDuringTheRun() throws {
    let reactor = try Reactor()
    let record = Record<Int>()
    for number in 0..<5 {
      reactor.post {
        record.add(number)
        reactor.post { record.add(number + 10) }
      }
    }
    reactor.post { reactor.post { reactor.stop() } }
    try run(reactor)
    #expect(record.values == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14])
  }

  @Test func posts_arriveInEachThreadsOrder_whenManyPost() throws {
    let (reactor, thread) = try Reactor.onOwnThread(named: "reactor")
    let record = Record<(thread: Int, number: Int)>()
    let posters = try (0..<3).map { index in
      try LoopThread(name: "poster") {
        for number in 0..<2000 { reactor.post { record.add((index, number)) } }
      }
    }
    for poster in posters { poster.join() }
    reactor.stop()
    thread.join()
    for index in 0..<3 { #expect(record.values.filter { $0.thread == index }.map(\.number) == Array(0..<2000)) }
  }

  // MARK: Timers

  @Test func timers_fireByDeadline_whateverTheOrderOfArming() throws {
    let reactor = try Reactor()
    let record = Record<Int64>()
    for milliseconds in [3, 1, 5, 2, 4] as [Int64] {
      reactor.after(milliseconds: milliseconds) {
        record.add(milliseconds)
        if milliseconds == 5 { reactor.stop() }
      }
    }
    try run(reactor)
    #expect(record.values == [1, 2, 3, 4, 5])
  }

  @Test func timer_waits_untilTheClockHasReachedIt() throws {
    let clock = ManualClock(0)
    let reactor = try Reactor(clock: { clock.now })
    let record = Record<String>()
    reactor.after(milliseconds: 2) {
      record.add("timer")
      reactor.stop()
    }
    reactor.post {
      clock.set(1_999_999)
      reactor.post {
        record.add("early")
        clock.set(2_000_000)
      }
    }
    try reactor.run()
    #expect(record.values == ["early", "timer"])
  }

  @Test func timer_doesNotFire_whenOneThatIsDueWithItCancelsIt() throws {
    let clock = ManualClock(0)
    let reactor = try Reactor(clock: { clock.now })
    let record = Record<Int>()
    var first: Reactor.TimerID?
    var second: Reactor.TimerID?
    first = reactor.after(milliseconds: 1) {
      record.add(1)
      if let first { reactor.cancel(first) }
      if let second { reactor.cancel(second) }
    }
    second = reactor.after(milliseconds: 2) { record.add(2) }
    reactor.after(milliseconds: 3) {
      record.add(3)
      if let first { reactor.cancel(first) }
      reactor.stop()
    }
    clock.set(10_000_000)
    try reactor.run()
    #expect(record.values == [1, 3])
  }

  @Test func mail_isRead_whileATimerArmsItselfForNow() throws {
    let reactor = try Reactor()
    var isDone = false
    var rounds = 0
    func again() {
      rounds += 1
      if rounds == 1 { reactor.stop() }
      if rounds < 1000 { reactor.after(milliseconds: 0, again) } else { isDone = true }
    }
    reactor.after(milliseconds: 0, again)
    try run(reactor)
    #expect(!isDone, "the timers of one tick kept it from ending")
  }

  // MARK: Descriptors

  /// Both are ready in one batch; whichever is told first takes the other one away.
  @Test func handler_isNotTold_whenAnotherInTheSameBatchUnregisteredIt() throws {
    let reactor = try Reactor()
    let bells = [try Bell(), try Bell()]
    var ids: [Reactor.RegistrationID] = []
    var told: [Int] = []
    for (index, bell) in bells.enumerated() {
      bell.wakeUp.signal()
      let handler = Handler { _ in
        told.append(index)
        bell.wakeUp.drain()
        reactor.unregister(ids[1 - index])
        reactor.post { reactor.post { reactor.stop() } }
      }
      ids.append(try reactor.register(bell.wakeUp.descriptor, for: .readable, handler))
    }
    try run(reactor)
    #expect(told.count == 1)
  }

  @Test func handler_isToldOnce_whenItUnregistersItself() throws {
    let reactor = try Reactor()
    let bell = try Bell()
    bell.wakeUp.signal()
    var told: [Readiness] = []
    var id: Reactor.RegistrationID?
    id = try reactor.register(
      bell.wakeUp.descriptor, for: .readable,
      Handler { readiness in
        told.append(readiness)
        if let id { reactor.unregister(id) }
        reactor.post { reactor.post { reactor.stop() } }
      })
    try run(reactor)
    #expect(told == [.readable])
    // Free again: registering one descriptor twice would fail.
    _ = try reactor.register(bell.wakeUp.descriptor, for: .readable, Handler { _ in })
  }

  @Test func handler_isToldOfItsNewInterest_whenItIsChanged() throws {
    let reactor = try Reactor()
    let bell = try Bell()
    bell.wakeUp.signal()
    var told: [Readiness] = []
    var id: Reactor.RegistrationID?
    id = try reactor.register(
      bell.wakeUp.descriptor, for: .readable,
      Handler { readiness in
        told.append(readiness)
        if told.count == 1, let id { reactor.change(id, to: .writable) } else { reactor.stop() }
        if told.count == 2, let id { reactor.change(id, to: []) }
      })
    try run(reactor)
    #expect(told == [.readable, .writable])
  }

  @Test func register_throws_whenTheDescriptorIsRegistered() throws {
    let reactor = try Reactor()
    let bell = try Bell()
    _ = try reactor.register(bell.wakeUp.descriptor, for: .readable, Handler { _ in })
    #expect(throws: Errno.fileExists) {
      _ = try reactor.register(bell.wakeUp.descriptor, for: .readable, Handler { _ in })
    }
  }

  // MARK: Threads and actors

  @Test func stop_endsTheRun_afterWhatWasPostedBefore() throws {
    let (reactor, thread) = try Reactor.onOwnThread(named: "reactor")
    let record = Record<Int>()
    for number in 0..<100 { reactor.post { record.add(number) } }
    reactor.stop()
    thread.join()
    #expect(record.values == Array(0..<100))
  }

  @Test func isCurrent_isTrueOnItsThreadOnly_onceItRuns() throws {
    let (reactor, thread) = try Reactor.onOwnThread(named: "reactor")
    let record = Record<Bool>()
    let flag = try Flag()
    reactor.post {
      record.add(reactor.isCurrent)
      flag.raise()
    }
    try flag.wait()
    #expect(record.values == [true])
    #expect(!reactor.isCurrent)
    reactor.stop()
    thread.join()
  }

  private actor Guest {
    private let reactor: Reactor
    private(set) var log: [String] = []
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }

    init(_ reactor: Reactor) { self.reactor = reactor }

    func isAtHome() -> Bool { reactor.isCurrent }

    /// Waits for a thread of its own; meanwhile the actor is free for others.
    func fetch(_ number: Int, after flag: Flag) async -> (number: Int, isAtHome: Bool) {
      log.append("begin \(number)")
      let answer = await withCheckedContinuation { continuation in
        do {
          _ = try LoopThread(name: "answer") {
            // The test is one of many that share a few threads: it may be long before it has its turn again.
            flag.waitPatiently()
            continuation.resume(returning: number * 2)
          }
        } catch { continuation.resume(returning: -1) }
      }
      log.append("end \(number)")
      return (answer, reactor.isCurrent)
    }

    nonisolated func assumeHome() -> Bool { assumeIsolated { _ in true } }
  }

  @Test func actor_runsOnTheReactorsThread_beforeAndAfterWaiting() async throws {
    let (reactor, thread) = try Reactor.onOwnThread(named: "reactor")
    let guest = Guest(reactor)
    #expect(await guest.isAtHome())
    let (firstFlag, secondFlag) = (try Flag(), try Flag())
    async let first = guest.fetch(1, after: firstFlag)
    while await !guest.log.contains("begin 1") {}
    async let second = guest.fetch(2, after: secondFlag)
    // The reactor's thread does not wait with the first one, or the second could not begin.
    while await !guest.log.contains("begin 2") {}
    secondFlag.raise()
    let secondAnswer = await second
    firstFlag.raise()
    let firstAnswer = await first
    #expect(firstAnswer == (2, true))
    #expect(secondAnswer == (4, true))
    #expect(await guest.log == ["begin 1", "begin 2", "end 2", "end 1"])
    reactor.stop()
    thread.join()
  }

  @Test func actor_isIsolated_whenThePostedWorkSaysSo() throws {
    let (reactor, thread) = try Reactor.onOwnThread(named: "reactor")
    let guest = Guest(reactor)
    let record = Record<Bool>()
    reactor.post { record.add(guest.assumeHome()) }
    reactor.stop()
    thread.join()
    #expect(record.values == [true])
  }
}

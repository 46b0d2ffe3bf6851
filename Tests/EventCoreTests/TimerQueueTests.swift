import EventCore
import LinuxIO
import Testing

@Suite struct TimerQueueTests {
  private struct Armed {
    var deadline: UInt64
    let handle: TimerQueue.Handle
  }

  @Test(arguments: 1...30 as ClosedRange<UInt64>)
  func queue_behavesLikeASortedArray_whateverTheOrder(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var queue = TimerQueue()
    var model: [Token: Armed] = [:]
    var now: UInt64 = 0
    for step in 0..<3000 {
      // Few different deadlines, so that equal ones are common.
      let deadline = now + UInt64.random(in: 0..<50, using: &random)
      switch Int.random(in: 0..<8, using: &random) {
      case 0...2:
        let token = Token(rawValue: UInt64(step))
        let handle = queue.arm(at: Instant(nanoseconds: deadline), token)
        #expect(!model.values.contains { $0.handle == handle }, "two armed timers have one handle")
        model[token] = Armed(deadline: deadline, handle: handle)
      case 3...4:
        guard let (token, armed) = model.pick(using: &random) else { break }
        queue.move(armed.handle, to: Instant(nanoseconds: deadline))
        model[token]?.deadline = deadline
      case 5:
        guard let (token, armed) = model.pick(using: &random) else { break }
        queue.cancel(armed.handle)
        model[token] = nil
      default:
        now += UInt64.random(in: 0..<8, using: &random)
        var last: UInt64 = 0
        while let (handle, token) = queue.popExpired(Instant(nanoseconds: now)) {
          let known = model.removeValue(forKey: token)
          let armed = try #require(known)
          #expect(armed.handle == handle)
          #expect(armed.deadline <= now && armed.deadline >= last, "they fire in order, and none too early")
          last = armed.deadline
        }
        #expect(model.values.allSatisfy { $0.deadline > now }, "every one that was due has fired")
      }
      try #require(queue.count == model.count)
      try #require(queue.nextDeadline?.nanoseconds == model.values.map(\.deadline).min())
    }
  }

  @Test func handle_namesTheNewTimerOnly_whenItWasReused() throws {
    var queue = TimerQueue()
    let first = queue.arm(at: Instant(nanoseconds: 10), Token(rawValue: 1))
    let kept = queue.arm(at: Instant(nanoseconds: 20), Token(rawValue: 2))
    queue.cancel(first)
    let second = queue.arm(at: Instant(nanoseconds: 30), Token(rawValue: 3))
    queue.move(second, to: Instant(nanoseconds: 5))
    let moved = queue.popExpired(Instant(nanoseconds: 5))
    #expect(moved?.token == Token(rawValue: 3))
    let early = queue.popExpired(Instant(nanoseconds: 19))
    #expect(early == nil)
    let fired = queue.popExpired(Instant(nanoseconds: 20))
    #expect(fired?.token == Token(rawValue: 2) && fired?.handle == kept)
    #expect(queue.count == 0 && queue.nextDeadline == nil)
  }

  @Test func cancel_doesNothing_whenThereIsNoTimer() {
    var queue = TimerQueue()
    queue.cancel(.none)
    _ = queue.arm(at: Instant(nanoseconds: 1), Token(rawValue: 1))
    queue.cancel(.none)
    #expect(queue.count == 1)
  }

  @Test func timer_staysArmed_whenItsDeadlineIsTheDistantFuture() {
    var queue = TimerQueue()
    _ = queue.arm(at: .distantFuture, Token(rawValue: 1))
    let early = queue.popExpired(Instant(nanoseconds: .max - 1))
    #expect(early == nil)
    let last = queue.popExpired(.distantFuture)
    #expect(last?.token == Token(rawValue: 1))
  }
}

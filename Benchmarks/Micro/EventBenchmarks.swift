import EventCore
import LinuxIO

/// What a worker's tick is made of beside its system calls.
let eventBenchmarks = [
  Benchmark("slab/insert-remove") {
    var tokens: [Token] = []
    var slab = populated(1000, &tokens)
    return { count in insertAndRemove(&slab, count) }
  },
  Benchmark("slab/access") {
    var tokens: [Token] = []
    var slab = populated(1024, &tokens)
    var generator = SeededGenerator(seed: 1)
    tokens.shuffle(using: &generator)
    return { count in access(&slab, tokens, count) }
  },
  Benchmark("slab/contains-stale") {
    var tokens: [Token] = []
    var slab = populated(1024, &tokens)
    // Half of the slots are free, the others occupied by somebody else.
    for token in tokens { discard(slab.remove(token)) }
    for _ in 0..<512 { _ = slab.insert(Cargo()) }
    return { count in findStale(slab, tokens, count) }
  },
  Benchmark("timers/arm-cancel") {
    var handles: [TimerQueue.Handle] = []
    var timers = armed(10_000, &handles)
    return { count in armAndCancel(&timers, count) }
  },
  Benchmark("timers/move-later") {
    var handles: [TimerQueue.Handle] = []
    var timers = armed(10_000, &handles)
    var now: UInt64 = 0
    return { count in moveLater(&timers, handles, &now, count) }
  },
  Benchmark("timers/arm-fire-10000", operationsInRound: 10_000) {
    var timers = TimerQueue()
    var generator = SeededGenerator(seed: 3)
    let deadlines = (0..<10_000).map { _ in Instant(nanoseconds: generator.next() >> 32) }
    return { count in armAndFire(&timers, deadlines, count) }
  },
  Benchmark("mailbox/post-take") {
    let mailbox = try Mailbox<Letter>()
    let letters = letters(1)
    var mail: [Letter] = []
    return { count in postAndTake(mailbox, letters, &mail, count) }
  },
  Benchmark("mailbox/post-64-take", operationsInRound: 64) {
    let mailbox = try Mailbox<Letter>()
    let letters = letters(64)
    var mail: [Letter] = []
    return { count in postAndTake(mailbox, letters, &mail, count) }
  },
]

// MARK: Slab

/// About as large as a session, and as little copied.
private struct Cargo: ~Copyable {
  var words = InlineArray<48, UInt64>(repeating: 7)
}

private func discard(_: consuming Cargo) {}

private func populated(_ count: Int, _ tokens: inout [Token]) -> Slab<Cargo> {
  var slab = Slab<Cargo>(capacity: 4096)
  for _ in 0..<count {
    if let token = slab.insert(Cargo()) { tokens.append(token) }
  }
  return slab
}

private func insertAndRemove(_ slab: inout Slab<Cargo>, _ count: Int) -> Int {
  var done = 0
  for _ in 0..<count {
    guard let token = slab.insert(Cargo()) else { break }
    done += Int(slab.remove(token).words[0] / 7)
  }
  return done
}

private func access(_ slab: inout Slab<Cargo>, _ tokens: [Token], _ count: Int) -> Int {
  for number in 0..<count {
    let token = tokens[number & 1023]
    slab[token].words[3] &+= 1
    blackHole(slab[token].words[3])
  }
  return count
}

private func findStale(_ slab: borrowing Slab<Cargo>, _ tokens: [Token], _ count: Int) -> Int {
  var done = 0
  for number in 0..<count where !slab.contains(tokens[number & 1023]) { done += 1 }
  return done
}

// MARK: Timers

private func armed(_ count: Int, _ handles: inout [TimerQueue.Handle]) -> TimerQueue {
  var timers = TimerQueue()
  var generator = SeededGenerator(seed: 2)
  for number in 0..<count {
    let deadline = Instant(nanoseconds: generator.next() >> 32)
    handles.append(timers.arm(at: deadline, Token(slot: number, generation: 1)))
  }
  return timers
}

private func armAndCancel(_ timers: inout TimerQueue, _ count: Int) -> Int {
  let before = timers.count
  for number in 0..<count {
    let deadline = Instant(nanoseconds: UInt64(truncatingIfNeeded: number) &* 0x9E37_79B9_7F4A_7C15 >> 32)
    timers.cancel(timers.arm(at: deadline, Token(slot: 1, generation: 1)))
  }
  return timers.count == before ? count : 0
}

/// As the timeouts of sessions that go on: always to behind the others.
private func moveLater(
  _ timers: inout TimerQueue, _ handles: [TimerQueue.Handle], _ now: inout UInt64, _ count: Int
) -> Int {
  var index = Int(now % UInt64(handles.count))
  for _ in 0..<count {
    now += 1
    timers.move(handles[index], to: Instant(nanoseconds: now + 1 << 40))
    index = index + 1 == handles.count ? 0 : index + 1
  }
  return timers.count == handles.count ? count : 0
}

private func armAndFire(_ timers: inout TimerQueue, _ deadlines: [Instant], _ count: Int) -> Int {
  var done = 0
  for _ in 0..<count {
    for (number, deadline) in deadlines.enumerated() {
      _ = timers.arm(at: deadline, Token(slot: number, generation: 1))
    }
    while let (_, token) = timers.popExpired(Instant(nanoseconds: 1 << 32)) {
      blackHole(token.rawValue)
      done += 1
    }
  }
  return done
}

// MARK: Mailbox

/// Of the kind that workers get: some carry a closure.
private enum Letter: Sendable {
  case number(Int)
  case reply(@Sendable (Int) -> Int)
}

/// Made beforehand: a closure that has something in it is allocated by whoever makes it.
private func letters(_ count: Int) -> [Letter] {
  (0..<count).map { number in number & 1 == 0 ? .reply { $0 + count } : .number(number) }
}

private func postAndTake(_ mailbox: Mailbox<Letter>, _ letters: [Letter], _ mail: inout [Letter], _ count: Int) -> Int {
  var done = 0
  for _ in 0..<count {
    for letter in letters { mailbox.post(letter) }
    mailbox.takeAll(into: &mail)
    for letter in mail {
      switch letter {
      case .number(let number): blackHole(number)
      case .reply(let reply): blackHole(reply(1))
      }
    }
    done += mail.count
    mail.removeAll(keepingCapacity: true)
  }
  return done
}

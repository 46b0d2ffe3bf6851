import EventCore
import Glibc
import LinuxIO
import Synchronization
import Testing

/// SplitMix64: the same numbers for the same seed, on every machine. Tests name the seed when they fail.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}

extension Dictionary where Key == Token {
  /// The same one for the same numbers: the order of a dictionary is another one in each process.
  func pick(using random: inout SeededGenerator) -> Element? {
    guard let token = keys.sorted(by: { $0.rawValue < $1.rawValue }).randomElement(using: &random) else { return nil }
    return self[token].map { (token, $0) }
  }
}

/// A wake-up that several tests hold in arrays; a copyable box around one that is not.
final class Bell {
  let wakeUp: WakeUp
  init() throws(Errno) { wakeUp = try WakeUp() }
  var number: Int32 { wakeUp.descriptor.number }
}

/// Values that several threads add to, in the order they came.
final class Record<Value: Sendable>: Sendable {
  private let stored = Mutex<[Value]>([])
  func add(_ value: Value) { stored.withLock { $0.append(value) } }
  var values: [Value] { stored.withLock { $0 } }
}

/// Something that one thread does and another waits for.
final class Flag: Sendable {
  private let bell: WakeUp
  init() throws(Errno) { bell = try WakeUp() }

  func raise() { bell.signal() }

  /// Fails the test where the flag is not raised within the deadline.
  func wait() throws {
    var entry = pollfd(fd: bell.descriptor.number, events: Int16(POLLIN), revents: 0)
    try #require(unsafe poll(&entry, 1, 20_000) == 1, "nothing happened within the deadline")
  }

  /// The same, however long it takes.
  func waitPatiently() {
    var entry = pollfd(fd: bell.descriptor.number, events: Int16(POLLIN), revents: 0)
    while unsafe poll(&entry, 1, -1) != 1 {}
  }
}

/// Time that passes only where the test says so.
final class ManualClock: Sendable {
  private let time: Atomic<UInt64>
  init(_ nanoseconds: UInt64) { time = Atomic(nanoseconds) }
  func set(_ nanoseconds: UInt64) { time.store(nanoseconds, ordering: .releasing) }
  var now: Instant { Instant(nanoseconds: time.load(ordering: .acquiring)) }
}

extension Slab where Element: ~Copyable {
  /// Inserts where there is room; that there is none fails the test.
  mutating func add(_ element: consuming Element) throws -> Token {
    let token = insert(element)
    return try #require(token)
  }
}

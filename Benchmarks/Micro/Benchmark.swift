import AllocationCount
import LinuxIO

/// One thing that is measured.
struct Benchmark: Sendable {
  /// What the count of allocations has to be.
  enum Promise: Sendable {
    case none
    /// A control: it allocates on purpose, at least once in each operation. A count below that is no count.
    case everyOperation
  }

  let name: String
  let promise: Promise
  /// Sets the scene, and answers what does a number of rounds in it. That answers how many operations have come out as
  /// they should: a benchmark that measures something else than it says is noticed.
  let prepare: @Sendable () throws -> (Int) -> Int
  let operationsInRound: Int

  init(
    _ name: String, operationsInRound: Int = 1, promise: Promise = .none,
    prepare: @escaping @Sendable () throws -> (Int) -> Int
  ) {
    (self.name, self.operationsInRound, self.promise, self.prepare) = (name, operationsInRound, promise, prepare)
  }
}

/// How long, and how often.
struct Scale {
  /// Rounds are added until they take this long.
  let nanosecondsInRepetition: UInt64
  let repetitions: Int

  static let full = Scale(nanosecondsInRepetition: 20_000_000, repetitions: 15)
  /// For counts, which do not get better by repeating.
  static let check = Scale(nanosecondsInRepetition: 1_000_000, repetitions: 3)
}

/// What has come of a benchmark.
struct Measurement {
  /// Of one operation, a value for each repetition, in order.
  let tenthsOfNanoseconds: [UInt64]
  let operations: Int
  let done: Int
  let allocations: UInt64

  var median: UInt64 { tenthsOfNanoseconds[tenthsOfNanoseconds.count / 2] }
  var least: UInt64 { tenthsOfNanoseconds[0] }
  var most: UInt64 { tenthsOfNanoseconds[tenthsOfNanoseconds.count - 1] }
}

extension Benchmark {
  /// Allocations are counted over all repetitions, after a warm-up in which arrays and pools grow to their size.
  func measure(_ scale: Scale) throws -> Measurement {
    let run = try prepare()
    var rounds = 1
    while true {
      let start = Instant.now().nanoseconds
      _ = run(rounds)
      if Instant.now().nanoseconds - start >= scale.nanosecondsInRepetition { break }
      rounds *= 2
    }
    _ = run(rounds)

    var times = [UInt64](repeating: 0, count: scale.repetitions)
    var done = 0
    let before = allocation_count()
    for repetition in 0..<scale.repetitions {
      let start = Instant.now().nanoseconds
      done += run(rounds)
      times[repetition] = Instant.now().nanoseconds - start
    }
    let allocations = allocation_count() - before
    let operations = rounds * operationsInRound
    return Measurement(
      tenthsOfNanoseconds: times.map { $0 * 10 / UInt64(operations) }.sorted(), operations: operations * times.count,
      done: done, allocations: allocations)
  }

  /// What is wrong with a measurement; nil where nothing is.
  func complaint(_ measurement: Measurement) -> String? {
    if measurement.done != measurement.operations {
      return "\(measurement.done) of \(measurement.operations) operations came out as they should"
    }
    switch promise {
    case .none: return measurement.allocations == 0 ? nil : "\(measurement.allocations) allocations instead of none"
    case .everyOperation:
      return measurement.allocations >= UInt64(measurement.operations)
        ? nil : "\(measurement.allocations) allocations were counted, fewer than were made: the counter does not work"
    }
  }
}

/// Keeps the optimizer from doing away with what leads to this value.
@inline(__always)
func blackHole(_ value: some BinaryInteger) { allocation_black_hole(UInt64(truncatingIfNeeded: value)) }

/// SplitMix64: the same numbers in each run.
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

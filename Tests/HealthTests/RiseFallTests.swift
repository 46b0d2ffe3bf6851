import Health
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

@Suite struct RiseFallTests {
  /// The same, from all results there ever were.
  private struct Model {
    var results: [Bool] = []
    var verdict: Bool?
    /// How many of the last results are of this verdict's time.
    var age = 0

    var against: Int { results.suffix(age).reversed().prefix { $0 != verdict }.count }

    mutating func take(_ passed: Bool, rise: Int, fall: Int) -> Bool? {
      results.append(passed)
      guard let old = verdict else {
        verdict = passed
        return passed
      }
      age += 1
      guard against >= (old ? fall : rise) else { return nil }
      verdict = !old
      age = 0
      return !old
    }
  }

  @Test(arguments: 0..<200 as Range<UInt64>)
  func verdict_isThatOfTheModel_whateverComes(seed: UInt64) {
    var numbers = SeededGenerator(seed: seed)
    var (rise, fall) = (Int.random(in: 1...5, using: &numbers), Int.random(in: 1...5, using: &numbers))
    let luck = Double.random(in: 0.1...0.9, using: &numbers)
    var subject = RiseFall()
    var model = Model()
    for step in 0..<300 {
      if Int.random(in: 0..<50, using: &numbers) == 0 {
        // As a reload does; a streak that is long enough by the new numbers counts with the next result.
        rise = Int.random(in: 1...5, using: &numbers)
        fall = Int.random(in: 1...5, using: &numbers)
      }
      let passed = Double.random(in: 0..<1, using: &numbers) < luck
      let change = subject.take(passed: passed, rise: rise, fall: fall)
      let expected = model.take(passed, rise: rise, fall: fall)
      #expect(change.map { $0 == .healthy } == expected, "seed \(seed), step \(step)")
      #expect(subject.isHealthy == model.verdict, "seed \(seed), step \(step)")
      #expect(subject.against == model.against, "seed \(seed), step \(step)")
    }
  }

  @Test func firstResult_countsAtOnce() {
    var state = RiseFall()
    #expect(state.isHealthy == nil && state.against == 0)
    let failed = state.take(passed: false, rise: 2, fall: 3)
    #expect(failed == .unhealthy)
    #expect(state.isHealthy == false)
    state = RiseFall()
    let passed = state.take(passed: true, rise: 2, fall: 3)
    #expect(passed == .healthy)
  }
}

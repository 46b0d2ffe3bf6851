import Switching
import Testing

extension Trial {
  static func sample(_ percents: [Int] = [], bake: Int64 = 0, at now: Int64 = 1_000_000) -> Trial? {
    Trial(
      steps: percents.map { Trial.Step(percent: $0, milliseconds: 60_000) }, bakeMilliseconds: bake, now: now,
      by: Requester(uid: 1, pid: 99), reason: "v2", isForced: false, drainTimeout: nil, baseline: Baseline())
  }
}

@Suite struct TrialTests {
  @Test func trial_goesThroughItsStepsAndItsBake_andEnds() throws {
    let first = try #require(Trial.sample([10, 50], bake: 5000, at: 7))
    #expect(first.isRamp && first.share == 10 && first.since == 7 && first.until == 60_000_007)
    let second = try #require(first.next(at: 100))
    #expect(second.isRamp && second.share == 50 && second.until == 60_000_100)
    let bake = try #require(second.next(at: 200))
    #expect(!bake.isRamp && bake.share == 0 && bake.until == 5_000_200)
    #expect(bake.next(at: 300) == nil)
    #expect(Trial.sample([10])?.next(at: 1) == nil, "a ramp without a bake ends with its switch")
    #expect(Trial.sample() == nil, "there is nothing to try out")
  }

  @Test(
    arguments: [
      // Microseconds until the end, by the clock, and what is left then.
      (30_000_000, 30_000_000), (1, 10_000_000), (-5_000_000, 10_000_000), (9_000_000_000, 60_000_000),
    ] as [(Int64, Int64)])
  func trialThatIsResumed_hasTimeForAVerdict_andNoMoreThanItHad(until: Int64, left: Int64) throws {
    let trial = try #require(Trial.sample(bake: 60_000, at: 10_000_000_000))
    let now = trial.until - until
    #expect(trial.resumed(at: now, least: 10_000).until - now == left)
  }

  @Test func trialThatIsShorterThanAVerdict_isResumedWhole() throws {
    let trial = try #require(Trial.sample(bake: 2000))
    #expect(trial.resumed(at: trial.until, least: 10_000).until == trial.until + 2_000_000)
  }

  @Test func trial_isReadBackFromItsFile() throws {
    let trial = try #require(Trial.sample([1, 99], bake: 1000))
    #expect(try fromJSON(json(trial), as: Trial.self) == trial)
    #expect(trial.isSound)
  }

  @Test(arguments: [
    ("\"percent\":1}", "\"percent\":100}"), ("\"percent\":1}", "\"percent\":0}"), ("\"step\":0", "\"step\":7"),
    ("\"step\":0", "\"step\":-1"), ("\"milliseconds\":60000", "\"milliseconds\":0"),
    ("\"milliseconds\":60000", "\"milliseconds\":86400001"), ("\"since\":1000000", "\"since\":-1"),
    ("\"until\":61000000", "\"until\":9223372036854775807"), ("\"bakeMilliseconds\":1000", "\"bakeMilliseconds\":-1"),
  ])
  func trialThatMakesNoSense_isNoted_whereverItComesFrom(part: String, replacement: String) throws {
    let text = try json(try #require(Trial.sample([1], bake: 1000)))
    let damaged = text.replacing(part, with: replacement)
    try #require(damaged != text, "\(text) does not hold \(part)")
    #expect(try !fromJSON(damaged, as: Trial.self).isSound)
  }
}

import Switching
import Testing

/// Releases on trial: bakes, ramps, dying targets, operators and crashes, at random.
private struct World {
  var machine: SwitchMachine
  let word: ActiveWord
  var disk: PairState
  var facts = Facts()
  var now: Int64 = 1_000_000_000

  init(_ state: PairState) {
    machine = SwitchMachine(state)
    word = ActiveWord(state.signpost())
    disk = state
  }

  /// The front door is killed and started.
  mutating func crash() {
    var state = disk
    state.trial = state.trial?.resumed(at: now, least: 1000)
    let (facts, now) = (facts, now)
    self = World(state)
    (self.facts, self.now) = (facts, now)
  }
}

@Suite struct ReleaseSimulationTests {
  @Test(arguments: 1...60 as ClosedRange<UInt64>)
  func release_isNeverHalf_whateverHappens(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var world = World(PairState(active: .blue, previous: nil, generation: 0))
    var seen: [String: Int] = [:]
    for _ in 0..<1500 {
      world.now += Int64.random(in: 0...5_000_000, using: &random)
      for color in Color.allCases where Int.random(in: 0..<6, using: &random) == 0 {
        world.facts.unhealthy[color] = Bool.random(using: &random) ? "refused" : nil
      }
      world.facts.isForced = Int.random(in: 0..<12, using: &random) == 0
      let what = try transact(&world, request(world, &random), &random)
      seen[what, default: 0] += 1
    }
    for expected in [
      "ramping", "baking", "step", "ramp switched", "passed", "taken back", "rolled back", "refused unhealthy",
      "refused baking", "refused ramping", "crashed in a trial", "no way back",
    ] { #expect(seen[expected, default: 0] > 0, "never \(expected)") }
  }

  private func request(_ world: World, _ random: inout SeededGenerator) -> SwitchMachine.Request {
    if let trial = world.machine.state.trial {
      switch Int.random(in: 0..<10, using: &random) {
      case 0...3: return .advance(trial, to: trial.next(at: world.now))
      case 4, 5: return .takeBack(trial)
      case 6: return .rollback
      default: break
      }
    } else if Int.random(in: 0..<4, using: &random) == 0 {
      return .rollback
    }
    let color = Color.allCases.randomElement(using: &random)!
    let percents = [[], [10], [10, 50, 90]].randomElement(using: &random)!
    let bake = Bool.random(using: &random) ? 0 : 60_000 as Int64
    return .switchTo(color, expect: nil, trial: .sample(percents, bake: bake, at: world.now))
  }

  private func transact(
    _ world: inout World, _ request: SwitchMachine.Request, _ random: inout SeededGenerator
  ) throws -> String {
    let before = world.machine.state
    var target: PairState?
    var isWritten = false
    var step = world.machine.begin(request, world.facts)
    while true {
      let state = world.machine.state
      try #require(world.word.load() == state.signpost(), "the word and the machine differ")
      try #require(state == before || state == target)
      if Int.random(in: 0..<60, using: &random) == 0 {
        let possible = [before, target].compactMap(\.self)
        world.crash()
        #expect(
          possible.contains { $0.active == world.disk.active && $0.trial == world.disk.trial },
          "a release on trial was forgotten")
        return world.disk.trial == nil ? "crashed" : "crashed in a trial"
      }
      switch step {
      case .persist(let next):
        try #require(target == nil || target == next)
        target = next
        isWritten = Int.random(in: 0..<5, using: &random) > 0
        if isWritten { world.disk = next }
        step = world.machine.advance(isWritten ? .persisted : .notPersisted("disk full"))
      case .store(let next):
        try #require(target == nil || target == next)
        target = next
        world.word.store(next.signpost())
        step = world.machine.advance(.stored)
      case .barrier: step = world.machine.advance(.confirmed)
      case .done(let next):
        // The front door goes on until it is written.
        world.disk = next
        return check(before, request, next, world.facts)
      case .unchanged(let state):
        #expect(state == before && world.machine.state == before)
        return "unchanged"
      case .refused(let refusal):
        #expect(world.machine.state == before && world.machine.isIdle)
        world.disk = before
        return describe(refusal, request, before, world.facts)
      case .hold, .awaitQuiet, .release, .giveUpHandover:
        Issue.record("nothing holds here")
        return "failed"
      }
    }
  }

  private func check(
    _ before: PairState, _ request: SwitchMachine.Request, _ next: PairState, _ facts: Facts
  ) -> String {
    #expect(next.trial == nil || next.onTrial != nil)
    #expect(next.previous != next.active)
    switch request {
    case .rollback, .takeBack:
      #expect(next.trial == nil && next.previous == nil && next.generation == before.generation + 1)
      #expect(next.active == (before.trial?.isRamp == true ? before.active : before.previous))
      let isAutomatic = if case .takeBack = request { true } else { false }
      let isDead =
        facts.unhealthy[next.active] != nil && (isAutomatic || facts.unhealthy[next.active.other] == nil)
      #expect(!isDead || facts.isForced && !isAutomatic, "back to a dead color, though the new one serves")
      return request == .rollback ? "rolled back" : "taken back"
    case .advance(let trial, let to):
      #expect(before.trial == trial && next.trial == to)
      if trial.isRamp, to?.isRamp != true {
        #expect(next.active == before.active.other && next.previous == before.active)
        #expect(next.generation == before.generation + 1)
        return "ramp switched"
      }
      #expect(next.active == before.active && next.generation == before.generation)
      return to == nil ? "passed" : "step"
    case .switchTo(let color, _, let trial):
      #expect(before.trial == nil, "a switch in the middle of a trial")
      #expect(facts.unhealthy[color] == nil || facts.isForced, "a switch to a dead color")
      if trial?.isRamp == true {
        #expect(next.active == before.active && next.generation == before.generation && next.onTrial == color)
        return "ramping"
      }
      #expect(next.active == color && next.generation == before.generation + 1)
      return trial == nil ? "switched" : "baking"
    case .handover, .pause, .resume: return "failed"
    }
  }

  private func describe(
    _ refusal: SwitchMachine.Refusal, _ request: SwitchMachine.Request, _ before: PairState, _ facts: Facts
  ) -> String {
    switch refusal {
    case .unhealthy(let color, _):
      #expect(facts.unhealthy[color] != nil)
      if case .takeBack = request { return "no way back" }
      #expect(!facts.isForced)
      return "refused unhealthy"
    case .bakeUnderWay: return "refused baking"
    case .rampUnderWay: return "refused ramping"
    case .notPersisted: return "not persisted"
    case .unexpected, .handoverUnderWay, .paused, .givenUp, .stopping: return "refused"
    }
  }
}

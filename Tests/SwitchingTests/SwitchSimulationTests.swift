import Switching
import Testing

/// A front door in miniature: the machine, the word, the disk, and what the callers were told.
private struct World {
  var machine: SwitchMachine
  let word: ActiveWord
  var disk: PairState
  /// The last state that a caller was told of.
  var acknowledged: PairState
  /// Where the transaction under way leads.
  var target: PairState?
  var isRollback = false
  /// Whether the transaction under way has written its state.
  var hasPersisted = false
  var isHandover = false
  /// Sessions that have a backend.
  var inFlight = ByColor(both: 0)

  init(_ state: PairState) {
    machine = SwitchMachine(state)
    word = ActiveWord(state.signpost())
    (disk, acknowledged) = (state, state)
  }

  /// What the front door finds when it starts again after it was killed.
  mutating func crashAndStart() { self = World(disk) }

  /// What the workers do meanwhile: sessions come, where the word lets them, and end.
  mutating func live(_ random: inout SeededGenerator) {
    let signpost = word.load()
    if !signpost.holds { inFlight[signpost.assignment.color] += Int.random(in: 0...2, using: &random) }
    for color in Color.allCases where inFlight[color] > 0 && Bool.random(using: &random) { inFlight[color] -= 1 }
  }
}

@Suite struct SwitchSimulationTests {
  /// Random requests, outcomes, stops and crashes; the invariants are swept after every step.
  @Test(arguments: 1...40 as ClosedRange<UInt64>)
  func everyPromise_holds_whateverHappens(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var world = World(PairState(active: Color.allCases.randomElement(using: &random)!, previous: nil, generation: 0))
    var outcomes: [String: Int] = [:]
    for _ in 0..<1000 {
      if Int.random(in: 0..<200, using: &random) == 0 { world.machine.stop() }
      let outcome = try transact(&world, request(for: world, &random), &random)
      outcomes[outcome, default: 0] += 1
      if world.machine.isStopping, Int.random(in: 0..<20, using: &random) == 0 { world.crashAndStart() }
    }
    // A simulation that never got somewhere would have shown nothing about it.
    let expected = [
      "switched", "handed over", "rolled back", "paused", "resumed", "unchanged", "refused", "given up",
      "not persisted",
      "crashed",
    ]
    for expected in expected {
      #expect(outcomes[expected, default: 0] > 0, "never \(expected)")
    }
  }

  private func request(for world: World, _ random: inout SeededGenerator) -> SwitchMachine.Request {
    switch Int.random(in: 0..<8, using: &random) {
    case 0, 1: return .rollback
    case 2: return .pause
    case 3: return .resume
    default: break
    }
    let color = Color.allCases.randomElement(using: &random)!
    let expect: Color? = Int.random(in: 0..<3, using: &random) > 0 ? nil : Color.allCases.randomElement(using: &random)
    return Bool.random(using: &random) ? .switchTo(color, expect: expect) : .handover(color, expect: expect)
  }

  /// One transaction to its end, or to a crash in the middle of it; answers what became of it.
  private func transact(
    _ world: inout World, _ request: SwitchMachine.Request, _ random: inout SeededGenerator
  ) throws -> String {
    let before = world.machine
    let foreseen = world.machine.preview(request)
    #expect(world.machine == before, "a preview changed something")
    world.target = nil
    world.isRollback = request == .rollback
    world.hasPersisted = false
    if case .handover = request { world.isHandover = true } else { world.isHandover = false }
    var wasWritten = true
    var step = world.machine.begin(request)
    #expect(step == foreseen, "what was foreseen is not what came")
    while true {
      try sweep(world, before)
      world.live(&random)
      if Int.random(in: 0..<40, using: &random) == 0 {
        let possible = [world.acknowledged.active, world.target?.active]
        world.crashAndStart()
        #expect(possible.contains(world.disk.active), "it came back in a color that nobody was told of")
        return "crashed"
      }
      switch step {
      case .persist(let next):
        try take(next, in: &world, after: before)
        if !world.isRollback {
          #expect(world.word.load().assignment == before.state.assignment, "stored before it is persisted")
        }
        if world.isRollback {
          #expect(world.word.load().assignment == next.assignment, "the way back waits for the disk")
        }
        wasWritten = Int.random(in: 0..<4, using: &random) > 0
        if wasWritten { world.disk = next }
        world.hasPersisted = wasWritten
        step = world.machine.advance(wasWritten ? .persisted : .notPersisted("disk full"))
      case .store(let next):
        try take(next, in: &world, after: before)
        #expect(world.hasPersisted != world.isRollback, "a switch is written before, the way back after")
        if world.isHandover {
          #expect(world.machine.holds && world.inFlight == ByColor(both: 0), "both colors serve in a handover")
        }
        world.word.store(Signpost(next.assignment, holds: world.machine.holds))
        step = world.machine.advance(.stored)
      case .hold:
        #expect(!world.machine.holds)
        world.word.store(Signpost(world.machine.state.assignment, holds: true))
        step = world.machine.advance(.held)
      case .awaitQuiet(let next):
        #expect(world.isHandover && next.active == before.state.active.other)
        if let event = waiting(&world, &random) { step = world.machine.advance(event) }
      case .release:
        #expect(world.machine.holds)
        world.word.store(Signpost(world.machine.state.assignment))
        step = world.machine.advance(.released)
      case .giveUpHandover: Issue.record("there is no handover to give up")
      case .barrier:
        #expect(world.machine.state == world.target)
        step = world.machine.advance(.confirmed)
      case .done(let next) where request == .pause || request == .resume:
        #expect(next == before.state && world.machine.state == before.state && world.target == nil)
        #expect(world.machine.isPaused == (request == .pause))
        return request == .pause ? "paused" : "resumed"
      case .done(let next):
        #expect(next == world.target && next == world.machine.state && world.machine.isIdle)
        #expect(next.generation == before.state.generation + 1)
        #expect(next.active == before.state.active.other)
        #expect(world.word.load() == Signpost(next.assignment, holds: before.holds))
        if wasWritten { #expect(world.disk == next) } else { #expect(world.isRollback, "acknowledged, not written") }
        world.acknowledged = next
        if world.isRollback {
          #expect(next.active == before.state.previous && next.previous == nil)
          if !world.machine.isStopping { #expect(world.machine.preview(.rollback) == .unchanged(next)) }
          // The front door goes on trying until it has been written.
          world.disk = next
          return "rolled back"
        }
        #expect(next.previous == before.state.active)
        return world.isHandover ? "handed over" : "switched"
      case .unchanged(let state):
        #expect(state == before.state && world.machine == before && world.word.load().assignment == state.assignment)
        return "unchanged"
      case .refused(let refusal):
        #expect(world.machine == before, "a refused switch changed something")
        #expect(world.word.load() == Signpost(before.state.assignment, holds: before.holds))
        #expect(world.disk == before.state)
        if case .notPersisted(let reason) = refusal {
          #expect(reason == "disk full" && !world.isRollback)
          return "not persisted"
        }
        if case .givenUp = refusal {
          #expect(world.isHandover && world.target == nil)
          return "given up"
        }
        #expect((refusal == .stopping) == world.machine.isStopping)
        return "refused"
      }
    }
  }

  /// A handover waits. Other requests come, which change nothing; nil: it waits on.
  private func waiting(_ world: inout World, _ random: inout SeededGenerator) -> SwitchMachine.Event? {
    let machine = world.machine
    let other = request(for: world, &random)
    let answer = world.machine.begin(other)
    #expect(world.machine == machine)
    if answer == .giveUpHandover {
      #expect(other == .rollback)
      return .givenUp("rolled back")
    }
    guard case .refused(.handoverUnderWay) = answer else {
      Issue.record("\(other) was not refused: \(answer)")
      return nil
    }
    if world.inFlight == ByColor(both: 0) { return .quiet }
    return Int.random(in: 0..<10, using: &random) == 0 ? .givenUp("its time is up") : nil
  }

  /// A step names the state it leads to; all steps of a transaction name the same.
  private func take(_ next: PairState, in world: inout World, after before: SwitchMachine) throws {
    try #require(world.target == nil || world.target == next)
    #expect(next.generation == before.state.generation + 1 && next.active != before.state.active)
    world.target = next
  }

  private func sweep(_ world: World, _ before: SwitchMachine) throws {
    let inForce = world.word.load().assignment
    try #require(world.word.load().holds == world.machine.holds, "the machine and the word differ about the hold")
    try #require(inForce == world.machine.state.assignment, "the machine and the word name two active colors")
    try #require(inForce == before.state.assignment || inForce == world.target?.assignment)
    try #require(world.machine.state.previous != world.machine.state.active)
    let copy = world.machine
    _ = (world.machine.preview(.rollback), world.machine.preview(.switchTo(.blue, expect: .green)))
    #expect(world.machine == copy)
  }
}

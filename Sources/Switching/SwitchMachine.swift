/// Which color is active, and which one the way back leads to. This is what the state file holds.
public struct PairState: Codable, Equatable, Sendable {
  public var active: Color
  /// Where a rollback goes; nil where there is nothing to roll back.
  @Nullable public var previous: Color?
  public var generation: UInt64
  /// The release that is being tried out: in a bake `active`, in a ramp the other color.
  @Nullable public var trial: Trial?

  public init(active: Color, previous: Color?, generation: UInt64, trial: Trial? = nil) {
    self.active = active
    self.generation = generation
    self.previous = previous
    self.trial = trial
  }

  public var assignment: Assignment { Assignment(color: active, generation: generation) }

  /// What the word is to say.
  public func signpost(holds: Bool = false) -> Signpost {
    Signpost(assignment, holds: holds, share: trial?.share ?? 0)
  }

  /// The color that is being tried out; nil where none is.
  public var onTrial: Color? { trial.map { $0.isRamp ? active.other : active } }
}

/// What the front door knows of the targets when a transaction begins.
public struct Facts: Equatable, Sendable {
  /// Why a color cannot serve, for people; nil where it can, or nobody knows.
  public var unhealthy: ByColor<String?>
  /// The operator wants it whatever the targets are like.
  public var isForced: Bool
  public init(unhealthy: ByColor<String?> = ByColor(both: nil), isForced: Bool = false) {
    (self.unhealthy, self.isForced) = (unhealthy, isForced)
  }
}

/// The decisions of the switch transaction, of the handover and of the pause, without their effects: which request is
/// refused, and in which order traffic is held, state is written, the word is stored and the caller is answered.
///
/// One transaction at a time: the front door begins the next only after `.done`, `.unchanged` or a refusal. While a
/// handover waits (`.awaitQuiet`) a request may begin; all it can do is to be refused, or to give the handover up.
public struct SwitchMachine: Equatable, Sendable {
  public enum Request: Equatable, Sendable {
    /// `expect`: refuse if another color is active. `trial`: what is to come before (a ramp) or after it (a bake).
    case switchTo(Color, expect: Color?, trial: Trial? = nil)
    /// A switch in which the two colors never serve at the same time.
    case handover(Color, expect: Color?, trial: Trial? = nil)
    case rollback
    /// A release is taken back because it does not hold; nothing where it is not on trial any more.
    case takeBack(Trial)
    /// A stage of a trial is over: the next step of its ramp, its switch, or nil, its end.
    case advance(Trial, to: Trial?)
    case pause
    case resume
  }

  public enum Refusal: Equatable, Sendable {
    /// `--expect` named another color.
    case unexpected(active: Color, expected: Color)
    /// The state could not be written; the reason is for people.
    case notPersisted(String)
    case handoverUnderWay(to: Color)
    case bakeUnderWay(of: Color)
    case rampUnderWay(to: Color)
    /// The reason is for people.
    case unhealthy(Color, String)
    /// A handover holds the traffic itself: it cannot begin in a pause.
    case paused
    /// The handover ended without a switch; the reason is for people.
    case givenUp(String)
    case stopping
  }

  /// What the front door has to do next.
  public enum Step: Equatable, Sendable {
    /// Write this state to disk and report `.persisted` or `.notPersisted`.
    case persist(PairState)
    /// Store the word, with the hold as it is, and report `.stored`.
    case store(PairState)
    /// Wait until every worker has answered and report `.confirmed`.
    case barrier
    /// Store the word with a hold, tell the workers and report `.held`.
    case hold
    /// Wait until nothing is in flight, and report `.quiet` or `.givenUp`.
    case awaitQuiet(PairState)
    /// Store the word without the hold, tell the workers and report `.released`.
    case release
    /// Report `.givenUp` to the handover that waits.
    case giveUpHandover
    /// What was asked for is complete: answer.
    case done(PairState)
    /// Nothing was to be changed: answer.
    case unchanged(PairState)
    case refused(Refusal)
  }

  public enum Event: Equatable, Sendable {
    case persisted
    case notPersisted(String)
    case stored
    case confirmed
    case held
    case quiet
    case givenUp(String)
    case released
  }

  private enum Phase: Equatable, Sendable {
    case idle
    /// A switch: the state is being written, the old color still serves, or nobody does.
    case persistingFirst(PairState)
    /// The way back: the word is stored before the state is written, so that a full disk never pins a bad release.
    case storing(PairState, thenPersist: Bool)
    case confirming(PairState, thenPersist: Bool)
    case persistingLast(PairState)
    case pausing
    /// A handover: the hold begins.
    case holding(PairState)
    case awaitingQuiet(PairState)
    /// A hold ends, and with it a pause, or a handover that was refused or is complete.
    case releasing(refusal: Refusal?)
  }

  public private(set) var state: PairState
  /// A hold is in force.
  public private(set) var holds = false
  private var phase = Phase.idle
  private var isHandover = false
  public private(set) var isStopping = false

  public init(_ state: PairState) { self.state = state }

  /// No switch begins any more; the one under way is completed.
  public mutating func stop() { isStopping = true }

  public var isIdle: Bool { phase == .idle }

  /// Where the handover that waits for quiet leads; nil where none does.
  public var awaitedHandover: Color? {
    if case .awaitingQuiet(let next) = phase { return next.active }
    return nil
  }

  /// Whether `begin` may be called: nothing is under way, or it waits.
  public var mayBegin: Bool { isIdle || awaitedHandover != nil }

  public var isPaused: Bool { holds && !isHandover }

  /// What a request would lead to if it came now. Changes nothing: this is `--dry-run`.
  public func preview(_ request: Request, _ facts: Facts = Facts()) -> Step {
    if let color = awaitedHandover {
      return request == .rollback ? .giveUpHandover : .refused(.handoverUnderWay(to: color))
    }
    if isStopping && request != .resume { return .refused(.stopping) }
    switch request {
    case .switchTo(let color, let expect, let trial):
      if let answer = objection(to: color, expect, facts) { return answer }
      return .persist(trial?.isRamp == true ? trying(trial) : following(color, trial))
    case .handover(let color, let expect, _):
      return objection(to: color, expect, facts) ?? (holds ? .refused(.paused) : .hold)
    case .rollback: return back(facts)
    case .takeBack(let trial):
      guard state.trial == trial else { return .unchanged(state) }
      // Nobody has asked for it: where both are dead, whichever comes back first shall serve.
      if let target = trial.isRamp ? state.active : state.previous, let reason = facts.unhealthy[target] {
        return .refused(.unhealthy(target, reason))
      }
      return back(facts)
    case .advance(let trial, let next):
      guard state.trial == trial else { return .unchanged(state) }
      guard trial.isRamp else { return .store(trying(next)) }
      if next?.isRamp == true { return .persist(trying(next)) }
      let color = state.active.other
      return refusal(of: color, facts) ?? .persist(following(color, next))
    case .pause: return holds ? .unchanged(state) : .hold
    case .resume: return holds ? .release : .unchanged(state)
    }
  }

  /// What speaks against a way forward.
  private func objection(to color: Color, _ expect: Color?, _ facts: Facts) -> Step? {
    if let expect, expect != state.active {
      return .refused(.unexpected(active: state.active, expected: expect))
    }
    if let trial = state.trial, trial.isRamp { return .refused(.rampUnderWay(to: state.active.other)) }
    if color == state.active { return .unchanged(state) }
    if state.trial != nil { return .refused(.bakeUnderWay(of: state.active)) }
    return refusal(of: color, facts)
  }

  private func refusal(of color: Color, _ facts: Facts) -> Step? {
    guard !facts.isForced, let reason = facts.unhealthy[color] else { return nil }
    return .refused(.unhealthy(color, reason))
  }

  /// The way back. It is refused only where it would lead from a color that serves to one that cannot.
  private func back(_ facts: Facts) -> Step {
    let isRamp = state.trial?.isRamp == true
    guard let target = isRamp ? state.active : state.previous else { return .unchanged(state) }
    if !facts.isForced, facts.unhealthy[target.other] == nil, let reason = facts.unhealthy[target] {
      return .refused(.unhealthy(target, reason))
    }
    return .store(PairState(active: target, previous: nil, generation: state.generation + 1))
  }

  /// The same color, with another trial or none.
  private func trying(_ trial: Trial?) -> PairState {
    PairState(active: state.active, previous: state.previous, generation: state.generation, trial: trial)
  }

  private func following(_ color: Color, _ trial: Trial?) -> PairState {
    PairState(active: color, previous: state.active, generation: state.generation + 1, trial: trial)
  }

  /// Begins a transaction. The machine must be idle, or waiting in a handover.
  public mutating func begin(_ request: Request, _ facts: Facts = Facts()) -> Step {
    precondition(mayBegin, "a switch is under way")
    let step = preview(request, facts)
    switch step {
    case .persist(let next): phase = .persistingFirst(next)
    case .store(let next): phase = .storing(next, thenPersist: true)
    case .hold:
      if case .handover(let color, _, let trial) = request {
        phase = .holding(following(color, trial))
      } else {
        phase = .pausing
      }
    case .release: phase = .releasing(refusal: nil)
    case .barrier, .awaitQuiet, .giveUpHandover, .done, .unchanged, .refused: break
    }
    return step
  }

  /// Takes the outcome of the last step and answers the next one. An event that does not belong to the step traps.
  public mutating func advance(_ event: Event) -> Step {
    switch (phase, event) {
    case (.persistingFirst(let next), .persisted):
      phase = .storing(next, thenPersist: false)
      return .store(next)
    case (.persistingFirst, .notPersisted(let reason)): return end(refusal: .notPersisted(reason))
    case (.storing(let next, let thenPersist), .stored):
      state = next
      phase = .confirming(next, thenPersist: thenPersist)
      return .barrier
    case (.confirming(let next, thenPersist: true), .confirmed):
      phase = .persistingLast(next)
      return .persist(next)
    case (.confirming, .confirmed),
      // Not written: the word stands all the same, and the front door keeps trying.
      (.persistingLast, .persisted), (.persistingLast, .notPersisted):
      return end(refusal: nil)
    case (.pausing, .held):
      holds = true
      return end(refusal: nil)
    case (.holding(let next), .held):
      (holds, isHandover) = (true, true)
      phase = .awaitingQuiet(next)
      return .awaitQuiet(next)
    case (.awaitingQuiet(let next), .quiet):
      phase = .persistingFirst(next)
      return .persist(next)
    case (.awaitingQuiet, .givenUp(let reason)): return end(refusal: .givenUp(reason))
    case (.releasing(let refusal), .released):
      (holds, isHandover) = (false, false)
      phase = .idle
      return refusal.map { .refused($0) } ?? .done(state)
    case (.idle, _), (.persistingFirst, _), (.storing, _), (.confirming, _), (.persistingLast, _), (.pausing, _),
      (.holding, _), (.awaitingQuiet, _), (.releasing, _):
      preconditionFailure("\(event) does not answer \(phase)")
    }
  }

  /// The transaction is over, but a handover's hold is released before anybody is answered.
  private mutating func end(refusal: Refusal?) -> Step {
    if isHandover {
      phase = .releasing(refusal: refusal)
      return .release
    }
    phase = .idle
    return refusal.map { .refused($0) } ?? .done(state)
  }
}

/// Which color is active, and which one the way back leads to. This is what the state file holds.
public struct PairState: Codable, Equatable, Sendable {
  public var active: Color
  /// Where a rollback goes; nil where there is nothing to roll back.
  @Nullable public var previous: Color?
  public var generation: UInt64

  public init(active: Color, previous: Color?, generation: UInt64) {
    self.active = active
    self.previous = previous
    self.generation = generation
  }

  public var assignment: Assignment { Assignment(color: active, generation: generation) }
}

/// The decisions of the switch transaction, without its effects: which request is refused, and in which order state is
/// written, the word is stored and the caller is answered.
///
/// One transaction at a time: the front door begins the next only after `.done` or a refusal.
public struct SwitchMachine: Equatable, Sendable {
  public enum Request: Equatable, Sendable {
    /// `expect`: refuse if another color is active.
    case switchTo(Color, expect: Color?)
    case rollback
  }

  public enum Refusal: Equatable, Sendable {
    /// `--expect` named another color.
    case unexpected(active: Color, expected: Color)
    /// The state could not be written; the reason is for people.
    case notPersisted(String)
    case stopping
  }

  /// What the front door has to do next.
  public enum Step: Equatable, Sendable {
    /// Write this state to disk and report `.persisted` or `.notPersisted`.
    case persist(PairState)
    /// Store the word and report `.stored`.
    case store(PairState)
    /// Wait until every worker has answered and report `.confirmed`.
    case barrier
    /// The switch is complete: answer.
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
  }

  private enum Phase: Equatable, Sendable {
    case idle
    /// A switch: the state is being written, the old color still serves.
    case persistingFirst(PairState)
    /// The way back: the word is stored before the state is written, so that a full disk never pins a bad release.
    case storing(PairState, thenPersist: Bool)
    case confirming(PairState, thenPersist: Bool)
    case persistingLast(PairState)
  }

  public private(set) var state: PairState
  private var phase = Phase.idle
  public private(set) var isStopping = false

  public init(_ state: PairState) { self.state = state }

  /// No switch begins any more; the one under way is completed.
  public mutating func stop() { isStopping = true }

  public var isIdle: Bool { phase == .idle }

  /// What a request would lead to if it came now. Changes nothing: this is `--dry-run`.
  public func preview(_ request: Request) -> Step {
    if isStopping { return .refused(.stopping) }
    switch request {
    case .switchTo(let color, let expect):
      if let expect, expect != state.active {
        return .refused(.unexpected(active: state.active, expected: expect))
      }
      if color == state.active { return .unchanged(state) }
      return .persist(PairState(active: color, previous: state.active, generation: state.generation + 1))
    case .rollback:
      guard let previous = state.previous else { return .unchanged(state) }
      return .store(PairState(active: previous, previous: nil, generation: state.generation + 1))
    }
  }

  /// Begins a transaction. The machine must be idle.
  public mutating func begin(_ request: Request) -> Step {
    precondition(isIdle, "a switch is under way")
    let step = preview(request)
    switch step {
    case .persist(let next): phase = .persistingFirst(next)
    case .store(let next): phase = .storing(next, thenPersist: true)
    case .barrier, .done, .unchanged, .refused: break
    }
    return step
  }

  /// Takes the outcome of the last step and answers the next one. An event that does not belong to the step traps.
  public mutating func advance(_ event: Event) -> Step {
    switch (phase, event) {
    case (.persistingFirst(let next), .persisted):
      phase = .storing(next, thenPersist: false)
      return .store(next)
    case (.persistingFirst, .notPersisted(let reason)):
      phase = .idle
      return .refused(.notPersisted(reason))
    case (.storing(let next, let thenPersist), .stored):
      state = next
      phase = .confirming(next, thenPersist: thenPersist)
      return .barrier
    case (.confirming(let next, thenPersist: true), .confirmed):
      phase = .persistingLast(next)
      return .persist(next)
    case (.confirming(let next, thenPersist: false), .confirmed),
      // Not written: the word stands all the same, and the front door keeps trying.
      (.persistingLast(let next), .persisted), (.persistingLast(let next), .notPersisted):
      phase = .idle
      return .done(next)
    case (.idle, _), (.persistingFirst, .stored), (.persistingFirst, .confirmed), (.storing, .persisted),
      (.storing, .notPersisted), (.storing, .confirmed), (.confirming, .persisted), (.confirming, .notPersisted),
      (.confirming, .stored), (.persistingLast, .stored), (.persistingLast, .confirmed):
      preconditionFailure("\(event) does not answer \(phase)")
    }
  }
}

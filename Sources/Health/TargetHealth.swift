public import LinuxIO

/// What is known of one target.
public struct TargetHealth: Equatable, Sendable {
  /// nil: not probed yet, or not at all.
  public let isHealthy: Bool?
  /// When that changed last.
  public let since: WallTime?
  /// The last result, of a probe or of a connection of real traffic that could not be made.
  public let result: ProbeResult?
  public let checkedAt: WallTime?
  /// Of the last probe.
  public let latencyMicroseconds: Int64?
  /// Results in a row that speak against `isHealthy`.
  public let against: Int
}

/// A target has become healthy or unhealthy.
public struct HealthChange<ID: Hashable & Sendable>: Equatable, Sendable {
  public let id: ID
  /// As the operator wrote it.
  public let name: String
  public let isHealthy: Bool
  /// It was not known before: this is the target's first result.
  public let isFirst: Bool
  /// What did it.
  public let result: ProbeResult
}

/// What came of a probe that was asked for.
public enum FreshProbe: Equatable, Sendable {
  case found(ProbeResult)
  /// The target is not probed: its settings say so.
  case off
  /// This machine could not ask; no fault of the target's.
  case shortage(Errno)
  /// Its turn did not come within the longest timeout: too many others were silent.
  case notInTime
  /// There is no such target, or not any more.
  case gone
}

/// Somebody waits for fresh probes of some targets.
final class Question<ID: Hashable & Sendable> {
  private var open: Set<ID>
  private var answers: [ID: FreshProbe] = [:]
  private let then: ([ID: FreshProbe]) -> Void
  /// Ends the waiting.
  var end: () -> Void = {}

  init(_ ids: [ID], then: @escaping ([ID: FreshProbe]) -> Void) {
    open = Set(ids)
    self.then = then
  }

  func answer(_ id: ID, _ answer: FreshProbe) {
    guard open.remove(id) != nil else { return }
    answers[id] = answer
    if open.isEmpty { finish() }
  }

  func answerTheRest(_ answer: FreshProbe) {
    for id in open { answers[id] = answer }
    open = []
    finish()
  }

  private func finish() {
    end()
    then(answers)
  }
}

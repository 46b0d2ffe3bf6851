/// A release that is being tried out: in a ramp, before its color is active, and in a bake, after it has become active. It
/// is a part of the state that survives a restart.
public struct Trial: Codable, Equatable, Sendable {
  /// One step of a ramp.
  public struct Step: Codable, Equatable, Sendable {
    /// Of the clients: 1 to 99.
    public let percent: Int
    public let milliseconds: Int64
    public init(percent: Int, milliseconds: Int64) { (self.percent, self.milliseconds) = (percent, milliseconds) }
  }

  public static let mostSteps = 20
  /// Milliseconds that a step or a bake may last: a day.
  public static let longestStage: Int64 = 86_400_000

  public let steps: [Step]
  /// Of the bake at the end; 0: there is none.
  public let bakeMilliseconds: Int64
  /// The step in force, from 0; nil: the ramp is over, and the bake is under way.
  public private(set) var step: Int?
  /// When the stage began, and when it ends. Microseconds since 1970.
  public private(set) var since: Int64
  public private(set) var until: Int64
  public let by: Requester
  @Nullable public var reason: String?
  public let isForced: Bool
  /// For the drain afterwards, in milliseconds; nil: as configured.
  @Nullable public var drainTimeout: Int64?
  /// What the old color's figures were just before.
  public let baseline: Baseline

  /// nil: there is nothing to try out.
  public init?(
    steps: [Step], bakeMilliseconds: Int64, now: Int64, by: Requester, reason: String?, isForced: Bool,
    drainTimeout: Int64?, baseline: Baseline
  ) {
    if steps.isEmpty && bakeMilliseconds == 0 { return nil }
    self.steps = steps
    self.bakeMilliseconds = bakeMilliseconds
    self.by = by
    self.isForced = isForced
    self.baseline = baseline
    step = steps.isEmpty ? nil : 0
    since = now
    until = now
    self.reason = reason
    self.drainTimeout = drainTimeout
    until = now + 1000 * length
  }

  public var isRamp: Bool { step != nil }

  /// Percent of the clients that go to the color that is not active.
  public var share: UInt8 { step.map { UInt8(steps[$0].percent) } ?? 0 }

  /// Milliseconds that the present stage lasts.
  private var length: Int64 { step.map { steps[$0].milliseconds } ?? bakeMilliseconds }

  /// The stage after this one; nil: the release has passed.
  public func next(at now: Int64) -> Trial? {
    guard let step else { return nil }
    var next = self
    next.step = step + 1 < steps.count ? step + 1 : nil
    if next.step == nil && bakeMilliseconds == 0 { return nil }
    next.since = now
    next.until = now + 1000 * next.length
    return next
  }

  /// After a restart: what was left of the stage, and no less than `least` milliseconds (or all of it), so that the verdict
  /// rests on something. Clocks may have been set meanwhile: no more than all of it either.
  public func resumed(at now: Int64, least: Int64) -> Trial {
    var resumed = self
    let left = min(max(until - now, 1000 * min(least, length)), 1000 * length)
    resumed.until = now + left
    return resumed
  }

  /// Whether the values make sense: they may come from a file.
  public var isSound: Bool {
    let stages = steps.map(\.milliseconds) + (bakeMilliseconds == 0 ? [] : [bakeMilliseconds])
    return steps.count <= Self.mostSteps && !stages.isEmpty
      && stages.allSatisfy { (1...Self.longestStage).contains($0) }
      && steps.allSatisfy { (1...99).contains($0.percent) }
      && (step.map { steps.indices.contains($0) } ?? (bakeMilliseconds > 0))
      && (0...Self.latestTime).contains(since) && (0...Self.latestTime).contains(until) && baseline.isSound
  }

  /// The year 9999, so that sums with it do not overflow.
  private static let latestTime: Int64 = 253_402_300_800_000_000
}

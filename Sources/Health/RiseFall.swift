/// What the results of one target come to: healthy, unhealthy, or not known yet.
///
/// The first result counts at once. From then on the verdict changes when so many results in a row speak against it: a
/// single lost packet takes no target out, and one lucky answer brings none back.
public struct RiseFall: Equatable, Sendable {
  public enum Verdict: Equatable, Sendable { case healthy, unhealthy }

  /// nil before the first result.
  public private(set) var verdict: Verdict?
  /// Results in a row, up to the last one, that speak against the verdict; always below what would change it.
  public private(set) var against = 0

  public init() {}

  public var isHealthy: Bool? {
    switch verdict {
    case nil: nil
    case .healthy?: true
    case .unhealthy?: false
    }
  }

  /// - Parameters:
  ///   - rise: passed results in a row that make an unhealthy target healthy, 1 or more.
  ///   - fall: failed results in a row that make a healthy one unhealthy, 1 or more.
  /// - Returns: the new verdict, where it is another one.
  public mutating func take(passed: Bool, rise: Int, fall: Int) -> Verdict? {
    switch (verdict, passed) {
    case (nil, true): return change(to: .healthy)
    case (nil, false): return change(to: .unhealthy)
    case (.healthy?, true), (.unhealthy?, false):
      against = 0
      return nil
    case (.healthy?, false): return oppose(upTo: fall, then: .unhealthy)
    case (.unhealthy?, true): return oppose(upTo: rise, then: .healthy)
    }
  }

  private mutating func oppose(upTo limit: Int, then other: Verdict) -> Verdict? {
    against += 1
    return against >= limit ? change(to: other) : nil
  }

  private mutating func change(to new: Verdict) -> Verdict {
    verdict = new
    against = 0
    return new
  }
}

import Admin
import Switching

/// What is watched of a release.
enum SignalText {
  private static let health = Signal.health.rawValue

  /// The one that is nearest to its limit, or furthest beyond it.
  static func worst(_ signals: [SignalReport]) -> String {
    let worst = signals.max { nearness($0) < nearness($1) }
    guard let worst, nearness(worst) > 0 else {
      return signals.contains { $0.samples > 0 } ? "nothing has gone wrong" : "nothing has been seen yet"
    }
    if worst.signal == health { return "worst: " + dead(worst.value) }
    return
      "worst: \(escaped(worst.signal)) \(Units.percent(worst.value)) of \(worst.samples) "
      + "(limit \(Units.percent(worst.limit)))"
  }

  /// Why a release was taken back: `serverErrors 12.5 % (limit 5 %)`.
  static func cause(_ cause: Receipt.Cause) -> String {
    if cause.signal == health { return "health: " + dead(cause.value) }
    return "\(escaped(cause.signal)) \(Units.percent(cause.value)) (limit \(Units.percent(cause.limit)))"
  }

  static func table(_ signals: [SignalReport], _ paint: Palette) -> String {
    var table = TextTable([
      .text("SIGNAL"), .number("VALUE"), .number("LIMIT"), .number("SAMPLES"), .number("CLIENTS"),
    ])
    for signal in signals {
      let isHealth = signal.signal == health
      let mark: Paint = signal.value > signal.limit ? .red : .plain
      table.add([
        .init(signal.signal), .init(isHealth ? Units.count(signal.value) : Units.percent(signal.value), mark),
        .init(isHealth ? Units.count(signal.limit) : Units.percent(signal.limit)),
        .init(isHealth ? "" : "\(signal.samples)"), .init(signal.clients.map { "\($0)" } ?? ""),
      ])
    }
    return table.text(paint)
  }

  private static func dead(_ count: Double) -> String {
    count == 1 ? "1 listener has no healthy target" : "\(Units.count(count)) listeners have no healthy target"
  }

  /// 1 at the limit.
  private static func nearness(_ signal: SignalReport) -> Double {
    if signal.value <= 0 { return 0 }
    return signal.limit > 0 ? signal.value / signal.limit : .infinity
  }
}

import Admin
import Switching

/// What is known of the targets.
enum HealthText {
  /// - Parameter now: seconds since 1970.
  static func text(_ targets: [TargetHealthReport], _ paint: Palette, now: Double) -> String {
    if targets.isEmpty { return "no targets\n" }
    func age(_ time: String?) -> String? {
      time.flatMap(Timestamp.seconds).map { Units.duration(seconds: now - $0) }
    }
    var table = TextTable([
      .text("LISTENER"), .text("COLOR"), .text("TARGET"), .text("PROBE"), .text("HEALTH"), .number("FOR"),
      .number("LATENCY"), .number("CHECKED"), .text("LAST RESULT"),
    ])
    for target in targets {
      let isBad = target.healthy == false
      table.add([
        .init(target.listener), .init(target.color), .init(target.address, isBad ? .red : .plain), .init(target.probe),
        cell(target.healthy, against: target.against), .init(age(target.since) ?? ""),
        .init(target.latencyMicroseconds.map(Units.microseconds) ?? ""),
        .init(age(target.checkedAt).map { "\($0) ago" } ?? ""), .init(target.result ?? "", isBad ? .red : .plain),
      ])
    }
    let bad = targets.count { $0.healthy == false }
    if bad == 0 { return table.text(paint) }
    let summary = "\(bad) of \(targets.count) targets \(bad == 1 ? "is" : "are") unhealthy"
    return table.text(paint) + "\n" + paint(summary, .red) + "\n"
  }

  /// - Parameter against: results in a row that speak for the contrary.
  static func cell(_ isHealthy: Bool?, against: Int = 0) -> TextTable.Cell {
    let doubt = against > 0 ? ", \(against) against it" : ""
    return switch isHealthy {
    case true?: .init("healthy" + doubt, against > 0 ? .yellow : .green)
    case false?: .init("unhealthy" + doubt, .red)
    case nil: .init("not known yet", .dim)
    }
  }
}

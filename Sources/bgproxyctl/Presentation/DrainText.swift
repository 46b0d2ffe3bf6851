import Admin
import Switching

/// The progress of a drain.
struct DrainText: ProgressText {
  let drain: DrainReport
  /// nil: both, since the front door stops.
  let color: Color?
  /// Seconds since 1970.
  let now: Double

  /// `draining blue: 3 of 40 sessions left, 12s until the deadline`.
  func line(_ paint: Palette) -> String { "\(heading(paint)): \(counts)" }

  /// The same with a bar of what has drained already.
  func bar(_ paint: Palette) -> String { "\(heading(paint)) \(gauge(paint)) \(counts)" }

  private func heading(_ paint: Palette) -> String { "draining \(color.map { paint($0) } ?? "both colors")" }

  private var counts: String { "\(drain.remaining) of \(Units.sessions(drain.initial)) left\(timeLeft)" }

  private var timeLeft: String {
    guard Timestamp.seconds(drain.deadline) != nil else { return "" }
    return Timestamp.left(until: drain.deadline, now: now).map { ", \($0) until the deadline" } ?? ", at the deadline"
  }

  private func gauge(_ paint: Palette) -> String {
    let left = drain.initial > 0 ? Double(drain.remaining) / Double(drain.initial) : 0
    return paint.gauge(empty: left, color.map { Paint($0.other) } ?? .plain)
  }
}

extension StatusReport {
  /// Whose sessions the drain under way ends; nil: those of both colors.
  var drainingColor: Color? { phase == .stopping ? nil : active.other }
}

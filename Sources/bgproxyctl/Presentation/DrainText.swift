import Admin
import Switching

/// The progress of a drain.
struct DrainText: ProgressText {
  let drain: DrainReport
  let color: Color
  /// Seconds since 1970.
  let now: Double

  /// `draining blue: 3 of 40 sessions left, 12s until the deadline`.
  func line(_ paint: Palette) -> String { "draining \(paint(color)): \(counts)" }

  /// The same with a bar of what has drained already.
  func bar(_ paint: Palette) -> String { "draining \(paint(color)) \(gauge(paint)) \(counts)" }

  private var counts: String { "\(drain.remaining) of \(Units.sessions(drain.initial)) left\(timeLeft)" }

  private var timeLeft: String {
    guard Timestamp.seconds(drain.deadline) != nil else { return "" }
    return Timestamp.left(until: drain.deadline, now: now).map { ", \($0) until the deadline" } ?? ", at the deadline"
  }

  private func gauge(_ paint: Palette) -> String {
    let left = drain.initial > 0 ? Double(drain.remaining) / Double(drain.initial) : 0
    return paint.gauge(empty: left, color.other)
  }
}

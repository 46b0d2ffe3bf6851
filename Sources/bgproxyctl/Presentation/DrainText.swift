import Admin
import Switching

/// The progress of a drain.
struct DrainText {
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
    guard let deadline = Timestamp.seconds(drain.deadline) else { return "" }
    // Rounded up, so that it does not say 0s while there is time.
    let left = (deadline - now).rounded(.up)
    return left > 0 ? ", \(Units.duration(seconds: left)) until the deadline" : ", at the deadline"
  }

  private func gauge(_ paint: Palette) -> String {
    let width = 24
    let left = drain.initial > 0 ? min(1, max(0, Double(drain.remaining) / Double(drain.initial))) : 0
    let filled = width - Int((left * Double(width)).rounded(.up))
    let bar = String(repeating: "━", count: filled)
    return paint(bar, Paint(color.other)) + paint(String(repeating: "─", count: width - filled), .dim)
  }
}

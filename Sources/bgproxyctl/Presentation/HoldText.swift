import Admin
import Switching

/// A hold as people read it.
struct HoldText {
  private let status: StatusReport
  private let hold: HoldReport
  private let paint: Palette
  /// Seconds since 1970.
  private let now: Double

  /// nil where there is no hold.
  init?(status: StatusReport, paint: Palette, now: Double) {
    guard let hold = status.hold else { return nil }
    (self.status, self.hold, self.paint, self.now) = (status, hold, paint, now)
  }

  /// `12 sessions held, 3 in flight; traffic resumes by itself in 28 s`.
  var line: String {
    let flight = hold.inFlight == 0 ? "nothing in flight" : paint("\(hold.inFlight) in flight", .yellow)
    let left =
      Timestamp.seconds(hold.until).map { " in \(Units.duration(seconds: max(0, $0 - now).rounded(.up)))" } ?? ""
    return "\(Units.sessions(status.held)) held, \(flight); traffic resumes by itself\(left)"
  }

  /// What is under way.
  var heading: String { hold.handover.map { "handover to \(paint($0))" } ?? "paused" }
}

import Admin
import Switching

/// A release that is tried out: how far it has come, and how it does.
struct TrialText: ProgressText {
  private let status: StatusReport
  /// Seconds since 1970.
  private let now: Double

  /// nil where none is.
  init?(status: StatusReport, now: Double) {
    guard status.isRamping || status.isBaking else { return nil }
    (self.status, self.now) = (status, now)
  }

  private var color: Color { status.isRamping ? status.active.other : status.active }

  var signals: [SignalReport] { status.ramp?.signals ?? status.bake?.signals ?? [] }

  /// `ramping green: step 1 of 2, 10 % of the clients, 45s left; worst: resets 1.2 % of 340 (limit 5 %)`.
  func line(_ paint: Palette) -> String { heading(paint) + (details.isEmpty ? "" : ": \(details)") }

  /// The same with a bar: in a ramp of the share of the clients, in a bake of its time.
  func bar(_ paint: Palette) -> String { "\(heading(paint)) \(gauge(paint)) \(details)" }

  private func heading(_ paint: Palette) -> String {
    "\(paint(status.isRamping ? "ramping" : "baking", .yellow)) \(paint(color))"
  }

  private var details: String {
    if let ramp = status.ramp {
      return "step \(ramp.step) of \(ramp.steps.count), \(status.share[color]) % of the clients, \(left(ramp.until)); "
        + SignalText.worst(ramp.signals)
    }
    return status.bake.map { "\(left($0.until)); \(SignalText.worst($0.signals))" } ?? ""
  }

  private func left(_ until: String) -> String {
    Timestamp.left(until: until, now: now).map { "\($0) left" } ?? "at its end"
  }

  private func gauge(_ paint: Palette) -> String {
    if status.isRamping { return paint.gauge(empty: 1 - Double(status.share[color]) / 100, Paint(color)) }
    guard let bake = status.bake, let start = Timestamp.seconds(bake.since), let end = Timestamp.seconds(bake.until),
      end > start
    else { return paint.gauge(empty: 1, Paint(color)) }
    return paint.gauge(empty: (end - now) / (end - start), Paint(color))
  }
}

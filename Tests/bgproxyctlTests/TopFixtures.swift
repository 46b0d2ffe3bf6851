import Admin
import LinuxIO
import Switching

@testable import bgproxyctl

/// Of one color in one step of two seconds.
func figures(requests: UInt64 = 0, accepted: UInt64 = 0, errors: UInt64 = 0, p99: UInt64? = nil) -> TrafficFigures {
  TrafficFigures(
    sessions: 3, accepted: accepted, requests: requests, bytesIn: 2048, bytesOut: 4096, connectFailures: 0, resets: 0,
    serverErrors: errors, p50Microseconds: p99.map { $0 / 2 }, p99Microseconds: p99)
}

/// - Parameter second: of 10:02; the steps are at even ones.
func sample(_ second: Int, blue: TrafficFigures = figures(), green: TrafficFigures = figures()) -> TrafficSample {
  let digits = second < 10 ? "0\(second)" : "\(second)"
  return TrafficSample(
    at: "2026-01-31T10:02:\(digits).000Z", seconds: 2, colors: ByColor(blue: blue, green: green))
}

func event(_ name: String, _ message: String, at: String = "2026-01-31T10:00:00.000Z") -> EventReport {
  EventReport(at: at, event: name, message: message)
}

extension StatusReport {
  func with(_ samples: [TrafficSample], _ events: [EventReport] = []) -> StatusReport {
    changed { $0.recent = RecentReport(stepSeconds: 2, samples: samples, events: events, lastMinute: []) }
  }

  func changed(_ change: (inout StatusReport) -> Void) -> StatusReport {
    var copy = self
    change(&copy)
    return copy
  }
}

/// What is seen at `now`.
func screen(
  _ status: StatusReport, columns: Int, rows: Int, controls: TopControls = TopControls(), now time: Double = now
) -> TopFrame {
  TopScreen(
    model: TopModel(status, at: now), controls: controls, now: time, size: Terminal.Size(columns: columns, rows: rows)
  ).frame()
}

extension TopFrame {
  /// Without what is blank at the ends of lines and of the whole.
  var text: String {
    var rows = lines.map { line in
      var text = line.text(plain)
      while text.last == " " { text.removeLast() }
      return text
    }
    while rows.last == "" { rows.removeLast() }
    return rows.map { $0 + "\n" }.joined()
  }
}

/// Green went live two minutes ago, blue drains, and there is traffic on both.
let busyStatus = status(
  last: receipt(reason: "release 42") { ($0.open, $0.ended, $0.remaining) = (40, 37, 3) }, drain: drainUnderWay
).changed {
  $0.colors.blue.sessions = 3
  $0.colors.green.sessions = 37
  $0.colors.green.healthy = true
}.with(
  [
    sample(0, blue: figures(requests: 80, p99: 4000)),
    sample(2, blue: figures(requests: 20), green: figures(requests: 60)),
    sample(4, green: figures(requests: 100, accepted: 3, errors: 7, p99: 12_500)),
  ],
  [
    event("target-down", "green web unix:/run/app.sock: connection refused", at: "2026-01-31T09:59:58.500Z"),
    event("switch", "blue → green"),
  ])

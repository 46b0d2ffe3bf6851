import Admin

/// The events that live views begin with, the oldest first.
///
/// A trouble that lasts is told again and again. It is kept once, where it was last, with how often: else it would push
/// out what led to it.
struct PastEvents {
  private struct Entry {
    var report: EventReport
    let lasts: Bool
  }

  private static let mostKept = 50
  /// Of troubles that last: with many targets there are many different ones.
  private static let mostLasting = 25

  private var entries: [Entry] = []

  var reports: [EventReport] { entries.map(\.report) }

  /// - Parameter lasts: a trouble that is told again while it lasts.
  mutating func add(_ report: EventReport, lasts: Bool) {
    var report = report
    if lasts, let index = entries.firstIndex(where: { $0.lasts && $0.report.isSame(as: report) }) {
      let earlier = entries.remove(at: index).report
      report.count = (earlier.count ?? 1) + 1
      report.since = earlier.since ?? earlier.at
    }
    entries.append(Entry(report: report, lasts: lasts))
    if entries.count(where: \.lasts) > Self.mostLasting, let first = entries.firstIndex(where: \.lasts) {
      entries.remove(at: first)
    }
    if entries.count > Self.mostKept { entries.removeFirst() }
  }
}

extension EventReport {
  fileprivate func isSame(as other: EventReport) -> Bool { event == other.event && message == other.message }
}

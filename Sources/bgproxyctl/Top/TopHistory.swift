import Admin
import Switching

/// The parts of the live view that tell of the past.
extension TopTexts {
  /// About as long as is drawn.
  private static let trendSeconds = 300.0

  var trend: TopSection? {
    guard width >= 30, !model.samples.isEmpty else { return nil }
    let cells = width - 7
    let seconds = max(2, (Self.trendSeconds / Double(cells) / 2).rounded() * 2)
    let histories = Color.allCases.map { model.history(of: $0, cells: cells, seconds: seconds) }
    let peak = histories.joined().compactMap(\.self).max() ?? 0
    var head = StyledLine(model.drawsRequests ? "REQUESTS/s" : "NEW SESSIONS/s", .bold)
    head.add("  last \(Int((Double(cells) * seconds / 60).rounded())) min, peak \(TopRates.number(peak))")
    let lines = zip(Color.allCases, histories).map { color, values in
      var line = name(of: color)
      line.add(Sparkline.text(values, peak: peak), Paint(color))
      return line
    }
    return TopSection(rank: 7, [head] + lines)
  }

  var events: TopSection? {
    let events = model.events
    let nameWidth = min(18, events.map { Cells.width(Cells.harmless($0.event)) }.max() ?? 0)
    let lines = events.map { event in
      var line = StyledLine(Self.timeOfDay(event.at), .dim)
      line.add("  ")
      line.add(event.event, .bold, columns: nameWidth)
      line.add("  \(event.message)\(Self.repeats(event))")
      return line
    }
    let head = StyledLine("EVENTS (UTC)", .bold)
    return TopSection(rank: 5, least: 2, wish: 4, most: lines.isEmpty ? 0 : lines.count + 1) { room in
      Array(([head] + lines).prefix(room))
    }
  }

  /// ` (12 times since 10:00:00)`.
  private static func repeats(_ event: EventReport) -> String {
    guard let count = event.count, let since = event.since else { return "" }
    return " (\(count) times since \(timeOfDay(since)))"
  }

  private static func timeOfDay(_ time: String) -> String {
    Timestamp.seconds(time) == nil ? time : String(time.dropFirst(11).prefix(8))
  }
}

/// Values over time, a character each.
enum Sparkline {
  private static let steps = Array("▁▂▃▄▅▆▇█")

  /// Nothing known is a space, and nothing done a dot.
  static func text(_ values: [Double?], peak: Double) -> String {
    String(
      values.map { value in
        guard let value else { return " " }
        guard value > 0, peak > 0 else { return "·" }
        return steps[min(steps.count - 1, Int(value / peak * Double(steps.count)))]
      })
  }
}

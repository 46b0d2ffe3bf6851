import Switching

/// What each color does at present, as a table whose columns keep their places while the numbers change.
struct TopRates {
  private struct Column {
    let head: String
    let columns: Int
    /// 0 matters most.
    let rank: Int
    let text: (Color) -> String
  }

  let model: TopModel
  let width: Int

  private static let nameWidth = 7
  private static let gap = 2
  /// Of the last column, which takes what is left.
  private static let leastForFailures = 10

  var lines: [StyledLine] {
    let chosen = chosenColumns
    let used = chosen.reduce(Self.nameWidth) { $0 + $1.columns + Self.gap }
    var head = StyledLine("")
    head.pad(to: Self.nameWidth)
    for column in chosen { add(column.head, column, .bold, to: &head) }
    head.add("FAILED/min", .bold)
    let rows = Color.allCases.map { color in
      var line = StyledLine()
      line.add(color.rawValue, Paint(color), columns: Self.nameWidth)
      for column in chosen { add(column.text(color), column, .plain, to: &line) }
      line.add(failures(of: color, width - used))
      return line
    }
    return [head] + rows
  }

  private func add(_ text: String, _ column: Column, _ paint: Paint, to line: inout StyledLine) {
    line.add(text, paint, columns: column.columns, isNumber: true)
    line.add(String(repeating: " ", count: Self.gap))
  }

  private var chosenColumns: [Column] {
    func time(_ count: UInt64?) -> String { count.map { Units.microseconds(Int64(clamping: $0)) } ?? "-" }
    func bytes(_ count: Double) -> String { Units.bytes(UInt64(min(1e18, max(0, count)))) }
    let all = [
      Column(head: "NEW/s", columns: 6, rank: 1) { Self.number(model.rates[$0].accepted) },
      Column(head: "REQ/s", columns: 6, rank: 0) { Self.number(model.rates[$0].requests) },
      Column(head: "IN/s", columns: 8, rank: 5) { bytes(model.rates[$0].bytesIn) },
      Column(head: "OUT/s", columns: 8, rank: 4) { bytes(model.rates[$0].bytesOut) },
      Column(head: "p50", columns: 7, rank: 3) { time(model.quantiles(of: $0).p50) },
      Column(head: "p99", columns: 7, rank: 2) { time(model.quantiles(of: $0).p99) },
    ]
    var left = width - Self.nameWidth - Self.leastForFailures
    var ranks: Set<Int> = []
    for column in all.sorted(by: { $0.rank < $1.rank }) {
      left -= Self.gap + column.columns
      if left < 0 { break }
      ranks.insert(column.rank)
    }
    return all.filter { ranks.contains($0.rank) }
  }

  /// In the longest form that fits.
  private func failures(of color: Color, _ width: Int) -> StyledLine {
    let failures = model.failures(of: color)
    if failures.sum == 0 { return StyledLine("none", .dim) }
    func form(_ connects: String, _ resets: String) -> String {
      [(failures.connects, connects), (failures.resets, resets), (failures.serverErrors, "5xx")]
        .filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    }
    let forms = [form("not connected", "reset"), form("conn", "rst"), "\(failures.sum)"]
    return StyledLine(forms.first { $0.count <= width } ?? forms[2], .red)
  }

  /// `0`, `0.4`, `12`, `1234`, `12.3k`, `1.2M`.
  static func number(_ value: Double) -> String {
    // Also false for what is no number.
    guard value > 0 else { return "0" }
    func tenths(_ value: Double) -> String {
      let tenths = Int((value * 10).rounded())
      return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }
    if value < 9.95 { return value < 0.05 ? "<0.1" : tenths(value) }
    if value < 9999.5 { return "\(Int(value.rounded()))" }
    return value < 999_950 ? tenths(value / 1000) + "k" : tenths(min(value, 1e15) / 1e6) + "M"
  }
}

import Admin
import Switching

/// The targets of all listeners, as a table that can be sorted and scrolled.
struct TopTargets {
  static let rank = 4

  private struct Row {
    let listener: String
    let color: Color
    let target: TargetReport
  }

  let model: TopModel
  let controls: TopControls
  let width: Int

  var section: TopSection {
    let rows = sortedRows
    return TopSection(rank: Self.rank, least: 2, wish: 5, most: rows.isEmpty ? 0 : rows.count + 1) { room in
      lines(rows, room)
    }
  }

  func mostScroll(room: Int) -> Int { room > 1 ? max(0, rowCount - (room - 1)) : 0 }

  /// Which ones are shown, where that is not all: `1–8 of 21`.
  func position(room: Int) -> String? {
    let most = mostScroll(room: room)
    if most == 0 { return nil }
    let first = min(controls.scroll, most)
    return "\(first + 1)–\(first + room - 1) of \(rowCount)"
  }

  private var rowCount: Int {
    model.status.listeners.reduce(0) { $0 + $1.targets.blue.count + $1.targets.green.count }
  }

  // MARK: Order

  private var sortedRows: [Row] {
    let rows = model.status.listeners.flatMap { listener in
      Color.allCases.flatMap { color in
        listener.targets[color].map { Row(listener: listener.name, color: color, target: $0) }
      }
    }
    // What is equal stays in the order of the configuration.
    let sorted = rows.enumerated().sorted { a, b in
      let isBefore = controls.isReversed ? precedes(b.element, a.element) : precedes(a.element, b.element)
      let isAfter = controls.isReversed ? precedes(a.element, b.element) : precedes(b.element, a.element)
      return isBefore || (!isAfter && a.offset < b.offset)
    }
    return sorted.map(\.element)
  }

  private func precedes(_ a: Row, _ b: Row) -> Bool {
    switch controls.sort {
    case .listener: a.listener < b.listener
    case .color: a.color == .blue && b.color == .green
    case .target: a.target.address < b.target.address
    case .health: badness(a) > badness(b)
    case .sessions: a.target.sessions < b.target.sessions
    }
  }

  private func badness(_ row: Row) -> Int { row.target.healthy.map { $0 ? 0 : 2 } ?? 1 }

  // MARK: Lines

  private func lines(_ rows: [Row], _ room: Int) -> [StyledLine] {
    let first = min(controls.scroll, mostScroll(room: room))
    let shown = rows.dropFirst(first).prefix(max(0, room - 1))
    // Heads have room for the mark of the order.
    func widest(_ head: String, _ text: (Row) -> String) -> Int {
      max(head.count + 1, rows.map { Cells.width(Cells.harmless(text($0))) }.max() ?? 0)
    }
    // The listener is left out first, and then the address is cut.
    let isNarrow = width < 60
    let showsListener = !isNarrow
    let listenerWidth = min(16, widest("LISTENER") { $0.listener })
    let healthWidth = widest("HEALTH") { HealthText.cell($0.target.healthy).text }
    let sessionsHead = isNarrow ? "OPEN" : "SESSIONS"
    let sessionsWidth = sessionsHead.count + 1
    let fixed = (showsListener ? listenerWidth + 2 : 0) + 7 + 2 + healthWidth + 2 + sessionsWidth
    let targetWidth = max(8, min(widest("TARGET") { $0.target.address }, width - fixed))
    let showsResult = width - fixed - targetWidth >= 24

    func line(_ cells: [(text: String, paint: Paint)], sessions: (text: String, paint: Paint), result: String)
      -> StyledLine
    {
      var line = StyledLine()
      let widths = [listenerWidth, 7, targetWidth, healthWidth]
      for (index, cell) in cells.enumerated() where index > 0 || showsListener {
        // Of an address the end tells more.
        let text = index == 2 ? Cells.suffix(cell.text, widths[index]) : cell.text
        line.add(StyledLine(text, cell.paint).clipped(to: widths[index]).padded(to: widths[index]))
        if index != 1 { line.add("  ") }
      }
      line.add(sessions.text, sessions.paint, columns: sessionsWidth, isNumber: true)
      if showsResult { line.add("  \(result)", cells[0].paint == .bold ? .bold : .plain) }
      return line
    }
    func head(_ column: TopControls.SortColumn) -> (String, Paint) {
      let name = column == .sessions ? sessionsHead : column.rawValue.uppercased()
      return (name + (column == controls.sort ? controls.isReversed ? "▼" : "▲" : ""), .bold)
    }
    let heads = line(
      [head(.listener), head(.color), head(.target), head(.health)], sessions: head(.sessions), result: "LAST RESULT")
    return [heads]
      + shown.map { row in
        let isBad = row.target.healthy == false
        let health = HealthText.cell(row.target.healthy)
        return line(
          [
            (row.listener, .plain), (row.color.rawValue, Paint(row.color)), (row.target.address, isBad ? .red : .plain),
            (health.text, health.paint),
          ], sessions: ("\(row.target.sessions)", .plain), result: row.target.result ?? "")
      }
  }
}

extension StyledLine {
  fileprivate func padded(to column: Int) -> StyledLine {
    var line = self
    line.pad(to: column)
    return line
  }
}

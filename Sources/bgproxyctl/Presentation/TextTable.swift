import Switching

/// Rows under column heads, aligned.
struct TextTable {
  struct Column {
    let head: String
    let isNumber: Bool
    static func text(_ head: String) -> Column { Column(head: head, isNumber: false) }
    static func number(_ head: String) -> Column { Column(head: head, isNumber: true) }
  }

  struct Cell: ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
    let text: String
    let paint: Paint
    /// The text may come from anywhere.
    init(_ text: String, _ paint: Paint = .plain) { (self.text, self.paint) = (escaped(text), paint) }
    init(stringLiteral text: String) { self.init(text) }
    init(_ color: Color) { self.init(color.rawValue, Paint(color)) }
    init(_ number: some BinaryInteger, _ paint: Paint = .plain) { self.init(String(number), paint) }
  }

  private let columns: [Column]
  private var rows: [[Cell]] = []

  init(_ columns: [Column]) { self.columns = columns }

  mutating func add(_ cells: [Cell]) { rows.append(cells) }

  func text(_ paint: Palette) -> String {
    let heads = columns.map { Cell($0.head, .bold) }
    let widths = columns.indices.map { column in ([heads] + rows).map { $0[column].text.count }.max() ?? 0 }
    return ([heads] + rows).map { line($0, widths, paint) }.joined()
  }

  private func line(_ cells: [Cell], _ widths: [Int], _ paint: Palette) -> String {
    var line = ""
    for (column, cell) in cells.enumerated() {
      let padding = String(repeating: " ", count: widths[column] - cell.text.count)
      let painted = paint(cell.text, cell.paint)
      let isLast = column == cells.count - 1
      line += columns[column].isNumber ? padding + painted : painted + (isLast ? "" : padding)
      if !isLast { line += "  " }
    }
    while line.last == " " { line.removeLast() }
    return line + "\n"
  }
}

/// One line of a screen, made of painted pieces, whose width is known.
struct StyledLine: Equatable {
  private struct Piece: Equatable {
    let text: String
    let paint: Paint
  }

  private var pieces: [Piece] = []
  /// In cells of the terminal.
  private(set) var width = 0

  init() {}
  /// - Parameter text: from anywhere.
  init(_ text: String, _ paint: Paint = .plain) { add(text, paint) }

  mutating func add(_ text: String, _ paint: Paint = .plain) {
    let text = Cells.harmless(text)
    if text.isEmpty { return }
    pieces.append(Piece(text: text, paint: paint))
    width += Cells.width(text)
  }

  mutating func add(_ line: StyledLine) {
    pieces += line.pieces
    width += line.width
  }

  /// Fills it up with spaces.
  mutating func pad(to column: Int) {
    if width < column { add(String(repeating: " ", count: column - width)) }
  }

  /// The text and spaces beside it, `columns` wide at least.
  mutating func add(_ text: String, _ paint: Paint = .plain, columns: Int, isNumber: Bool = false) {
    let padding = max(0, columns - Cells.width(Cells.harmless(text)))
    if isNumber, padding > 0 { add(String(repeating: " ", count: padding)) }
    add(text, paint)
    if !isNumber, padding > 0 { add(String(repeating: " ", count: padding)) }
  }

  /// What fits; where that is not all, its end says so.
  func clipped(to columns: Int) -> StyledLine {
    if width <= columns { return self }
    var line = StyledLine()
    guard columns > 0 else { return line }
    for piece in pieces {
      let left = columns - 1 - line.width
      line.add(Cells.prefix(piece.text, left), piece.paint)
      if Cells.width(piece.text) > left { break }
    }
    line.add("…")
    return line
  }

  func text(_ palette: Palette) -> String { pieces.map { palette($0.text, $0.paint) }.joined() }

  /// All in one paint.
  func painted(_ paint: Paint) -> StyledLine { StyledLine(pieces.map(\.text).joined(), paint) }
}

/// How much room text takes on a terminal.
enum Cells {
  /// Harmless as `escaped` has it, and without what has no shape of its own but changes that of its neighbors: joiners
  /// and selectors, whose effect on the width differs from terminal to terminal.
  static func harmless(_ text: String) -> String {
    if text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) { return text }
    let text = escaped(text)
    guard text.unicodeScalars.contains(where: \.properties.isDefaultIgnorableCodePoint) else { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars where !scalar.properties.isDefaultIgnorableCodePoint { result.append(scalar) }
    return String(result)
  }

  /// Cells that no terminal exceeds.
  static func width(_ text: String) -> Int {
    if text.utf8.allSatisfy({ $0 < 0x80 }) { return text.utf8.count }
    return text.unicodeScalars.reduce(0) { $0 + width($1) }
  }

  /// As much of its beginning as fits in so many cells.
  static func prefix(_ text: String, _ columns: Int) -> String {
    var result = String.UnicodeScalarView()
    var left = columns
    for scalar in text.unicodeScalars {
      left -= width(scalar)
      if left < 0 { break }
      result.append(scalar)
    }
    return String(result)
  }

  /// The text, or as much of its end as fits in so many cells.
  static func suffix(_ text: String, _ columns: Int) -> String {
    let text = harmless(text)
    if width(text) <= columns { return text }
    var left = columns - 1
    let end = text.unicodeScalars.reversed().prefix { scalar in
      left -= width(scalar)
      return left >= 0
    }
    var result = String.UnicodeScalarView("…".unicodeScalars)
    result.append(contentsOf: end.reversed())
    return String(result)
  }

  private static func width(_ scalar: Unicode.Scalar) -> Int {
    if scalar.isASCII { return 1 }
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .enclosingMark: return 0
    default: return isWide(scalar) || scalar.properties.isEmojiPresentation ? 2 : 1
    }
  }

  /// East Asian wide and full-width characters, and those beside them that are not in use yet (UAX #11).
  private static func isWide(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x1100...0x115F, 0x2329...0x232A, 0x2E80...0x303E, 0x3041...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3,
      0xF900...0xFAFF, 0xFE10...0xFE19, 0xFE30...0xFE6F, 0xFF01...0xFF60, 0xFFE0...0xFFE6, 0x16FE0...0x1B2FF,
      0x1D300...0x1D376, 0x1F000...0x1FAFF, 0x20000...0x3FFFD:
      true
    default: false
    }
  }
}

import LinuxIO

/// Turns frames into what a terminal has to be told: only the lines that have changed, and never an empty screen in
/// between.
struct TopPainter {
  /// To the alternate screen, without a cursor, where a line that is too wide is cut instead of wrapped.
  static let begin = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l"
  /// Also from the middle of a frame.
  static let end = "\u{1B}[?2026l\u{1B}[0m\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"

  // A terminal that knows synchronized output shows a frame when all of it has come; others ignore the marks.
  private static let frameBegin = "\u{1B}[?2026h"
  private static let frameEnd = "\u{1B}[?2026l"

  let palette: Palette
  private var shown: [StyledLine] = []
  private var size: Terminal.Size?

  init(palette: Palette) { self.palette = palette }

  /// What is on the screen is not known any more.
  mutating func forget() { (shown, size) = ([], nil) }

  /// nil where nothing has changed.
  mutating func text(_ frame: TopFrame, _ size: Terminal.Size) -> String? {
    if size != self.size { forget() }
    var text = ""
    for (row, line) in frame.lines.enumerated() where row >= shown.count || shown[row] != line {
      text += "\u{1B}[\(row + 1);1H" + line.text(palette)
      // The cursor stays on the last column of a full line, which would then be erased.
      if line.width < size.columns { text += "\u{1B}[K" }
    }
    (shown, self.size) = (frame.lines, size)
    return text.isEmpty ? nil : Self.frameBegin + text + Self.frameEnd
  }
}

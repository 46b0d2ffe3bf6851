/// What is shown of something that takes its time.
protocol ProgressText {
  func line(_ paint: Palette) -> String
  /// For a terminal, where it is drawn in place.
  func bar(_ paint: Palette) -> String
}

/// Progress of which there is nothing to draw.
struct PlainText: ProgressText {
  let text: String
  func line(_ paint: Palette) -> String { text }
  func bar(_ paint: Palette) -> String { text }
}

/// Shows a drain or a release while it runs: a bar that is drawn in place, or a plain line a second.
///
/// The cursor rests on the line below the bar between two drawings and no attribute stays on, so that an interrupt at any
/// moment leaves the terminal as it should be.
struct ProgressDisplay {
  private let context: Context
  private var isDrawn = false
  private var lastLine: Double?

  init(_ context: Context) { self.context = context }

  mutating func show(_ text: some ProgressText) {
    let now = context.clock.now()
    switch context.progress.style {
    case .none: break
    case .bar:
      // Without wrapping, since a line that takes two rows could not be taken back.
      context.progress.write("\u{1B}[?7l\(isDrawn ? upAndErase : "")\(text.bar(context.progress.paint))\u{1B}[?7h\n")
      isDrawn = true
    case .lines:
      // A clock that was set back must not silence it.
      if let lastLine, (0..<1).contains(now - lastLine) { return }
      lastLine = now
      context.progress.write(text.line(context.progress.paint) + "\n")
    }
  }

  mutating func clear() {
    if isDrawn { context.progress.write(upAndErase) }
    isDrawn = false
  }

  private let upAndErase = "\u{1B}[A\r\u{1B}[2K"
}

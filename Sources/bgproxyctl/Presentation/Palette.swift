import Switching

/// How a piece of text looks on a terminal.
enum Paint {
  case plain, bold, dim, blue, green, red, yellow

  init(_ color: Color) { self = color == .blue ? .blue : .green }

  fileprivate var code: String {
    switch self {
    case .plain: ""
    case .bold: "1"
    case .dim: "2"
    // The bright one: the other is hard to read on black.
    case .blue: "94"
    case .green: "32"
    case .red: "31"
    case .yellow: "33"
    }
  }
}

/// Paints text, or leaves it as it is where nobody could see the paint.
struct Palette {
  let isOn: Bool

  /// NO_COLOR counts where it is set and not empty (no-color.org).
  static func isWanted(onTerminal: Bool, noColorOption: Bool, noColor: String?, terminalName: String?) -> Bool {
    onTerminal && !noColorOption && noColor == nil && terminalName != "dumb"
  }

  func callAsFunction(_ text: String, _ paint: Paint) -> String {
    isOn && paint != .plain && !text.isEmpty ? "\u{1B}[\(paint.code)m\(text)\u{1B}[0m" : text
  }

  func callAsFunction(_ color: Color) -> String { self(color.rawValue, Paint(color)) }

  /// A bar of which a share is empty, and the rest in a color. It is full only where nothing is empty.
  func gauge(empty share: Double, _ full: Paint) -> String {
    let width = 24
    // What is no number counts as 0.
    let empty = Int((min(1, max(0, share)) * Double(width)).rounded(.up))
    return self(String(repeating: "━", count: width - empty), full)
      + self(String(repeating: "─", count: empty), .dim)
  }
}

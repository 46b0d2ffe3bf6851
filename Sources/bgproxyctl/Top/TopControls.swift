/// A key that the live view understands.
enum TopKey: Equatable {
  case quit, pause, sort, reverse, help, redraw
  /// Lines; negative is up.
  case scroll(Int)
  case top, bottom
}

/// Makes keys of the bytes that a terminal sends for them.
struct TopKeyReader {
  /// The beginning of a sequence whose rest has not come yet.
  private var begun: [UInt8] = []
  private static let page = 5

  mutating func keys(_ bytes: [UInt8]) -> [TopKey] { bytes.compactMap { key($0) } }

  private mutating func key(_ byte: UInt8) -> TopKey? {
    if begun.isEmpty {
      if byte == 0x1B { begun = [byte] }
      return Self.plain(byte)
    }
    if begun.count == 1 {
      if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "O") {
        begun.append(byte)
        return nil
      }
      // Escape was pressed, and then something else.
      begun = byte == 0x1B ? [byte] : []
      return Self.plain(byte)
    }
    guard (0x40...0x7E).contains(byte) else {
      // Parameters of a sequence. One that is so long is none.
      if begun.count < 16, (0x20...0x3F).contains(byte) { begun.append(byte) } else { begun = [] }
      return nil
    }
    defer { begun = [] }
    return Self.sequence(String(decoding: begun[2...] + [byte], as: UTF8.self))
  }

  private static func plain(_ byte: UInt8) -> TopKey? {
    switch byte {
    case UInt8(ascii: "q"), UInt8(ascii: "Q"): .quit
    case UInt8(ascii: "p"), UInt8(ascii: "P"), UInt8(ascii: " "): .pause
    case UInt8(ascii: "s"), UInt8(ascii: "S"): .sort
    case UInt8(ascii: "r"), UInt8(ascii: "R"): .reverse
    case UInt8(ascii: "?"), UInt8(ascii: "h"): .help
    case UInt8(ascii: "k"): .scroll(-1)
    case UInt8(ascii: "j"): .scroll(1)
    case 0x0C: .redraw
    default: nil
    }
  }

  private static func sequence(_ text: String) -> TopKey? {
    switch text {
    case "A": .scroll(-1)
    case "B": .scroll(1)
    case "5~": .scroll(-page)
    case "6~": .scroll(page)
    case "H", "1~": .top
    case "F", "4~": .bottom
    default: nil
    }
  }
}

/// What the operator has chosen to see, and how.
struct TopControls: Equatable {
  enum SortColumn: String, CaseIterable {
    case listener, color, target, health, sessions
  }

  /// What is wrong comes first.
  var sort = SortColumn.health
  var isReversed = false
  var showsHelp = false
  var isPaused = false
  /// The first target that is shown.
  private(set) var scroll = 0

  /// - Parameter most: how far the targets can be scrolled at present.
  mutating func press(_ key: TopKey, mostScroll most: Int) {
    switch key {
    case .pause: isPaused.toggle()
    case .sort:
      let all = SortColumn.allCases
      sort = all[((all.firstIndex(of: sort) ?? 0) + 1) % all.count]
      // What is interesting comes first: many sessions, bad health.
      isReversed = sort == .sessions
      scroll = 0
    case .reverse: (isReversed, scroll) = (!isReversed, 0)
    case .help: showsHelp.toggle()
    case .scroll(let lines): scroll = min(most, max(0, min(scroll, most) + lines))
    case .top: scroll = 0
    case .bottom: scroll = most
    case .quit, .redraw: break
    }
  }
}

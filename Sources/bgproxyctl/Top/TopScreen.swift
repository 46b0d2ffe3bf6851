import LinuxIO
import Switching

/// One picture of the live view: as many lines as the window has rows, none wider than it.
struct TopFrame: Equatable {
  let lines: [StyledLine]
  /// How far the targets can be scrolled.
  let mostScroll: Int
}

/// A part of the picture. Where there is little room, parts shrink, and then those that matter least are left out.
struct TopSection {
  /// 0 matters most.
  let rank: Int
  /// Fewer lines than these mean nothing.
  let least: Int
  /// As many as are good to have; more are used only where nobody else wants them.
  let wish: Int
  let most: Int
  let lines: (_ room: Int) -> [StyledLine]

  init(rank: Int, _ lines: [StyledLine], least: Int? = nil) {
    (self.rank, self.least) = (rank, least ?? lines.count)
    (wish, most) = (lines.count, lines.count)
    self.lines = { Array(lines.prefix($0)) }
  }

  init(rank: Int, least: Int, wish: Int, most: Int, _ lines: @escaping (_ room: Int) -> [StyledLine]) {
    (self.rank, self.least, self.lines) = (rank, min(least, most), lines)
    (self.wish, self.most) = (min(wish, most), most)
  }
}

/// Draws the live view. It only looks: everything it shows is in the model.
struct TopScreen {
  let model: TopModel
  let controls: TopControls
  /// Seconds since 1970.
  let now: Double
  let size: Terminal.Size

  func frame() -> TopFrame {
    let texts = TopTexts(model: model, controls: controls, now: now, width: size.columns)
    let targets = TopTargets(model: model, controls: controls, width: size.columns)
    var sections = [texts.header, texts.colors, texts.rates]
    sections += [texts.news, texts.trial, texts.lastSwitch].compactMap(\.self)
    sections +=
      controls.showsHelp ? [TopHelp.section] : [texts.trend, targets.section, texts.events].compactMap(\.self)
    let rows = max(0, size.rows - 1)
    let rooms = Self.rooms(sections, rows)
    var left = rows - rooms.reduce(0, +)
    var lines: [StyledLine] = []
    var (mostScroll, position): (Int, String?) = (0, nil)
    for (section, room) in zip(sections, rooms) where room > 0 {
      // What is left over sets the parts apart, from the top on.
      if !lines.isEmpty, left > 0 {
        lines.append(StyledLine())
        left -= 1
      }
      if section.rank == TopTargets.rank {
        (mostScroll, position) = (targets.mostScroll(room: room), targets.position(room: room))
      }
      let isOld = texts.isSilent && section.rank != TopTexts.headerRank
      lines += section.lines(room).map { isOld ? $0.painted(.dim) : $0 }
    }
    lines += Array(repeating: StyledLine(), count: max(0, rows - lines.count))
    if size.rows > 0 { lines.append(texts.keys(targets: position)) }
    return TopFrame(lines: lines.map { $0.clipped(to: size.columns) }, mostScroll: mostScroll)
  }

  /// How many rows each part gets: first the least of what matters most, then what each wishes for, then a blank line
  /// before each, then the rest.
  static func rooms(_ sections: [TopSection], _ rows: Int) -> [Int] {
    var rooms = Array(repeating: 0, count: sections.count)
    var left = rows
    let byRank = sections.indices.sorted { sections[$0].rank < sections[$1].rank }
    for index in byRank where sections[index].least <= left {
      rooms[index] = sections[index].least
      left -= sections[index].least
    }
    func grow(_ limit: (TopSection) -> Int, keeping kept: Int = 0) {
      for index in byRank where rooms[index] > 0 {
        let more = max(0, min(limit(sections[index]) - rooms[index], left - kept))
        rooms[index] += more
        left -= more
      }
    }
    grow(\.wish)
    grow(\.most, keeping: max(0, rooms.count { $0 > 0 } - 1))
    return rooms
  }
}

/// What the keys and the columns are.
enum TopHelp {
  private static let texts = [
    ("q", "quit; Ctrl-C does as well, and Ctrl-Z suspends"),
    ("p, space", "freeze the view, and go on"),
    ("s, r", "sort the targets by the next column, and the other way round"),
    ("arrows", "scroll the targets; PageUp, PageDown, Home and End as well"),
    ("?", "this help, and back"),
    ("", ""),
    ("bars", "share of the open sessions"),
    ("NEW/s REQ/s", "new sessions and requests a second; IN is from the clients, OUT to them"),
    ("p50 p99", "time to the first byte of an answer, of the last seconds"),
    ("FAILED/min", "connections to targets that failed, sessions reset by a target, answers 500 to 599"),
  ]

  static var section: TopSection {
    let lines = texts.map { key, text in
      var line = StyledLine()
      line.add(key, .bold, columns: 13)
      line.add(text)
      return line
    }
    return TopSection(rank: 3, lines, least: 1)
  }
}

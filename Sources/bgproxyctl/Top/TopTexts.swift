import Admin
import Switching

/// The parts of the live view that tell of the present, save its tables.
struct TopTexts {
  let model: TopModel
  let controls: TopControls
  /// Seconds since 1970.
  let now: Double
  let width: Int

  static let headerRank = 0

  private var status: StatusReport { model.status }
  private let plain = Palette(isOn: false)

  /// What is shown is old.
  var isSilent: Bool { model.silence(now: now) != nil }

  init(model: TopModel, controls: TopControls, now: Double, width: Int) {
    (self.model, self.controls, self.now, self.width) = (model, controls, now, width)
  }

  // MARK: Header

  var header: TopSection {
    var lines = [identity, state]
    if let receipt = status.lastSwitch, !receipt.persisted {
      let after = "after a crash \(receipt.from.rawValue) would be live again"
      lines.append(StyledLine("NOT ON DISK: the switch to \(receipt.to.rawValue); \(after)", .red))
    }
    if isSilent { lines.append(StyledLine("\(model.problem ?? "the front door says nothing"); still asking", .red)) }
    return TopSection(rank: Self.headerRank, lines)
  }

  private var identity: StyledLine {
    var badge = StyledLine()
    if let silence = model.silence(now: now) { badge.add("NO ANSWER for \(Units.duration(seconds: silence))", .red) }
    if controls.isPaused {
      if badge.width > 0 { badge.add("  ") }
      badge.add("VIEW PAUSED", .yellow)
    }
    let age = Timestamp.seconds(status.startedAt).map { "up \(Units.duration(seconds: now - $0))" }
    let parts = [
      StyledLine("bgproxy \(status.version)", .bold), StyledLine("pid \(status.pid)"), age.map { StyledLine($0) },
      StyledLine("generation \(status.generation)"),
      StyledLine("since \(Timestamp.readable(status.startedAt)) UTC", .dim),
    ].compactMap(\.self)
    var line = Self.fitting(parts, between: "  ", width - (badge.width > 0 ? badge.width + 2 : 0))
    if badge.width > 0 {
      line.pad(to: width - badge.width)
      line.add(badge)
    }
    return line
  }

  private var state: StyledLine {
    let color = status.active
    var live = StyledLine(color.rawValue.uppercased(), Paint(color))
    live.add(" is live", .bold)
    if let since = status.switchedAt.flatMap(Timestamp.seconds) {
      live.add(" for \(Units.duration(seconds: now - since))")
    }
    var parts = [live, StyledLine(status.phase.rawValue, status.phase == .steady ? .plain : .yellow)]
    let sick = status.listeners.flatMap { $0.targets.blue + $0.targets.green }.count { $0.healthy == false }
    if sick > 0 { parts.append(StyledLine("\(sick) \(sick == 1 ? "target" : "targets") unhealthy", .red)) }
    var back = StyledLine()
    if let previous = status.previous {
      back.add("a rollback leads to ")
      back.add(previous.rawValue, Paint(previous))
    } else {
      back.add("nothing to roll back")
    }
    parts.append(back)
    if max(status.held, status.parked) > 0 {
      parts.append(StyledLine("\(status.held) held, \(status.parked) without a backend"))
    }
    return Self.fitting(parts, between: " · ", width)
  }

  /// The first ones that fit; the very first in any case.
  private static func fitting(_ parts: [StyledLine], between gap: String, _ width: Int) -> StyledLine {
    var line = parts.first ?? StyledLine()
    for part in parts.dropFirst() where line.width + gap.count + part.width <= width {
      line.add(gap)
      line.add(part)
    }
    return line
  }

  // MARK: Colors

  var colors: TopSection {
    let states = ByColor(blue: state(of: .blue), green: state(of: .green))
    let stateWidth = max(states.blue.width, states.green.width)
    let counts = ByColor(blue: count(of: .blue), green: count(of: .green))
    // So that the bars keep their length while the numbers change.
    let usualCountWidth = width < 60 ? 4 : "100 %, 999 sessions".count
    let countWidth = max(usualCountWidth, counts.blue.count, counts.green.count)
    let barWidth = min(60, width - 7 - stateWidth - 2 - 1 - countWidth)
    return TopSection(
      rank: 1,
      Color.allCases.map { color in
        var line = name(of: color)
        line.add(states[color])
        line.pad(to: 7 + stateWidth)
        if barWidth >= 4 {
          line.add("  ")
          line.add(bar(model.share(of: color) ?? 0, barWidth, Paint(color)))
        }
        line.add(" ")
        line.add(counts[color], columns: countWidth, isNumber: true)
        return line
      })
  }

  func name(of color: Color) -> StyledLine {
    var line = StyledLine()
    line.add(color.rawValue, Paint(color), columns: 7)
    return line
  }

  private func state(of color: Color) -> StyledLine {
    let isLive = color == status.active
    var line = isLive ? StyledLine("LIVE", .bold) : StyledLine()
    if status.phase == .stopping {
      // Whatever is open drains, whichever color it has.
      if status.colors[color].draining > 0 {
        if isLive { line.add(", ") }
        line.add("draining", .yellow)
      } else if !isLive {
        line.add("idle", .dim)
      }
    } else if !isLive {
      switch (status.isRamping, status.drain) {
      case (true, _): line.add("on trial, \(status.share[color]) %", .yellow)
      case (_, .some): line.add("draining", .yellow)
      // A release that is watched drains nothing, so that its clients could go back.
      case _ where status.isBaking: line.add(width < 60 ? "kept" : "kept for the way back", .dim)
      default: line.add("idle", .dim)
      }
    } else if status.isBaking {
      line.add(", ")
      line.add("on trial", .yellow)
    }
    if status.colors[color].healthy == false {
      line.add(", ")
      line.add("UNHEALTHY", .red)
    }
    return line
  }

  private func count(of color: Color) -> String {
    // The two make 100 together.
    let blue = model.share(of: .blue).map { Int(min(1, max(0, $0)) * 100 + 0.5) }
    let share = blue.map { color == .blue ? "\($0) %" : "\(100 - $0) %" } ?? "0 %"
    let sessions = Units.sessions(status.colors[color].sessions)
    return width < 60 ? "\(status.colors[color].sessions)" : "\(share), \(sessions)"
  }

  /// Not empty where there is something, and full only where there is nothing else.
  private func bar(_ share: Double, _ width: Int, _ paint: Paint) -> StyledLine {
    let exact = min(1, max(0, share)) * Double(width)
    var full = Int(exact.rounded())
    if exact > 0 { full = max(1, full) }
    if share < 1 { full = min(width - 1, full) }
    var line = StyledLine(String(repeating: "━", count: full), paint)
    line.add(String(repeating: "─", count: width - full), .dim)
    return line
  }

  // MARK: Rates

  var rates: TopSection { TopSection(rank: 3, TopRates(model: model, width: width).lines) }

  // MARK: What is under way

  var news: TopSection? {
    var lines: [StyledLine] = []
    if let hold = HoldText(status: status, paint: plain, now: now) {
      lines.append(StyledLine("\(hold.heading): \(hold.line)", .yellow))
    }
    if let drain = status.drain { lines.append(line(drain)) }
    return lines.isEmpty ? nil : TopSection(rank: 2, lines)
  }

  private func line(_ drain: DrainReport) -> StyledLine {
    let left = Timestamp.left(until: drain.deadline, now: now).map { "\($0) until the deadline" } ?? "at the deadline"
    let text = "\(drain.remaining) of \(Units.sessions(drain.initial)) left, \(left)"
    let short = "\(drain.remaining) of \(drain.initial) left, "
    let gone = drain.initial > 0 ? 1 - Double(drain.remaining) / Double(drain.initial) : 1
    var line = StyledLine("drain", .yellow)
    line.pad(to: 7)
    if width >= 70 {
      let paint = status.drainingColor.map { Paint($0) } ?? .plain
      line.add(bar(gone, min(60, max(8, width - 55)), paint))
      line.add(" \(text)")
    } else {
      line.add(short + (Timestamp.left(until: drain.deadline, now: now) ?? "at the deadline"))
    }
    return line
  }

  /// A ramp or a bake, with all that is watched.
  var trial: TopSection? {
    guard let trial = TrialText(status: status, now: now) else { return nil }
    let signals = trial.signals.map { signal in
      let isBad = signal.value > signal.limit
      return StyledLine(Self.valueOfLimit(signal), isBad ? .red : .plain)
    }
    return TopSection(
      rank: 2, [StyledLine(trial.line(plain), .yellow)] + Self.flowing(signals, width).map { $0.indented }, least: 1)
  }

  /// `serverErrors 1.2 % of 340 (limit 5 %)`.
  private static func valueOfLimit(_ signal: SignalReport) -> String {
    if signal.signal == Signal.health.rawValue {
      return signal.value > 0 ? "health: \(Units.count(signal.value)) without a healthy target" : "health: all well"
    }
    let limit = Units.percent(signal.limit)
    return "\(signal.signal) \(Units.percent(signal.value)) of \(signal.samples) (limit \(limit))"
  }

  /// As many on a line as fit.
  private static func flowing(_ parts: [StyledLine], _ width: Int) -> [StyledLine] {
    var lines: [StyledLine] = []
    for part in parts {
      if let last = lines.last, last.width + 3 + part.width + 7 <= width {
        lines[lines.count - 1].add("   ")
        lines[lines.count - 1].add(part)
      } else {
        lines.append(part)
      }
    }
    return lines
  }

  var lastSwitch: TopSection? {
    guard let receipt = status.lastSwitch else { return nil }
    let text = ReceiptText(receipt: receipt, paint: plain)
    var line = StyledLine("last switch", .bold)
    let kind = receipt.kind == .rollback ? " (rollback)" : ""
    line.add("  \(text.direction)\(kind) at \(Timestamp.readable(receipt.at)) UTC")
    if let cause = receipt.cause {
      line.add(", taken back: ")
      line.add(SignalText.cause(cause), .red)
    } else {
      line.add(receipt.automatic ? " by itself" : " by uid \(receipt.by.uid)")
      if let reason = receipt.reason, !reason.isEmpty { line.add(": \(reason)") }
    }
    return TopSection(rank: 6, [line])
  }

  // MARK: Keys

  /// - Parameter targets: which ones are shown; nil: all.
  func keys(targets: String?) -> StyledLine {
    let keys: [(key: String, text: String)?] = [
      ("q", "quit"), ("?", controls.showsHelp ? "back" : "help"), ("p", controls.isPaused ? "go on" : "pause"),
      ("s", width < 60 ? "sort" : "sort: \(controls.sort.rawValue)"), ("r", "reverse"),
      targets.map { ("↑↓", "targets \($0)") },
    ]
    return Self.fitting(
      keys.compactMap(\.self).map { key, text in
        var line = StyledLine(key, .bold)
        line.add(" \(text)")
        return line
      }, between: "  ", width)
  }
}

extension StyledLine {
  fileprivate var indented: StyledLine {
    var line = StyledLine("       ")
    line.add(self)
    return line
  }
}

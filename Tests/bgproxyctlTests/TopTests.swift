import Admin
import Arguments
import LinuxIO
import Switching
import Testing

@testable import bgproxyctl

@Suite struct TopTests {
  // MARK: Numbers

  @Test func ratesAreOfTheLastTwoAnswers() {
    var model = TopModel(status().with([sample(0, green: figures(requests: 100))]), at: now)
    #expect(model.rates.green.requests == 50)
    let next = status().changed {
      $0.colors.green.requests += 30
      $0.colors.green.bytesOut += 4096
    }
    model.take(next, at: now + 2)
    #expect(model.rates.green.requests == 15)
    #expect(model.rates.green.bytesOut == 2048)
    #expect(model.rates.blue.requests == 0)
  }

  @Test func countersThatBeginAnewAreNoRate() {
    var model = TopModel(status(), at: now)
    let restarted = status(pid: 43).changed { $0.colors.green.requests = 100_000 }
    model.take(restarted.with([sample(2, green: figures(requests: 4))]), at: now + 1)
    #expect(model.rates.green.requests == 2)
    model.take(status(pid: 43).changed { $0.colors.green.requests = 5 }, at: now + 2)
    #expect(model.rates.green.requests == 0)
  }

  @Test func samplesAreJoinedWithoutAGapAndWithoutDoubles() {
    var model = TopModel(status().with([sample(0), sample(2), sample(4)]), at: now)
    model.take(status().with([sample(2), sample(4), sample(6), sample(8)]), at: now + 1)
    #expect(model.samples.map(\.at) == [0, 2, 4, 6, 8].map { sample($0).at })
    model.take(status().with([sample(8)]), at: now + 2)
    #expect(model.samples.count == 5)
    model.take(status(pid: 43).with([sample(10)]), at: now + 3)
    #expect(model.samples.map(\.at) == [sample(10).at])
    model.take(status(pid: 44).with([]), at: now + 4)
    #expect(model.samples.isEmpty)
  }

  @Test func failuresAreThoseOfTheLastMinute() {
    let samples = (0..<60).map { sample($0, green: figures(errors: 1)) }
    let model = TopModel(status().with(samples), at: now)
    #expect(model.failures(of: .green) == TopModel.Failures(connects: 0, resets: 0, serverErrors: 30))
  }

  @Test func silenceIsNoticedWithAndWithoutAReason() {
    var model = TopModel(status(), at: now)
    #expect(model.silence(now: now + 2) == nil)
    #expect(model.silence(now: now + 3) == 3)
    model.fail("refused")
    #expect(model.silence(now: now + 1) == 1)
    model.take(status(), at: now + 2)
    #expect(model.silence(now: now + 2) == nil)
    #expect(model.problem == nil)
  }

  @Test func theHistoryHasAValueForEachStretchOfTime() {
    let model = TopModel(
      status().with([
        sample(0, green: figures(requests: 2)), sample(2, green: figures(requests: 4)),
        sample(8, green: figures(requests: 8)),
      ]), at: now)
    #expect(model.history(of: .green, cells: 4, seconds: 4) == [nil, 1.5, nil, 4])
    #expect(model.history(of: .blue, cells: 1, seconds: 4) == [0])
    #expect(model.history(of: .blue, cells: 0, seconds: 4).isEmpty)
  }

  @Test func sparklines() {
    #expect(Sparkline.text([nil, 0, 0.1, 4, 8], peak: 8) == " ·▁▅█")
    #expect(Sparkline.text([0, 0], peak: 0) == "··")
  }

  @Test(
    arguments: [
      (0, "0"), (0.01, "<0.1"), (0.44, "0.4"), (9.94, "9.9"), (9.96, "10"), (1234.4, "1234"), (12_340, "12.3k"),
      (999_949, "999.9k"), (1_200_000, "1.2M"), (-1, "0"), (.nan, "0"), (.infinity, "1000000000M"),
    ] as [(Double, String)])
  func numbersOfRates(_ value: Double, _ text: String) { #expect(TopRates.number(value) == text) }

  // MARK: Text

  @Test(arguments: [
    ("abc", 3), ("日本", 4), ("ｗ", 2), ("é", 1), ("e\u{301}", 1), ("→━▁…", 4), ("🚀", 2), ("👍🏽", 4), ("한", 2),
  ])
  func widths(_ text: String, _ width: Int) { #expect(Cells.width(text) == width) }

  @Test func whatChangesItsNeighborsIsLeftOut() {
    #expect(Cells.harmless("👩\u{200D}💻❤\u{FE0F}a\u{AD}b") == "👩💻❤ab")
    #expect(Cells.harmless("\u{1B}[2J") == "\\u001b[2J")
  }

  @Test func aLineThatIsCutSaysSo() {
    var line = StyledLine("日本", .bold)
    line.add("語 is Japanese")
    #expect(line.clipped(to: 40) == line)
    #expect(line.clipped(to: 6).text(plain) == "日本…")
    #expect(line.clipped(to: 7).text(plain) == "日本語…")
    #expect(line.clipped(to: 1).text(plain) == "…")
    #expect(line.clipped(to: 0).width == 0)
    #expect(line.clipped(to: 4).text(painted) == "\u{1B}[1m日\u{1B}[0m…")
  }

  // MARK: Painting

  @Test func onlyLinesThatHaveChangedAreDrawn() {
    var painter = TopPainter(palette: plain)
    let size = Terminal.Size(columns: 4, rows: 2)
    func frame(_ lines: String...) -> TopFrame { TopFrame(lines: lines.map { StyledLine($0) }, mostScroll: 0) }
    #expect(
      painter.text(frame("ab", "full"), size)
        == "\u{1B}[?2026h\u{1B}[1;1Hab\u{1B}[K\u{1B}[2;1Hfull\u{1B}[?2026l")
    #expect(painter.text(frame("ab", "full"), size) == nil)
    #expect(painter.text(frame("ab", "x"), size) == "\u{1B}[?2026h\u{1B}[2;1Hx\u{1B}[K\u{1B}[?2026l")
    let resized = painter.text(frame("ab", "x"), Terminal.Size(columns: 5, rows: 2))
    #expect(resized == "\u{1B}[?2026h\u{1B}[1;1Hab\u{1B}[K\u{1B}[2;1Hx\u{1B}[K\u{1B}[?2026l")
    painter.forget()
    #expect(painter.text(frame("ab", "x"), Terminal.Size(columns: 5, rows: 2)) == resized)
  }

  // MARK: Keys

  @Test func keysAreReadFromTheirBytes() {
    func keys(_ text: String) -> [TopKey] {
      var reader = TopKeyReader()
      return reader.keys(Array(text.utf8))
    }
    #expect(keys("qQ") == [.quit, .quit])
    #expect(keys("p sr?\u{0C}x\n") == [.pause, .pause, .sort, .reverse, .help, .redraw])
    #expect(
      keys("\u{1B}[A\u{1B}OB\u{1B}[5~\u{1B}[6~\u{1B}[H\u{1B}[4~") == [
        .scroll(-1), .scroll(1), .scroll(-5), .scroll(5), .top, .bottom,
      ])
    // Escape alone, and sequences that mean nothing, swallow nothing.
    #expect(keys("\u{1B}q") == [.quit])
    #expect(keys("\u{1B}\u{1B}[A") == [.scroll(-1)])
    #expect(keys("\u{1B}[1;5Cq") == [.quit])
    #expect(keys("\u{1B}[\u{1}q") == [.quit])
    #expect(keys("\u{1B}[" + String(repeating: "1", count: 100) + "q").count <= 1)
  }

  @Test func aSequenceMayComeInPieces() {
    var reader = TopKeyReader()
    #expect(reader.keys([0x1B]).isEmpty)
    #expect(reader.keys(Array("[".utf8)).isEmpty)
    #expect(reader.keys(Array("5".utf8)).isEmpty)
    #expect(reader.keys(Array("~s".utf8)) == [.scroll(-5), .sort])
  }

  // MARK: Refusals

  @Test func withoutATerminalItIsRefusedAndSaysWhatElseThereIs() throws {
    func problem(_ arguments: String..., isTerminal: Bool = true, name: String? = "xterm") throws -> String? {
      problemWithTop(try Command.program.parse(["top"] + arguments), isTerminal: isTerminal, terminalName: name)
    }
    #expect(try problem() == nil)
    #expect(try problem("--no-color") == nil)
    for text in [
      try problem(isTerminal: false), try problem(name: "dumb"), try problem(name: nil), try problem("--json"),
      try problem("--quiet"),
    ] {
      #expect(text?.contains("watch") == true)
      #expect(text?.contains("status") == true)
    }
  }
}

import Admin
import Switching
import Testing

@testable import bgproxyctl

@Suite struct ProgressTests {
  private let drain = DrainText(drain: drainUnderWay, color: .blue, now: now)

  @Test func theBarIsDrawnInPlaceAndTakenAway() throws {
    let stage = Stage()
    var display = ProgressDisplay(try stage.context("status", style: .bar))
    display.show(drain)
    display.show(drain)
    display.clear()
    display.clear()
    let bar = "draining blue ━━━━━━━━━━━━━━━━━━━━━━── 3 of 40 sessions left, 13s until the deadline"
    let line = "\(bar)\u{1B}[?7h\n"
    let up = "\u{1B}[A\r\u{1B}[2K"
    #expect(stage.progress == "\u{1B}[?7l\(line)\u{1B}[?7l\(up)\(line)\(up)")
  }

  @Test func quietMeansNoProgress() throws {
    let stage = Stage()
    var display = ProgressDisplay(try stage.context("status", style: .none))
    display.show(drain)
    display.clear()
    #expect(stage.progress.isEmpty)
  }

  @Test(arguments: [
    (0, 40, "━━━━━━━━━━━━━━━━━━━━━━━━"), (40, 40, "────────────────────────"), (1, 1000, "━━━━━━━━━━━━━━━━━━━━━━━─"),
    (41, 40, "────────────────────────"), (0, 0, "━━━━━━━━━━━━━━━━━━━━━━━━"), (-1, 40, "━━━━━━━━━━━━━━━━━━━━━━━━"),
  ])
  func theBarIsFullOnlyWhenNothingIsLeft(_ remaining: Int, _ initial: Int, _ gauge: String) {
    let drain = DrainReport(deadline: "", remaining: remaining, initial: initial)
    let text = DrainText(drain: drain, color: .green, now: now).bar(plain)
    #expect(text == "draining green \(gauge) \(remaining) of \(Units.sessions(initial)) left")
  }

  @Test func aFrontDoorThatStopsDrainsBothColors() {
    let text = DrainText(drain: drainUnderWay, color: status(drain: drainUnderWay).drainingColor, now: now)
    #expect(text.line(plain).hasPrefix("draining blue: "))
    let stopping = status(drain: drainUnderWay).changed { $0.phase = .stopping }
    let both = DrainText(drain: drainUnderWay, color: stopping.drainingColor, now: now)
    #expect(both.line(plain) == "draining both colors: 3 of 40 sessions left, 13s until the deadline")
    #expect(both.bar(plain).hasPrefix("draining both colors ━━━━━━━━━━━━━━━━━━━━━━── 3 of "))
    let whole = StatusText(status: stopping, paint: plain, now: now).text()
    #expect(whole.contains("\nphase    stopping, draining both colors: 3 of 40 sessions left, "))
  }

  @Test func theTimeLeftIsNeverNegative() {
    let line = DrainText(drain: drainUnderWay, color: .blue, now: now + 60).line(plain)
    #expect(line == "draining blue: 3 of 40 sessions left, at the deadline")
  }
}

import Admin
import LinuxIO
import Switching
import Testing

@testable import bgproxyctl

@Suite struct TopScreenTests {
  @Test func aLargeWindowShowsEverything() {
    #expect(
      screen(busyStatus, columns: 120, rows: 40).text == """
        bgproxy 0.1.0  pid 42  up 1h 2m  generation 2  since 2026-01-31 09:00:00 UTC
        GREEN is live for 2m 5s · draining · 1 target unhealthy · a rollback leads to blue

        blue   draining  ━━━━━───────────────────────────────────────────────────────     8 %, 3 sessions
        green  LIVE      ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━────   92 %, 37 sessions

                NEW/s   REQ/s      IN/s     OUT/s      p50      p99  FAILED/min
        blue        0       0     1 KiB     2 KiB        -        -  none
        green     1.5      50     1 KiB     2 KiB   6.3 ms  12.5 ms  7 5xx

        drain  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━──── 3 of 40 sessions left, 13s until the deadline

        last switch  blue → green at 2026-01-31 10:00:00 UTC by uid 0: release 42

        REQUESTS/s  last 4 min, peak 50
        blue                                                                                                                 ▇▂·
        green                                                                                                                ·▅█

        LISTENER   COLOR  TARGET              HEALTH▲     SESSIONS  LAST RESULT
        web        green  unix:/run/app.sock  unhealthy          0
        web        blue   10.0.0.2:80         healthy            3

        EVENTS (UTC)
        10:00:00  switch       blue → green
        09:59:58  target-down  green web unix:/run/app.sock: connection refused














        q quit  ? help  p pause  s sort: health  r reverse

        """)
  }

  @Test func theUsualWindow() {
    #expect(
      screen(busyStatus, columns: 80, rows: 24).text == """
        bgproxy 0.1.0  pid 42  up 1h 2m  generation 2  since 2026-01-31 09:00:00 UTC
        GREEN is live for 2m 5s · draining · 1 target unhealthy

        blue   draining  ━━━────────────────────────────────────────     8 %, 3 sessions
        green  LIVE      ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━───   92 %, 37 sessions

                NEW/s   REQ/s      IN/s     OUT/s      p50      p99  FAILED/min
        blue        0       0     1 KiB     2 KiB        -        -  none
        green     1.5      50     1 KiB     2 KiB   6.3 ms  12.5 ms  7 5xx

        drain  ━━━━━━━━━━━━━━━━━━━━━━━── 3 of 40 sessions left, 13s until the deadline

        last switch  blue → green at 2026-01-31 10:00:00 UTC by uid 0: release 42

        REQUESTS/s  last 5 min, peak 50
        blue                                                                          ▅·
        green                                                                         ▃█
        LISTENER   COLOR  TARGET              HEALTH▲     SESSIONS
        web        green  unix:/run/app.sock  unhealthy          0
        web        blue   10.0.0.2:80         healthy            3
        EVENTS (UTC)
        10:00:00  switch       blue → green
        09:59:58  target-down  green web unix:/run/app.sock: connection refused
        q quit  ? help  p pause  s sort: health  r reverse

        """)
  }

  @Test func aSmallWindowShowsWhatMattersMost() {
    #expect(
      screen(busyStatus, columns: 40, rows: 10).text == """
        bgproxy 0.1.0  pid 42  up 1h 2m
        GREEN is live for 2m 5s · draining
        blue   draining  ━─────────────────    3
        green  LIVE      ━━━━━━━━━━━━━━━━━─   37
                NEW/s   REQ/s  FAILED/min
        blue        0       0  none
        green     1.5      50  7 5xx
        drain  3 of 40 left, 13s
        last switch  blue → green at 2026-01-31…
        q quit  ? help  p pause  s sort

        """)
  }

  @Test func aReleaseOnTrialShowsWhatIsWatched() {
    let text = screen(status(.green, bake: bakeUnderWay), columns: 100, rows: 30).text
    #expect(text.contains("green  LIVE, on trial"))
    #expect(text.contains("blue   kept for the way back  "))
    #expect(screen(status(.green, bake: bakeUnderWay), columns: 40, rows: 10).text.contains("blue   kept "))
    #expect(text.contains("baking green: 1m left; worst: serverErrors 1.2 % of 340 (limit 5 %)\n"))
    #expect(text.contains("       health: all well   serverErrors 1.2 % of 340 (limit 5 %)\n"))
    let ramp = screen(ramping(), columns: 100, rows: 30).text
    #expect(ramp.contains("green  on trial, 10 %"))
    #expect(ramp.contains("ramping green: step 1 of 2, 10 % of the clients, 45s left"))
  }

  @Test func aHoldSaysWhatWaitsAndUntilWhen() {
    let held = status().changed {
      $0.phase = .paused
      $0.held = 4
      $0.hold = HoldReport(
        since: "2026-01-31T10:02:00.000Z", until: "2026-01-31T10:02:30.000Z", by: Requester(uid: 0, pid: 1),
        inFlight: 2, handover: nil)
    }
    for (columns, rows) in [(100, 30), (80, 24), (60, 10)] {
      let text = screen(held, columns: columns, rows: rows).text
      #expect(text.contains("paused: 4 sessions held, 2 in flight; traffic res"), "\(columns)x\(rows)")
    }
  }

  @Test func whatTookAReleaseBackIsNamed() {
    let text = screen(status(.blue, generation: 3, last: takenBack()), columns: 100, rows: 30).text
    #expect(text.contains("2026-01-31 10:00:00 UTC, taken back: serverErrors 12.5 % (limit 5 %)\n"))
  }

  @Test func silenceIsToldInTheSmallestWindowToo() {
    var model = TopModel(busyStatus, at: now)
    model.fail("no front door answers at /run/x: Connection refused")
    for size in [Terminal.Size(columns: 120, rows: 40), Terminal.Size(columns: 40, rows: 10)] {
      let frame = TopScreen(model: model, controls: TopControls(), now: now + 7, size: size).frame()
      #expect(frame.lines[0].text(plain).hasSuffix("NO ANSWER for 7s"))
      #expect(frame.lines[2].text(plain).hasPrefix("no front door answers at /run/x"))
    }
  }

  @Test func aSwitchThatIsNotOnDiskIsToldInTheSmallestWindowToo() {
    let lost = busyStatus.changed { $0.lastSwitch?.persisted = false }
    for (columns, rows) in [(120, 40), (80, 24), (40, 10)] {
      let lines = screen(lost, columns: columns, rows: rows).lines.map { $0.text(painted) }
      #expect(lines[2].hasPrefix("\u{1B}[31mNOT ON DISK: the switch to green; after"), "\(columns)x\(rows)")
      #expect(!screen(busyStatus, columns: columns, rows: rows).text.contains("NOT ON DISK"))
    }
  }

  @Test func aPausedViewSaysSo() {
    var controls = TopControls()
    controls.press(.pause, mostScroll: 0)
    let frame = screen(busyStatus, columns: 40, rows: 10, controls: controls)
    #expect(frame.lines[0].text(plain).hasSuffix("  VIEW PAUSED"))
    #expect(frame.text.contains("p go on"))
  }

  @Test func helpExplainsTheKeysAndColumns() {
    var controls = TopControls()
    controls.press(.help, mostScroll: 0)
    let text = screen(busyStatus, columns: 100, rows: 30, controls: controls).text
    #expect(text.contains("\np, space     freeze the view, and go on\n"))
    #expect(text.contains("? back"))
    #expect(text.contains("GREEN is live"))
  }

  /// Whatever the size and the texts: as many lines as rows, none wider than the window, nothing that moves a cursor.
  @Test(arguments: [(120, 40), (80, 24), (40, 10), (39, 9), (20, 5), (8, 3), (1, 1)])
  func hostileTextsStayInTheirPlaces(_ columns: Int, _ rows: Int) {
    let hostile =
      "\u{1B}[2J\u{9B}5;5H\r\n日本語\u{202E}👩‍💻e\u{301}\u{200D}\u{FE0F}\u{AD}" + String(repeating: "漢", count: 200)
    let report = busyStatus.changed {
      $0.version = hostile
      $0.startedAt = hostile
      $0.lastSwitch = receipt(reason: hostile)
      $0.listeners = [
        ListenerReport(
          name: hostile, bind: hostile, protocol: hostile, preview: hostile,
          targets: ByColor(both: [TargetReport(address: hostile, healthy: false, result: hostile, sessions: .max)]))
      ]
    }.with([], [event(hostile, hostile, at: hostile)])
    var model = TopModel(report, at: now)
    for problem in [nil, hostile] {
      if let problem { model.fail(problem) }
      let frame = TopScreen(
        model: model, controls: TopControls(), now: now, size: Terminal.Size(columns: columns, rows: rows)
      ).frame()
      #expect(frame.lines.count == rows)
      for line in frame.lines {
        let text = line.text(plain)
        #expect(line.width <= columns)
        #expect(Cells.width(text) == line.width)
        #expect(text == Cells.harmless(text))
      }
    }
  }

  /// Green is live, and what is open drains: a session of green, none of blue.
  @Test func aFrontDoorThatStopsDrainsWhatIsOpenOfEitherColor() {
    let stopping = busyStatus.changed {
      $0.phase = .stopping
      ($0.colors.blue.sessions, $0.colors.blue.draining) = (0, 0)
      ($0.colors.green.sessions, $0.colors.green.draining) = (1, 1)
    }
    for columns in [60, 120] {
      let lines = screen(stopping, columns: columns, rows: 40).text.split(separator: "\n")
      #expect(lines.count { $0.hasPrefix("green  LIVE, draining  ") } == 1)
      #expect(lines.count { $0.hasPrefix("blue   idle  ") } == 1)
    }
    let both = stopping.changed { ($0.colors.blue.sessions, $0.colors.blue.draining) = (3, 3) }
    #expect(screen(both, columns: 120, rows: 40).text.contains("\nblue   draining  "))
  }

  @Test func aTroubleThatLastsAndARollbackAreNamed() {
    var limit = event("limit", "the session limit is reached")
    (limit.count, limit.since) = (12, "2026-01-31T09:58:00.000Z")
    let last = receipt(from: .green) { $0.kind = .rollback }
    let text = screen(status(last: last).with([], [limit]), columns: 120, rows: 40).text
    #expect(text.contains("\n10:00:00  limit  the session limit is reached (12 times since 09:58:00)\n"))
    #expect(text.contains("\nlast switch  green → blue (rollback) at 2026-01-31 10:00:00 UTC by uid 0\n"))
  }

  @Test func numbersThatAreNoneDoNoHarm() {
    let odd = busyStatus.changed {
      $0.drain = DrainReport(deadline: "", remaining: -5, initial: 0)
      $0.colors.blue.sessions = .max
      $0.colors.green.sessions = .max
      $0.held = .max
      $0.parked = .max
      $0.share = ByColor(both: .min)
    }.with([
      TrafficSample(at: "never", seconds: 0, colors: ByColor(both: figures(requests: .max))),
      TrafficSample(at: "2026-01-31T10:02:00.000Z", seconds: .infinity, colors: ByColor(both: figures(requests: 5))),
    ])
    for (columns, rows) in [(120, 40), (40, 10)] {
      #expect(screen(odd, columns: columns, rows: rows).lines.allSatisfy { $0.width <= columns })
    }
  }

  @Test func roomGoesToWhatMattersMost() {
    func section(_ rank: Int, _ count: Int, least: Int) -> TopSection {
      TopSection(rank: rank, Array(repeating: StyledLine("x"), count: count), least: least)
    }
    let sections = [section(1, 4, least: 2), section(0, 2, least: 2), section(2, 3, least: 3)]
    #expect(TopScreen.rooms(sections, 20) == [4, 2, 3])
    #expect(TopScreen.rooms(sections, 8) == [3, 2, 3])
    #expect(TopScreen.rooms(sections, 6) == [4, 2, 0])
    #expect(TopScreen.rooms(sections, 2) == [0, 2, 0])
    #expect(TopScreen.rooms(sections, 0) == [0, 0, 0])
  }
}

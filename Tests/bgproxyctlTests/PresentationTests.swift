import Admin
import Switching
import Testing

@testable import bgproxyctl

@Suite struct PresentationTests {
  @Test func aReceiptSaysWhatWasDoneAndWhatBecameOfTheSessions() {
    let settled = receipt(reason: "v2\u{1B}[2J\nforged", settled: true) {
      ($0.open, $0.ended, $0.spread, $0.cut, $0.connectFailures) = (40, 30, 7, 3, 2)
    }
    #expect(
      ReceiptText(receipt: settled, paint: plain).full(heading: "switched") == """
        switched blue → green (generation 2)
          flip      4 µs, persisted in 900 µs
          reason    v2\\u001b[2J\\nforged
          sessions  40 open: 30 ended, 7 closed in the spread, 3 cut; 2 of the ended never reached a target

        """)
  }

  @Test func aReceiptWithoutSessionsAndNotOnDiskSaysSo() {
    let text = ReceiptText(receipt: receipt { $0.persisted = false }, paint: plain)
    #expect(text.timing == "4 µs, not persisted: the front door goes on trying to write its state")
    #expect(text.outcomes == "none were open")
  }

  @Test func theStatus() {
    let report = status(
      last: receipt(reason: "v2") { ($0.open, $0.ended, $0.remaining) = (40, 37, 3) }, drain: drainUnderWay)
    #expect(
      StatusText(status: report, paint: plain, now: now).text() == """
        bgproxy  0.1.0, pid 42, up 1h 2m
        active   green for 2m 5s, generation 2; a rollback leads to blue
        phase    draining blue: 3 of 40 sessions left, 13s until the deadline
        switch   blue → green by uid 0 pid 99: v2
                 flip 4 µs, persisted in 900 µs
                 40 open: 37 ended, 3 remaining
        bulk     4.7 GiB through pipes, 1 of 32 open

        COLOR  STATE   HEALTH         SHARE  SESSIONS  DRAINING  IDLE  BUSY  OPAQUE  ACCEPTED  REQUESTS  FAILED  RESETS     IN   OUT
        blue   idle    not known yet     0%         3         0     1     1       0       120       950       0       1  2 KiB  10 B
        green  active  not known yet   100%         3         0     1     1       0       120       950       0       1  2 KiB  10 B

        LISTENER  BIND        PROTOCOL  PREVIEW
        web       0.0.0.0:80  tcp       none

        LISTENER  COLOR  TARGET              HEALTH     SESSIONS
        web       blue   10.0.0.2:80         healthy           3
        web       green  unix:/run/app.sock  unhealthy         0

        """)
  }

  @Test func theHistoryAndTheSessions() {
    let receipts = [
      receipt(reason: "v2"),
      receipt(3, from: .green) { ($0.automatic, $0.persisted, $0.cut, $0.open) = (true, false, 1, 1) }, receipt(4),
      receipt(5, from: .green, reason: "too slow") { $0.kind = .rollback },
    ]
    #expect(
      HistoryText.text(receipts, plain) == """
        GENERATION  WHEN (UTC)           FROM   TO     BY            FLIP  OPEN  ENDED  MOVED  RETURNED  SPREAD  CUT  LEFT  NOTES
                 2  2026-01-31 10:00:00  blue   green  uid 0 pid 99  4 µs     0      0      0         0       0    0     0  v2
                 3  2026-01-31 10:00:00  green  blue   bgproxy       4 µs     1      0      0         0       0    1     0  automatic, not persisted
                 4  2026-01-31 10:00:00  blue   green  uid 0 pid 99  4 µs     0      0      0         0       0    0     0
                 5  2026-01-31 10:00:00  green  blue   uid 0 pid 99  4 µs     0      0      0         0       0    0     0  rollback, too slow

        """)
    #expect(HistoryText.text([], plain) == "no switch yet\n")
    let session = SessionReport(
      listener: "web", preview: true, color: .blue, generation: 1, draining: true, client: "127.0.0.1:5000",
      target: "10.0.0.2:80", state: "open", opaque: nil, ageSeconds: 125.5, idleSeconds: 0.2, bytesIn: 100,
      bytesOut: 20_480)
    #expect(
      SessionsText.text([session], plain) == """
        LISTENER       COLOR  STATE           CLIENT          TARGET         AGE  IDLE     IN     OUT
        web (preview)  blue   open, draining  127.0.0.1:5000  10.0.0.2:80  2m 5s    0s  100 B  20 KiB

        """)
    #expect(SessionsText.text([], plain) == "no sessions\n")
  }

  @Test func newsIsOneLineAnEventAndCannotBeForged() {
    let event = EventReport(at: "2026-01-31T10:00:00.000Z", event: "drain", message: "a\nb\u{9B}31m")
    #expect(NewsText.event(event, plain) == "2026-01-31T10:00:00.000Z drain a\\nb\\u009b31m\n")
    let report = ReloadReport(added: ["api"], removed: [], changed: ["web", "tls"], needsRestart: ["workers"])
    #expect(
      NewsText.reload(report, plain)
        == "reloaded\n  added: api\n  changed: web, tls\n  needs a restart: workers\n")
    let none = ReloadReport(added: [], removed: [], changed: [], needsRestart: [])
    #expect(NewsText.reload(none, plain) == "reloaded: nothing has changed\n")
  }

  @Test func paintDoesNotDisturbTheColumns() {
    var table = TextTable([.text("A"), .number("N"), .text("B")])
    table.add([.init(Color.blue), .init(7, .red), "x"])
    #expect(table.text(plain) == "A     N  B\nblue  7  x\n")
    #expect(
      table.text(painted)
        == "\u{1B}[1mA\u{1B}[0m     \u{1B}[1mN\u{1B}[0m  \u{1B}[1mB\u{1B}[0m\n"
        + "\u{1B}[94mblue\u{1B}[0m  \u{1B}[31m7\u{1B}[0m  x\n")
  }

  @Test func paintIsForTerminalsThatWantIt() {
    func isWanted(_ onTerminal: Bool, _ option: Bool, _ variable: String?, _ name: String?) -> Bool {
      Palette.isWanted(onTerminal: onTerminal, noColorOption: option, noColor: variable, terminalName: name)
    }
    #expect(isWanted(true, false, nil, "xterm"))
    #expect(!isWanted(false, false, nil, "xterm"))
    #expect(!isWanted(true, true, nil, "xterm"))
    #expect(!isWanted(true, false, "1", "xterm"))
    #expect(!isWanted(true, false, nil, "dumb"))
  }
}

import Switching
import Telemetry
import Testing

@testable import FrontDoor
@testable import Relay

/// What the front door gives up, the workers clear before it is somebody else's.
@Suite struct RowReuseTests {
  private func routes(_ listeners: [ListenerID], fresh: [ListenerID] = [], edition: UInt64) -> Routes {
    var routes = Routes(targets: [:])
    for listener in listeners { routes.targets[listener] = ByColor(both: []) }
    routes.freshListeners = fresh
    routes.edition = edition
    return routes
  }

  private func measures(_ ledger: borrowing Ledger) -> Measures {
    ledger.measures(
      census: [], firstByte: ByColor(both: LatencyHistogram()), ofSessions: ByColor(both: LatencyHistogram()))
  }

  private func serve(_ listener: ListenerID, by ledger: inout Ledger) {
    for account in Account.allCases { ledger.count(listener, account) { $0.requests += 1 } }
    for color in Color.allCases {
      ledger.connected(listener, color, microseconds: 1000)
      ledger.firstByteCame(listener, color, microseconds: 1000)
    }
  }

  private func served(_ listener: ListenerID, _ measures: Measures) -> [UInt64] {
    Account.allCases.map { measures.counters(of: listener, $0).requests }
      + Color.allCases.flatMap { color in
        let times = measures.times(of: listener, color)
        return [times.connect.total, times.firstByte.total]
      }
  }

  @Test func aListener_beginsAtZero_inTheRowOfOneThatIsGone() {
    var book = ListenerBook()
    var ledger = Ledger()
    let (stays, goes) = (book.add(), book.add())
    ledger.prepare(for: routes([stays, goes], fresh: [stays, goes], edition: 1))
    for listener in [stays, goes] { serve(listener, by: &ledger) }
    ledger.prepare(for: routes([stays, goes], edition: 2))
    #expect(served(goes, measures(ledger)) == Array(repeating: 1, count: 8))
    book.giveUp(goes)
    let comes = book.add()
    ledger.prepare(for: routes([stays, comes], fresh: [comes], edition: 3))
    #expect(served(comes, measures(ledger)) == Array(repeating: 0, count: 8))
    #expect(served(stays, measures(ledger)) == Array(repeating: 1, count: 8))
  }

  @Test func measures_areAsOldAsThoseOfTheWorkerThatHasHeardOfTheLatestRoutesLast() {
    var book = ListenerBook()
    var early = Ledger()
    var late = Ledger()
    let listener = book.add()
    early.prepare(for: routes([listener], fresh: [listener], edition: 2))
    late.prepare(for: routes([listener], fresh: [listener], edition: 1))
    #expect((measures(early) + measures(late)).edition == 1)
    #expect((early.listenerCounts + late.listenerCounts).edition == 1)
    late.prepare(for: routes([listener], edition: 2))
    #expect((measures(late) + measures(early)).edition == 2)
  }
}

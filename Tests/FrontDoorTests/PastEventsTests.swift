import Admin
import Testing

@testable import FrontDoor

@Suite struct PastEventsTests {
  private var events = PastEvents()

  private mutating func add(_ event: String, _ message: String = "", at second: Int = 0, lasts: Bool = false) {
    events.add(EventReport(at: "at \(second)", event: event, message: message), lasts: lasts)
  }

  @Test mutating func aTroubleThatLasts_isOneEvent_whereItWasLast() {
    add("switch", "blue → green")
    add("limit", "sessions", at: 1, lasts: true)
    add("pause", at: 2)
    for second in 3...500 { add("limit", "sessions", at: second, lasts: true) }
    #expect(events.reports.map(\.event) == ["switch", "pause", "limit"])
    #expect(events.reports.last?.count == 499)
    #expect(events.reports.last?.since == "at 1")
    #expect(events.reports.last?.at == "at 500")
  }

  @Test mutating func troublesOfManyTargets_leaveRoomForWhatWasDone() {
    add("switch", "blue → green")
    for round in 0..<5 {
      for target in 0..<64 { add("target-unreachable", "target \(target)", at: round, lasts: true) }
    }
    #expect(events.reports.count == 26)
    #expect(events.reports.first?.event == "switch")
    #expect(events.reports.last?.message == "target 63")
  }

  @Test mutating func whatIsDoneTwice_isTwoEvents() {
    add("switch", "blue → green")
    add("switch", "blue → green")
    add("limit", "once", lasts: true)
    #expect(events.reports.map(\.event) == ["switch", "switch", "limit"])
    #expect(events.reports.allSatisfy { $0.count == nil && $0.since == nil })
  }

  @Test mutating func theOldestGo_whenThereAreMany() {
    for number in 0..<200 { add("switch", "\(number)") }
    #expect(events.reports.map(\.message) == (150..<200).map { "\($0)" })
  }
}

import Configuration
import LinuxIO
import Relay
import Switching
import Testing

@testable import FrontDoor

private let one = Address.host("127.0.0.1", port: 1)
private let two = Address.host("127.0.0.1", port: 2)

private func listener(blue: [Address], green: [Address]) -> (ListenerID, ListenerSettings) {
  (
    ListenerID(number: 1, row: 0),
    ListenerSettings(name: "web", bind: .wildcard(port: 0), targets: ByColor(blue: blue, green: green))
  )
}

@Suite struct TargetBookTests {
  @Test func routes_keepALine_whenTheTargetStays() throws {
    var book = TargetBook()
    let before = try book.routes(for: [listener(blue: [one, two], green: [one])], resolved: [:])
    let after = try book.routes(for: [listener(blue: [two], green: [one])], resolved: [:])
    let id = ListenerID(number: 1, row: 0)
    #expect(before.targets[id]?.blue[1].slot == after.targets[id]?.blue[0].slot)
    #expect(before.targets[id]?.green[0].slot == after.targets[id]?.green[0].slot)
  }

  @Test func routes_giveColorsTheirOwnLines_whenBothHaveTheSameTarget() throws {
    var book = TargetBook()
    let routes = try book.routes(for: [listener(blue: [one], green: [one])], resolved: [:])
    let targets = try #require(routes.targets[ListenerID(number: 1, row: 0)])
    #expect(targets.blue[0].slot != targets.green[0].slot)
  }

  @Test func routes_reuseALine_whenItsTargetIsGoneAndHasNoSessions() throws {
    var book = TargetBook()
    for port in 1...3000 {
      let address = Address.host("127.0.0.1", port: UInt16(port))
      _ = try book.routes(for: [listener(blue: [address], green: [one])], resolved: [:])
    }
    let routes = try book.routes(for: [listener(blue: [two], green: [one])], resolved: [:])
    #expect(try #require(routes.targets[ListenerID(number: 1, row: 0)]).blue[0].slot < 8)
  }
}

import Admin
import LinuxIO
import Switching
import Testing

@testable import bgproxyctl

@Suite struct TopTargetsTests {
  private let report = status().changed { status in
    func listener(_ name: String, _ blue: [(String, Bool?, Int)], _ green: [(String, Bool?, Int)]) -> ListenerReport {
      func targets(_ list: [(String, Bool?, Int)]) -> [TargetReport] {
        list.map { TargetReport(address: $0.0, healthy: $0.1, sessions: $0.2) }
      }
      return ListenerReport(
        name: name, bind: "x", protocol: "tcp", preview: nil,
        targets: ByColor(blue: targets(blue), green: targets(green)))
    }
    status.listeners = [
      listener("web", [("10.0.0.2:80", true, 7), ("10.0.0.3:80", nil, 7)], [("10.0.0.1:80", false, 0)]),
      listener("mail", [("10.0.0.9:25", true, 9)], []),
    ]
  }

  private func shown(_ keys: [TopKey], rows: Int = 40) -> (head: String, addresses: [String]) {
    var controls = TopControls()
    for key in keys {
      let most = screen(report, columns: 100, rows: rows, controls: controls).mostScroll
      controls.press(key, mostScroll: most)
    }
    let lines = screen(report, columns: 100, rows: rows, controls: controls).text.split(separator: "\n")
    let start = lines.firstIndex { $0.hasPrefix("LISTENER") } ?? 0
    let targets = lines[(start + 1)...].prefix { $0.contains("10.0.0.") }
    let addresses = targets.compactMap { row in row.split(separator: " ").first { $0.hasPrefix("10.") } }
    return (String(lines[start]), addresses.map(String.init))
  }

  @Test func eachColumnSortsAndTheHeadSaysWhich() {
    var keys: [TopKey] = []
    let orders: [(String, [String])] = [
      ("HEALTH▲", ["10.0.0.1:80", "10.0.0.3:80", "10.0.0.2:80", "10.0.0.9:25"]),
      ("SESSIONS▼", ["10.0.0.9:25", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.1:80"]),
      ("LISTENER▲", ["10.0.0.9:25", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.1:80"]),
      ("COLOR▲", ["10.0.0.2:80", "10.0.0.3:80", "10.0.0.9:25", "10.0.0.1:80"]),
      ("TARGET▲", ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.9:25"]),
      ("HEALTH▲", ["10.0.0.1:80", "10.0.0.3:80", "10.0.0.2:80", "10.0.0.9:25"]),
    ]
    for (head, addresses) in orders {
      let found = shown(keys)
      #expect(found.head.contains(head))
      #expect(found.addresses == addresses, "\(head)")
      keys.append(.sort)
    }
  }

  @Test func theOrderIsReversedAndWhatIsEqualStaysInItsOrder() {
    let found = shown([.sort, .reverse])
    #expect(found.head.contains("SESSIONS▲"))
    #expect(found.addresses == ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.9:25"])
  }

  @Test func targetsBeyondTheRoomAreScrolledTo() {
    let few = 13
    #expect(screen(report, columns: 100, rows: 40).mostScroll == 0)
    let most = screen(report, columns: 100, rows: few).mostScroll
    #expect(most > 0)
    let first = shown([], rows: few)
    #expect(first.addresses.first == "10.0.0.1:80")
    #expect(shown([.scroll(1)], rows: few).addresses.first == "10.0.0.3:80")
    #expect(shown([.scroll(100)], rows: few).addresses.last == "10.0.0.9:25")
    #expect(shown([.bottom, .top, .scroll(-1)], rows: few).addresses == first.addresses)
    #expect(screen(report, columns: 100, rows: few).text.contains("↑↓ targets 1–"))
  }

  @Test func anAddressThatIsTooLongKeepsItsEnd() {
    let long = status().changed {
      $0.listeners[0].targets.blue[0].address = "a-very-long-name-of-a-host.example.com:8443"
    }
    #expect(screen(long, columns: 40, rows: 24).text.contains("…ample.com:8443"))
  }
}

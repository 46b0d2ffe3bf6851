import LinuxIO
import Relay
import Switching
import Testing

@testable import FrontDoor

@Suite struct TalliesTests {
  @Test func limits_areCountedByTheirKind() {
    var tallies = Tallies()
    let source = SocketAddress.wildcard(port: 0).ipv4
    for limit in [.sessions, .descriptors(.tooManyOpenFiles), .descriptors(.noBuffers), .ports] as [WorkerNews.Limit] {
      tallies.count(limit)
    }
    for _ in 0..<3 { tallies.count(.source(source, .addressNotAvailable)) }
    #expect(tallies.limits == [.sessions: 1, .descriptors: 2, .ports: 1, .source: 3])
  }
}

import LinuxIO
import Testing

@testable import Admin
@testable import FrontDoor

@Suite struct PublicQueueTests {
  /// For `#expect`, which takes no call that changes a value.
  private final class Queue {
    private var queue = PublicQueue()
    func add(_ reader: ResponseID, for call: AdminCall) -> Bool { queue.add(reader, for: call) }
    func next() -> (call: AdminCall, readers: [ResponseID])? { queue.next() }
  }

  private func reader(_ number: UInt64) -> ResponseID { ResponseID(connection: number, request: 1) }

  @Test func whoeverAsksForTheSameSharesAnAnswer() throws {
    let queue = Queue()
    #expect(queue.add(reader(1), for: .metrics))
    #expect(!queue.add(reader(2), for: .history))
    #expect(!queue.add(reader(3), for: .metrics))
    let first = try #require(queue.next())
    #expect(first.call == .metrics)
    #expect(first.readers == [reader(1), reader(3)])
    // Too late for the answer that is being made.
    #expect(!queue.add(reader(4), for: .metrics))
    #expect(queue.next()?.readers == [reader(2)])
    #expect(queue.next()?.readers == [reader(4)])
  }

  @Test func itIsServedOnce_untilItIsEmpty() {
    let queue = Queue()
    #expect(queue.add(reader(1), for: .metrics))
    #expect(queue.next() != nil)
    #expect(!queue.add(reader(2), for: .metrics))
    #expect(queue.next() != nil)
    #expect(queue.next() == nil)
    #expect(queue.add(reader(3), for: .metrics))
  }

  @Test(
    arguments: [
      (0, 20_000), (1, 20_000), (20_000, 20_000), (20_001, 60_000), (60_000, 60_000), (61_000, 300_000),
      (599_999, 600_000), (600_000, 600_000), (86_400_000, 600_000),
    ] as [(Int64, Int64)])
  func recentTrafficReachesAsFarBackAsWasAskedFor_inSteps(_ asked: Int64, _ given: Int64) {
    let queue = Queue()
    _ = queue.add(reader(1), for: .status(recent: asked))
    #expect(queue.next()?.call == .status(recent: given))
  }

  @Test func howeverManyTimesAreAskedFor_thereAreAFewAnswers() {
    let queue = Queue()
    for number in 0..<10_000 {
      _ = queue.add(reader(UInt64(number)), for: .status(recent: Int64(number) * 137))
      _ = queue.add(reader(UInt64(number)), for: .status(recent: nil))
    }
    var answers = 0
    while queue.next() != nil { answers += 1 }
    #expect(answers == 5)
  }
}

@Suite struct PublicHostTests {
  @Test(arguments: [
    "localhost", "LocalHost", "localhost:9180", "127.0.0.1", "127.0.0.1:9180", "192.0.2.7:80", "[::1]", "[::1]:9180",
    "[2001:db8::1]:1",
  ])
  func addressesAndLocalhostAreTrusted(_ text: String) { #expect(PublicHost.isTrusted(text)) }

  @Test(arguments: [
    "", ":", ":80", "evil.example", "evil.example:9180", "localhost.evil.example", "evil.localhost",
    "127.0.0.1.evil.example",
    "127.0.0.1:80:80", "127.0.0.1:x", "localhost:0", "::1", "[::1", "[evil.example]", "[::1].evil.example",
    "0x7f000001",
    "2130706433", "127.1", "user@localhost", "localhost/", "localhost ", "unix:/tmp/socket", "...", "[]",
  ])
  func namesAndWhatIsNoHostAreNot(_ text: String) { #expect(!PublicHost.isTrusted(text)) }

  @Test(arguments: [
    ("127.0.0.1", true), ("127.8.9.1", true), ("::1", true), ("::ffff:127.0.0.1", true), ("0.0.0.0", false),
    ("::", false),
    ("192.0.2.1", false), ("2001:db8::1", false), ("::ffff:192.0.2.1", false),
  ])
  func loopbackAddressesAreKnown(_ host: String, _ isLoopback: Bool) throws {
    let address = try #require(try SocketAddress.resolve(host: host, port: 9180).first)
    #expect(address.isLoopback == isLoopback)
    #expect(try !SocketAddress(path: "/tmp/127.0.0.1").isLoopback)
  }
}

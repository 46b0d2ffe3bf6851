import Glibc
import LinuxIO
import Testing

@Suite struct SplicePipeTests {
  @Test func bytes_goThroughThePipe_asTheyAre() throws {
    let from = try Connection(.ipv4)
    let to = try Connection(.ipv4)
    let pipe = try SplicePipe.make(capacity: 65_536)
    let sent = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    var unsent = sent[...]
    var received: [UInt8] = []
    while received.count < sent.count {
      if !unsent.isEmpty, case .bytes(let count) = from.client.send(unsent) { unsent = unsent.dropFirst(count) }
      try wait(for: .readable, on: from.server)
      guard case .bytes(var left) = pipe.fill(from: from.server, atMost: 1 << 20) else {
        Issue.record("nothing came, though there is something")
        return
      }
      while left > 0 {
        try wait(for: .writable, on: to.client)
        guard case .bytes(let count) = pipe.drain(into: to.client, atMost: left) else {
          Issue.record("nothing went on, though there is room")
          return
        }
        left -= count
        let expected = received.count + count
        while received.count < expected { received += try receiveNext(to.server).1 }
      }
    }
    #expect(received == sent)
    #expect(pipe.fill(from: from.server, atMost: 10) == .wouldBlock)
  }

  @Test func fill_saysHowTheSourceHasEnded() throws {
    let ended = try Connection(.ipv4)
    var broken = try Connection(.ipv4)
    let pipe = try SplicePipe.make(capacity: 65_536)
    ended.client.shutdownWrite()
    try wait(for: .readable, on: ended.server)
    #expect(pipe.fill(from: ended.server, atMost: 10) == .endOfFile)
    broken.client.resetOnClose()
    broken.client = .none
    try wait(for: .readable, on: broken.server)
    #expect(pipe.fill(from: broken.server, atMost: 10) == .failed(.connectionReset))
  }

  @Test func make_fails_whenTheSizeIsBeyondWhatTheSystemAllows() {
    #expect(throws: (any Error).self) { _ = try SplicePipe.make(capacity: -1) }
  }

  @Test func limits_areReadFromTheSystem() throws {
    let text = try #require(try DurableFile.read("/proc/sys/fs/pipe-user-pages-soft", limit: 32))
    let pages = try #require(Int(String(decoding: text, as: UTF8.self).filter(\.isNumber)))
    #expect(PipeLimits.softBytesOfUser == pages * Int(sysconf(Int32(_SC_PAGESIZE))))
  }
}

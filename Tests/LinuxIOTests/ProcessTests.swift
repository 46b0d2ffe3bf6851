import Glibc
import LinuxIO
import Testing

@Suite struct InstantTests {
  @Test func advanced_stopsAtTheDistantFuture_whenItWouldOverflow() {
    #expect(Instant(nanoseconds: 1).advanced(milliseconds: .max) == .distantFuture)
    #expect(Instant(nanoseconds: .max - 999_999).advanced(milliseconds: 1) == .distantFuture)
    #expect(Instant(nanoseconds: .max - 1_000_001).advanced(milliseconds: 1) == Instant(nanoseconds: .max - 1))
    #expect(Instant.distantFuture.advanced(milliseconds: 1) == .distantFuture)
  }

  @Test func advanced_staysWhereItIs_whenTheStepIsNegative() {
    #expect(Instant(nanoseconds: 5).advanced(milliseconds: -1) == Instant(nanoseconds: 5))
    #expect(Instant(nanoseconds: 5).advanced(milliseconds: .min) == Instant(nanoseconds: 5))
    #expect(Instant(nanoseconds: 5).advanced(milliseconds: 2) == Instant(nanoseconds: 2_000_005))
  }

  @Test func differences_roundDown_andNeverGoBelowZero() {
    let start = Instant(nanoseconds: 1_000)
    let later = Instant(nanoseconds: 3_000_999)
    #expect(later.milliseconds(since: start) == 2)
    #expect(later.microseconds(since: start) == 2_999)
    #expect(start.milliseconds(since: later) == 0)
    #expect(start.microseconds(since: later) == 0)
    #expect(Instant.distantFuture.microseconds(since: Instant(nanoseconds: 0)) == Int64(UInt64.max / 1000))
  }

  @Test func now_neverGoesBack_whenAskedAgain() {
    var last = Instant.now()
    for _ in 0..<1000 {
      let next = Instant.now()
      #expect(next >= last)
      last = next
    }
  }
}

@Suite struct WallTimeTests {
  @Test(arguments: [
    (0, "1970-01-01T00:00:00.000Z"), (1_769_853_600_000_000, "2026-01-31T10:00:00.000Z"),
    (1_769_853_600_001_999, "2026-01-31T10:00:00.001Z"), (1_769_853_600_999_999, "2026-01-31T10:00:00.999Z"),
    (951_782_400_000_000, "2000-02-29T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
    (-1_000_000, "1969-12-31T23:59:59.000Z"), (-1_500_000, "1969-12-31T23:59:58.500Z"),
  ])
  func description_isRFC3339_whateverTheTime(microseconds: Int64, text: String) {
    #expect(WallTime(microseconds: microseconds).description == text)
  }

  @Test(arguments: [Int64.min, .max])
  func description_isBounded_whenTheTimeIsImpossible(microseconds: Int64) {
    #expect(WallTime(microseconds: microseconds).description.hasSuffix("Z"))
  }
}

@Suite struct ProcessTests {
  @Test func descriptorLimit_isStable_onceRaised() throws {
    let limit = try Process.raiseDescriptorLimit()
    #expect(limit > 0)
    #expect(try Process.raiseDescriptorLimit() == limit)
  }

  @Test func processorCount_isPositive_onAnyMachine() { #expect(Process.processorCount >= 1) }

  @Test func environment_isNil_whenTheVariableIsUnset() {
    #expect(Process.environment("BGPROXY_TEST_NO_SUCH_VARIABLE") == nil)
    #expect(Process.environment("PATH") != nil)
  }

  @Test func write_writesEverything_whenThePipeTakesLessAtATime() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/fifo"
    try #require(unsafe mkfifo(path, 0o600) == 0)
    // Open for both directions, opening waits for nobody.
    let fifo = Descriptor(owning: unsafe open(path, O_RDWR))
    let number = fifo.number
    try #require(number >= 0)
    let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    let writer = try LoopThread(name: "writer") { try? Process.write(bytes, to: number) }
    var read: [UInt8] = []
    while read.count < bytes.count {
      try wait(for: .readable, on: fifo)
      var chunk = [UInt8](repeating: 0, count: 10_000)
      let count = unsafe Glibc.read(number, &chunk, chunk.count)
      try #require(count > 0)
      read += chunk.prefix(count)
    }
    writer.join()
    #expect(read == bytes)
  }
}

@Suite struct PeerCredentialsTests {
  @Test func credentials_areThisProcess_whenItConnectedToItself() throws {
    let connection = try Connection(.local)
    let credentials = try PeerCredentials(of: connection.server)
    #expect(credentials.uid == getuid())
    #expect(credentials.gid == getgid())
    #expect(credentials.pid == getpid())
    var mine = [UInt32](repeating: 0, count: 1024)
    let count = unsafe getgroups(Int32(mine.count), &mine)
    #expect(PeerCredentials.groups(of: connection.server).sorted() == mine.prefix(Int(count)).sorted())
  }

  @Test func credentials_fail_whenThereIsNoSocket() {
    #expect(throws: Errno(rawValue: EBADF)) { try PeerCredentials(of: .none) }
    #expect(PeerCredentials.groups(of: .none) == [])
  }

  @Test func groupID_isFound_whenTheNameExists() {
    #expect(groupID(named: "root") == 0)
    #expect(groupID(named: "no such group") == nil)
  }
}

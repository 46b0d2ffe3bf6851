import Glibc
import LinuxIO
import Testing

@Suite struct EpollTests {
  /// The events that are there now, in the order of their tokens.
  private func events(_ epoll: borrowing Epoll, withinMilliseconds limit: Int32 = 0) throws -> [(UInt64, Readiness)] {
    let count = try epoll.wait(milliseconds: limit)
    return (0..<count).map { epoll.event(at: $0) }.sorted { $0.token < $1.token }.map { ($0.token, $0.readiness) }
  }

  @Test func event_comesOnce_whenEdgeTriggered() throws {
    let connection = try Connection(.local)
    let epoll = try Epoll(capacity: 4)
    try epoll.add(connection.server.number, [.readable, .edgeTriggered], token: .max)
    #expect(try events(epoll).isEmpty)
    #expect(connection.client.send([1]) == .bytes(1))
    let first = try events(epoll, withinMilliseconds: 10_000)
    #expect(first.map(\.0) == [.max])
    #expect(first.first?.1 == .readable)
    #expect(try events(epoll).isEmpty, "what was not read is not told again")
    #expect(connection.client.send([2]) == .bytes(1))
    #expect(try events(epoll, withinMilliseconds: 10_000).count == 1, "new bytes are a new edge")
  }

  @Test func event_comesAgain_whenLevelTriggeredAndNotRead() throws {
    let connection = try Connection(.local)
    let epoll = try Epoll(capacity: 4)
    try epoll.add(connection.server.number, .readable, token: 1)
    #expect(connection.client.send([1]) == .bytes(1))
    for _ in 0..<3 { #expect(try events(epoll, withinMilliseconds: 10_000).count == 1) }
    #expect(try receiveNext(connection.server).0 == .bytes(1))
    #expect(try events(epoll).isEmpty)
  }

  @Test func event_comesAgain_whenAnEdgeTriggeredRegistrationIsModified() throws {
    let connection = try Connection(.local)
    let epoll = try Epoll(capacity: 4)
    try epoll.add(connection.server.number, [.readable, .edgeTriggered], token: 1)
    #expect(connection.client.send([1]) == .bytes(1))
    #expect(try events(epoll, withinMilliseconds: 10_000).count == 1)
    try epoll.modify(connection.server.number, [.readable, .edgeTriggered], token: 2)
    #expect(try events(epoll).map(\.0) == [2])
  }

  @Test func wait_isSilent_whenTheDescriptorWasRemovedOrClosed() throws {
    var connection = try Connection(.local)
    let epoll = try Epoll(capacity: 4)
    try epoll.add(connection.server.number, .writable, token: 1)
    try epoll.add(connection.client.number, .writable, token: 2)
    #expect(try events(epoll).map(\.0) == [1, 2])
    try epoll.remove(connection.server.number)
    #expect(try events(epoll).map(\.0) == [2])
    connection.client = .none
    // As the kernel sees it, it is closed when no process has it any more.
    let isSilent = try eventually { try events(epoll).isEmpty }
    #expect(isSilent)
  }

  @Test func wait_answersTheRestLater_whenThereAreMoreThanItsCapacity() throws {
    let wakeUps = try (0..<3).map { _ in try Box(WakeUp()) }
    let epoll = try Epoll(capacity: 2)
    for (index, box) in wakeUps.enumerated() {
      box.wakeUp.signal()
      try epoll.add(box.wakeUp.descriptor.number, [.readable, .edgeTriggered], token: UInt64(index))
    }
    let first = try events(epoll)
    let second = try events(epoll)
    #expect(first.count == 2)
    #expect((first + second).map(\.0).sorted() == [0, 1, 2])
  }

  @Test func add_failsFileExists_whenTheDescriptorIsRegistered() throws {
    let wakeUp = try WakeUp()
    let epoll = try Epoll(capacity: 1)
    try epoll.add(wakeUp.descriptor.number, .readable, token: 1)
    #expect(throws: Errno.fileExists) { try epoll.add(wakeUp.descriptor.number, .readable, token: 2) }
  }

  @Test func modify_isRefused_whenTheRegistrationIsExclusive() throws {
    let wakeUp = try WakeUp()
    let epoll = try Epoll(capacity: 1)
    try epoll.add(wakeUp.descriptor.number, [.readable, .exclusive], token: 1)
    #expect(throws: Errno(rawValue: EINVAL)) { try epoll.modify(wakeUp.descriptor.number, .readable, token: 1) }
  }

  @Test func event_tellsFinFromReset_whenThePeerLeaves() throws {
    var polite = try Connection(.ipv4)
    var rude = try Connection(.ipv4)
    let epoll = try Epoll(capacity: 4)
    try epoll.add(polite.server.number, [.readable, .readHangUp, .edgeTriggered], token: 1)
    polite.client = .none
    let fin = try #require(try events(epoll, withinMilliseconds: 10_000).first?.1)
    #expect(fin == [.readable, .readHangUp])
    try epoll.add(rude.server.number, [.readable, .readHangUp, .edgeTriggered], token: 2)
    rude.client.resetOnClose()
    rude.client = .none
    let reset = try #require(try events(epoll, withinMilliseconds: 10_000).first?.1)
    #expect(reset.isSuperset(of: [.readHangUp, .hangUp, .error]))
  }

  @Test func wakeUp_isOneEvent_whenSignaledOften() throws {
    let wakeUp = try WakeUp()
    let epoll = try Epoll(capacity: 4)
    try epoll.add(wakeUp.descriptor.number, .readable, token: 1)
    wakeUp.drain()
    #expect(try events(epoll).isEmpty)
    for _ in 0..<3 { wakeUp.signal() }
    #expect(try events(epoll).count == 1)
    wakeUp.drain()
    #expect(try events(epoll).isEmpty)
  }

  /// Blocking a signal lasts as long as the thread, so it is a thread of its own, which the signal is sent to.
  @Test func signalReceiver_answersTheNumber_whenASignalArrives() throws {
    let outcome = Outcome()
    let thread = try LoopThread(name: "signals") {
      guard let receiver = try? SignalReceiver(signals: [SIGUSR1, SIGUSR2]), let epoll = try? Epoll(capacity: 1),
        (try? epoll.add(receiver.descriptor.number, .readable, token: 1)) != nil
      else { return }
      outcome.seen.append(receiver.next()?.number)
      pthread_kill(pthread_self(), SIGUSR2)
      outcome.events = try? epoll.wait(milliseconds: 0)
      outcome.seen.append(receiver.next()?.number)
      outcome.seen.append(receiver.next()?.number)
    }
    thread.join()
    #expect(outcome.seen == [nil, SIGUSR2, nil])
    #expect(outcome.events == 1)
  }

  /// Written by one thread and read after it was joined.
  private final class Outcome: @unchecked Sendable {
    var seen: [Int32?] = []
    var events: Int?
  }

  private final class Box {
    let wakeUp: WakeUp
    init(_ wakeUp: consuming WakeUp) { self.wakeUp = wakeUp }
  }
}

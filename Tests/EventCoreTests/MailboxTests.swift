import EventCore
import Glibc
import LinuxIO
import Testing

@Suite struct MailboxTests {
  private struct Letter: Sendable {
    let poster: Int
    let number: Int
  }

  /// Whether the reader would be woken now.
  private func isRinging(_ mailbox: Mailbox<Int>) -> Bool {
    var entry = pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&entry, 1, 0) == 1
  }

  @Test func reader_isWoken_onlyWhileThereIsMail() throws {
    let mailbox = try Mailbox<Int>()
    #expect(!isRinging(mailbox))
    mailbox.post(1)
    mailbox.post(2)
    #expect(isRinging(mailbox))
    #expect(mailbox.takeAll() == [1, 2])
    #expect(!isRinging(mailbox))
    #expect(mailbox.takeAll() == [])
    mailbox.post(3)
    #expect(isRinging(mailbox))
    #expect(mailbox.takeAll() == [3])
  }

  /// The reader looks only when it is woken, so one lost wake-up would make it wait until the deadline.
  @Test func everyMessage_arrivesInItsPostersOrder_whenManyThreadsPost() throws {
    let (posters, each) = (4, 20_000)
    let mailbox = try Mailbox<Letter>()
    let threads = try (0..<posters).map { poster in
      try LoopThread(name: "poster") {
        for number in 0..<each { mailbox.post(Letter(poster: poster, number: number)) }
      }
    }
    var next = [Int](repeating: 0, count: posters)
    while next.reduce(0, +) < posters * each {
      var entry = pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&entry, 1, 10_000) == 1 else {
        Issue.record("no wake-up came; so far \(next)")
        break
      }
      for letter in mailbox.takeAll() {
        if letter.number != next[letter.poster] { Issue.record("\(letter) instead of \(next[letter.poster])") }
        next[letter.poster] = letter.number + 1
      }
    }
    for thread in threads { thread.join() }
    #expect(next == [Int](repeating: each, count: posters))
    #expect(mailbox.takeAll().isEmpty)
  }
}

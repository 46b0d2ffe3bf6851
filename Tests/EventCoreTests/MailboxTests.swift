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
    var mail: [Int] = []
    mailbox.takeAll(into: &mail)
    #expect(mail == [1, 2])
    #expect(!isRinging(mailbox))
    mailbox.takeAll(into: &mail)
    #expect(mail == [])
    mailbox.post(3)
    #expect(isRinging(mailbox))
    mailbox.takeAll(into: &mail)
    #expect(mail == [3])
  }

  /// The array that the reader brings is posted to next: nothing of the batch before may be in it.
  @Test func batch_isReplaced_evenWhereItWasNotEmptied() throws {
    let mailbox = try Mailbox<Int>()
    var mail = [7, 8, 9]
    for number in 0..<10 {
      mailbox.post(number)
      mailbox.takeAll(into: &mail)
      #expect(mail == [number])
    }
    mailbox.takeAll(into: &mail)
    #expect(mail.isEmpty)
  }

  @Test func messages_areLetGoOf_whenTheNextAreTaken() throws {
    final class Parcel: Sendable {}
    let mailbox = try Mailbox<Parcel>()
    var mail: [Parcel] = []
    weak var posted: Parcel?
    do {
      let parcel = Parcel()
      posted = parcel
      mailbox.post(parcel)
    }
    mailbox.takeAll(into: &mail)
    #expect(mail.count == 1 && posted != nil)
    mailbox.takeAll(into: &mail)
    #expect(mail.isEmpty && posted == nil)
  }

  @Test func memoryOfARareLargeBatch_isGivenBack() throws {
    let mailbox = try Mailbox<Int>()
    var mail: [Int] = []
    for number in 0..<100_000 { mailbox.post(number) }
    mailbox.takeAll(into: &mail)
    #expect(mail.count == 100_000)
    // The two arrays take turns: after two batches both have been looked at.
    for _ in 0..<2 {
      mailbox.takeAll(into: &mail)
      #expect(mail.capacity < 10_000)
    }
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
    var mail: [Letter] = []
    while next.reduce(0, +) < posters * each {
      var entry = pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&entry, 1, 20_000) == 1 else {
        Issue.record("no wake-up came; so far \(next)")
        break
      }
      mailbox.takeAll(into: &mail)
      for letter in mail {
        if letter.number != next[letter.poster] { Issue.record("\(letter) instead of \(next[letter.poster])") }
        next[letter.poster] = letter.number + 1
      }
    }
    for thread in threads { thread.join() }
    #expect(next == [Int](repeating: each, count: posters))
    mailbox.takeAll(into: &mail)
    #expect(mail.isEmpty)
  }
}

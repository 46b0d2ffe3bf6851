import Relay
import Testing

@testable import FrontDoor

@Suite struct ListenerBookTests {
  @Test func rows_areUsedAgain_andNumbersNever() {
    var book = ListenerBook()
    let stays = book.add()
    var present = (0..<40).map { _ in book.add() }
    var numbers = Set(present.map(\.number) + [stays.number])
    for _ in 0..<300 {
      // Those that leave keep their rows until the next reload finds them without sessions.
      let next = (0..<40).map { _ in book.add() }
      #expect(Set((present + next + [stays]).map(\.row)).count == 81)
      for id in next { #expect(numbers.insert(id.number).inserted) }
      for id in present { book.giveUp(id) }
      present = next
    }
    #expect(book.rowCount == 81)
  }

  @Test func aRow_staysWithItsListener_untilThatIsGivenUp() {
    var book = ListenerBook()
    let (first, second) = (book.add(), book.add())
    book.giveUp(first)
    let third = book.add()
    #expect(third.row == first.row && third != first)
    #expect(book.add().row != second.row)
  }
}

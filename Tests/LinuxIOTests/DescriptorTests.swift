import Glibc
import LinuxIO
import Testing

@Suite struct DescriptorTests {
  /// A descriptor with a number so high that no other test, running at the same time, is given it.
  private func high(_ distance: Int32) throws -> Int32 {
    let floor = Int32(min(try Process.raiseDescriptorLimit(), 8192)) - distance
    let wakeUp = try WakeUp()
    let number = fcntl(wakeUp.descriptor.number, F_DUPFD, floor)
    try #require(number >= floor)
    return number
  }

  @Test func descriptor_closes_whenItsOwnerLetsGo() throws {
    let number = try high(20)
    do {
      let descriptor = Descriptor(owning: number)
      let saysOpen = descriptor.isOpen
      #expect(saysOpen && isOpen(number))
    }
    #expect(!isOpen(number))
  }

  @Test func descriptor_closesOnce_whenItWasReplacedBefore() throws {
    let number = try high(40)
    let successor = try high(60)
    do {
      var descriptor = Descriptor(owning: number)
      descriptor = .none
      #expect(!isOpen(number))
      // A second close, at the end of this scope, would take the number away from its new user.
      #expect(dup2(successor, number) == number)
      let saysOpen = descriptor.isOpen
      #expect(!saysOpen)
    }
    #expect(isOpen(number))
    close(number)
    close(successor)
  }

  @Test func descriptor_staysOpen_whenReleased() throws {
    let number = try high(80)
    do {
      let descriptor = Descriptor(owning: number)
      let released = descriptor.release()
      #expect(released == number)
    }
    #expect(isOpen(number))
    close(number)
  }
}

import EventCore
import LinuxIO
import Testing

@Suite struct StaleEventTests {
  /// A wake-up in a slab, as a session is: it goes with its slot, and the descriptor is closed.
  private struct Resident: ~Copyable {
    let wakeUp: WakeUp
    let name: Int
  }

  /// A and B are ready in one batch. While A is handled, B is closed and its slot, and even its descriptor's number, go
  /// to C, which nothing has happened to. The event that the kernel reported for B must not reach C.
  @Test func staleEvent_isDropped_whenItsSlotWasReusedInTheSameBatch() throws {
    var slab = Slab<Resident>(capacity: 2)
    let loop = try Epoll(capacity: 8)
    var tokens: [Token] = []
    for name in 0..<2 {
      let resident = Resident(wakeUp: try WakeUp(), name: name)
      resident.wakeUp.signal()
      let number = resident.wakeUp.descriptor.number
      let token = try slab.add(resident)
      try loop.add(number, [.readable, .edgeTriggered], token: token.rawValue)
      tokens.append(token)
    }
    #expect(try loop.wait(milliseconds: 0) == 2)

    let first = Token(rawValue: loop.event(at: 0).token)
    let second = Token(rawValue: loop.event(at: 1).token)
    #expect(Set([first, second]) == Set(tokens))
    #expect(slab.contains(first) == true)
    do { _ = slab.remove(second) }
    let newcomer = try slab.add(Resident(wakeUp: try WakeUp(), name: 2))
    #expect(newcomer.slot == second.slot, "the slot was reused, or this test shows nothing")
    try loop.add(slab[newcomer].wakeUp.descriptor.number, [.readable, .edgeTriggered], token: newcomer.rawValue)

    #expect(slab.contains(second) == false, "the event for the one that is gone is dropped")
    #expect(slab.contains(newcomer) == true)
    #expect(slab[newcomer].name == 2)
    #expect(try loop.wait(milliseconds: 0) == 0, "nothing has happened to the newcomer")
    slab[newcomer].wakeUp.signal()
    #expect(try loop.wait(milliseconds: 0) == 1)
    #expect(loop.event(at: 0).token == newcomer.rawValue)
  }

  @Test func staleToken_isTold_whateverItsLane() throws {
    var slab = Slab<Int>(capacity: 1)
    let old = try slab.add(1)
    #expect(slab.contains(old.lane(1)) == true)
    _ = slab.remove(old)
    let new = try slab.add(2)
    #expect(slab.contains(old) == false)
    #expect(slab.contains(old.lane(1)) == false)
    #expect(slab.contains(new.lane(1)) == true)
    #expect(slab[new.lane(1)] == 2)
  }

  @Test(arguments: [0, 1, 0x7FFF_FFFF], [0, 1, UInt32.max])
  func token_keepsItsParts_whenPacked(slot: Int, generation: UInt32) {
    for lane in 0...1 {
      let token = Token(slot: slot, generation: generation, lane: lane)
      #expect((token.slot, token.generation, token.lane) == (slot, generation, lane))
      #expect(Token(rawValue: token.rawValue) == token)
      #expect(token.lane(1 - lane) == Token(slot: slot, generation: generation, lane: 1 - lane))
      #expect(token.lane(1 - lane) != token)
    }
  }
}

import LinuxIO
import Switching
import Synchronization
import Testing

@Suite struct ActiveWordTests {
  @Test(
    arguments: [0, 1, 2, 1 << 31, 1 << 32, 1 << 50, (1 << 55) - 1] as [UInt64],
    [(Color.blue, false), (.blue, true), (.green, false), (.green, true)])
  func signpost_isReadBack_whateverItsSize(generation: UInt64, rest: (color: Color, holds: Bool)) {
    let signpost = Signpost(Assignment(color: rest.color, generation: generation), holds: rest.holds)
    let word = ActiveWord(Signpost(Assignment(color: rest.color.other, generation: generation ^ 1)))
    #expect(word.load() != signpost)
    word.store(signpost)
    #expect(word.load() == signpost)
    word.store(Signpost(signpost.assignment, holds: !rest.holds))
    #expect(word.load().assignment == signpost.assignment, "a hold changes nothing else")
    #expect(word.load().holds != rest.holds)
  }

  /// Odd generations are green here, so that a color and a generation of two different stores would be noticed. It goes
  /// on until each reader has seen enough stores, whenever it has its turn.
  @Test func readers_seeOnlyWhatWasStored_whileAnotherThreadStores() throws {
    let word = ActiveWord(Signpost(Assignment(color: .blue, generation: 0)))
    let (readers, enough) = (3, 50)
    let satisfied = Atomic(0)
    let faults = Atomic(0)
    let threads = try (0..<readers).map { _ in
      try LoopThread(name: "reader") {
        var last: UInt64 = 0
        var changes = 0
        while satisfied.load(ordering: .relaxed) < readers {
          let signpost = word.load()
          let seen = signpost.assignment
          let isWhole =
            signpost.holds == (seen.generation % 3 == 0 && seen.generation > 0)
            && seen.color == (seen.generation % 2 == 1 ? .green : .blue)
          if !isWhole || seen.generation < last { faults.add(1, ordering: .relaxed) }
          if seen.generation > last { changes += 1 }
          if changes == enough, seen.generation > last { satisfied.add(1, ordering: .relaxed) }
          last = seen.generation
        }
      }
    }
    var generation: UInt64 = 0
    while satisfied.load(ordering: .relaxed) < readers {
      generation += 1
      let assignment = Assignment(color: generation % 2 == 1 ? .green : .blue, generation: generation)
      word.store(Signpost(assignment, holds: generation % 3 == 0))
    }
    for thread in threads { thread.join() }
    #expect(faults.load(ordering: .relaxed) == 0)
    #expect(word.load().assignment.generation == generation)
  }

  @Test func otherColor_isTheOther_andBackAgain() {
    #expect(Color.blue.other == .green && Color.green.other == .blue)
    var both = ByColor(both: 0)
    both[.blue] += 1
    both[.green] += 2
    #expect(both == ByColor(blue: 1, green: 2))
    #expect(both[.blue] == 1 && both[.green] == 2)
  }

  @Test func share_isReadBack_besideTheRest() {
    for share in UInt8(0)...100 {
      let signpost = Signpost(Assignment(color: .green, generation: (1 << 55) - 1), holds: true, share: share)
      #expect(ActiveWord(signpost).load() == signpost)
    }
  }

  @Test func ramp_takesItsShareOfClients_andKeepsThoseItHas() {
    let before = Assignment(color: .blue, generation: 7)
    let clients = (0..<20_000).map { UInt32(truncatingIfNeeded: $0 &* 2_654_435_761) }
    var earlier: Set<UInt32> = []
    for share in [0, 1, 10, 50, 99, 100] as [UInt8] {
      let signpost = Signpost(before, share: share)
      let ramped = Set(clients.filter { signpost.assignment(of: $0).color == .green })
      let percent = Double(ramped.count) * 100 / Double(clients.count)
      #expect(abs(percent - Double(share)) < 1, "\(share) % came to \(percent) %")
      #expect(earlier.isSubset(of: ramped), "a client that had the release lost it when the share grew")
      #expect(ramped.allSatisfy { signpost.assignment(of: $0).generation == 7 })
      earlier = ramped
    }
    let later = Signpost(Assignment(color: .blue, generation: 8), share: 10)
    let first = Signpost(before, share: 10)
    #expect(
      clients.contains { later.assignment(of: $0).color != first.assignment(of: $0).color },
      "in the next ramp the same clients come first")
  }
}

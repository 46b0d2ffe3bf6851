import Switching
import Testing

@Suite struct ActiveWordTests {
  @Test(
    arguments: [0, 1, 2, 1 << 31, 1 << 32, 1 << 60, (1 << 62) - 1] as [UInt64],
    [(Color.blue, false), (.blue, true), (.green, false), (.green, true)])
  func signpost_isReadBack_whateverItsSize(generation: UInt64, rest: (color: Color, holds: Bool)) {
    let signpost = Signpost(Assignment(color: rest.color, generation: generation), holds: rest.holds)
    let word = ActiveWord(Assignment(color: rest.color.other, generation: generation ^ 1))
    #expect(word.load() != signpost)
    word.store(signpost)
    #expect(word.load() == signpost)
    word.store(Signpost(signpost.assignment, holds: !rest.holds))
    #expect(word.load().assignment == signpost.assignment, "a hold changes nothing else")
    #expect(word.load().holds != rest.holds)
  }

  /// Odd generations are green here, so that a color and a generation of two different stores would be noticed.
  @Test func readers_seeOnlyWhatWasStored_whileAnotherThreadStores() async {
    let rounds: UInt64 = 200_000
    let word = ActiveWord(Assignment(color: .blue, generation: 0))
    let faults = await withTaskGroup(of: Int.self) { group in
      for _ in 0..<3 {
        group.addTask {
          var faults = 0
          var last: UInt64 = 0
          for _ in 0..<rounds {
            let signpost = word.load()
            let seen = signpost.assignment
            if signpost.holds != (seen.generation % 3 == 0) && seen.generation > 0 { faults += 1 }
            if seen.color != (seen.generation % 2 == 1 ? .green : .blue) || seen.generation < last { faults += 1 }
            last = seen.generation
          }
          return faults
        }
      }
      group.addTask {
        for generation in 1...rounds {
          let assignment = Assignment(color: generation % 2 == 1 ? .green : .blue, generation: generation)
          word.store(Signpost(assignment, holds: generation % 3 == 0))
        }
        return 0
      }
      return await group.reduce(0, +)
    }
    #expect(faults == 0)
    #expect(word.load().assignment == Assignment(color: .blue, generation: rounds))
  }

  @Test func otherColor_isTheOther_andBackAgain() {
    #expect(Color.blue.other == .green && Color.green.other == .blue)
    var both = ByColor(both: 0)
    both[.blue] += 1
    both[.green] += 2
    #expect(both == ByColor(blue: 1, green: 2))
    #expect(both[.blue] == 1 && both[.green] == 2)
  }
}

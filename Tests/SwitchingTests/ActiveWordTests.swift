import Switching
import Testing

@Suite struct ActiveWordTests {
  @Test(arguments: [0, 1, 2, 1 << 31, 1 << 32, 1 << 60, 1 << 62, (1 << 63) - 1] as [UInt64], Color.allCases)
  func assignment_isReadBack_whateverItsSize(generation: UInt64, color: Color) {
    let assignment = Assignment(color: color, generation: generation)
    #expect(ActiveWord(assignment).load() == assignment)
    let word = ActiveWord(Assignment(color: color.other, generation: generation ^ 1))
    #expect(word.load() != assignment)
    word.store(assignment)
    #expect(word.load() == assignment)
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
            let seen = word.load()
            if seen.color != (seen.generation % 2 == 1 ? .green : .blue) || seen.generation < last { faults += 1 }
            last = seen.generation
          }
          return faults
        }
      }
      group.addTask {
        for generation in 1...rounds {
          word.store(Assignment(color: generation % 2 == 1 ? .green : .blue, generation: generation))
        }
        return 0
      }
      return await group.reduce(0, +)
    }
    #expect(faults == 0)
    #expect(word.load() == Assignment(color: .blue, generation: rounds))
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

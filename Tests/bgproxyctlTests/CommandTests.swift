import Arguments
import Testing

@testable import bgproxyctl

@Suite struct CommandTests {
  @Test(arguments: ["upgrade"])
  func verbsOfLaterVersionsAreRefusedByNameAndNotShown(_ name: String) {
    let error = #expect(throws: UsageError.self) { try Command.program.parse([name]) }
    #expect(error?.message == "\(name) is not built yet")
    #expect(throws: UsageError.self) { try Command.program.parse(["help", name]) }
    #expect(!Command.program.help().contains("  \(name) "))
  }

  @Test func everyVerbExplainsItselfWithAnExampleThatItUnderstands() throws {
    for verb in Command.program.verbs where verb.isBuilt {
      let help = Command.program.help(for: verb)
      #expect(help.hasPrefix("Usage:\n  bgproxyctl \(verb.name)"))
      #expect(!verb.examples.isEmpty)
      for example in verb.examples {
        #expect(help.contains(example))
        #expect(try Command.program.parse(words(example)).verb == verb.name)
      }
      #expect(help.split(separator: "\n").allSatisfy { $0.count <= 110 })
    }
  }

  /// An option's kind must not depend on the verb, since it may come before the verb.
  @Test func anOptionTakesAValueWithEveryVerbOrWithNone() {
    var takesValue: [String: Bool] = [:]
    for option in Command.program.options + Command.program.verbs.flatMap(\.options) {
      let takesOne = option.value != nil
      let before = takesValue.updateValue(takesOne, forKey: option.name)
      #expect(before == nil || before == takesOne, "\(option.name)")
    }
  }

  /// The words of a shell command, up to a pipe, without the program's name.
  private func words(_ line: String) -> [String] {
    var words = [""]
    var isQuoted = false
    for character in line {
      switch character {
      case "'": isQuoted.toggle()
      case "|" where !isQuoted: return words.dropFirst().filter { !$0.isEmpty }
      case " " where !isQuoted: words.append("")
      default: words[words.count - 1].append(character)
      }
    }
    return Array(words.dropFirst())
  }
}

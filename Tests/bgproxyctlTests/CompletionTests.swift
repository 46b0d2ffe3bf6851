import Arguments
import Testing

@testable import bgproxyctl

@Suite struct CompletionTests {
  @Test(arguments: CompletionShell.allCases)
  func everyVerbAndOptionIsInTheScript(_ shell: CompletionShell) throws {
    let script = Completion.script(for: shell)
    #expect(script.contains("printed by `bgproxyctl completion \(shell.rawValue)`"))
    let verbs = Command.program.verbs.filter(\.isBuilt)
    for option in Command.program.options + verbs.flatMap(\.options) where option.isBuilt {
      let name = shell == .fish ? "-l \(option.name.dropFirst(2)) " : option.name
      #expect(script.contains(name), "\(option.name)")
    }
    for verb in verbs { #expect(script.contains(verb.name)) }
    #expect(!script.contains("upgrade"))
  }

  @Test func theShellsAreThoseOfTheTable() throws {
    for shell in CompletionShell.allCases {
      #expect(try Command.program.parse(["completion", shell.rawValue]).positional == shell.rawValue)
    }
    let error = #expect(throws: UsageError.self) { try Command.program.parse(["completion", "tcsh"]) }
    #expect(error?.message.contains("bash, zsh, fish") == true)
  }

  @Test func wordsThatAreOfferedMeanNothingToAShell() {
    let isPlain: (Character) -> Bool = { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
    for verb in Command.program.verbs where verb.isBuilt {
      for value in verb.options.compactMap(\.value) + [verb.positional?.value].compactMap(\.self) {
        if case .choice(let words, later: _) = value { #expect(words.allSatisfy { $0.allSatisfy(isPlain) }) }
      }
    }
  }
}

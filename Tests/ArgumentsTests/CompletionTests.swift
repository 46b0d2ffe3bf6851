import Testing

@testable import Arguments

private enum Mode: String, CaseIterable { case slow, fast }

/// With what could upset a shell, were it not quoted.
private let risky = Program(
  name: "risky-tool", summary: "Does things.", usage: ["VERB"],
  verbs: [
    Verb(
      "run", "it's `one` $(thing): [do] \"it\"", positional: Positional("MODE", .choice(of: Mode.self)),
      options: [
        Option("--file", "a 'file'", takes: .file("FILE")), Option("--all", "a \\ b"),
        .notBuilt("--later", takes: .text("X")),
      ], examples: ["risky-tool run slow"]), .notBuilt("upgrade"),
  ],
  options: [.help], examples: ["risky-tool run slow"])

@Suite struct CompletionTests {
  @Test(arguments: CompletionShell.allCases)
  func whatIsNotBuiltIsNotOffered(_ shell: CompletionShell) {
    let script = risky.completion(for: shell, printedBy: "risky-tool completion")
    for name in ["upgrade", "later"] { #expect(!script.contains(name)) }
    for name in ["run", "file", "all", "help", "slow", "fast"] { #expect(script.contains(name)) }
    #expect(script.contains("printed by `risky-tool completion`"))
  }

  @Test func descriptionsAreWordsOfTheirShell() {
    func script(_ shell: CompletionShell) -> String { risky.completion(for: shell, printedBy: "") }
    #expect(script(.zsh).contains(#"'run:it'\''s `one` $(thing): [do] "it"'"#))
    #expect(script(.zsh).contains(#"'--file=[a '\''file'\'']:FILE:_files'"#))
    #expect(script(.zsh).contains(#"'--all[a \\ b]'"#))
    #expect(script(.fish).contains(#"-a run -d 'it\'s `one` $(thing): [do] "it"'"#))
    #expect(script(.fish).contains(#"-l all -d 'a \\ b'"#))
  }

  @Test func functionsAreNamedAfterTheProgram() {
    #expect(risky.completion(for: .bash, printedBy: "").hasSuffix("\ncomplete -F _risky_tool risky-tool\n"))
    #expect(risky.completion(for: .zsh, printedBy: "").hasPrefix("#compdef risky-tool\n"))
    #expect(risky.completion(for: .fish, printedBy: "").contains("function __risky_tool_lacks"))
  }

  @Test func aChoiceMayBeTheCasesOfAType() {
    guard case .choice(let words, let later) = Value.choice(of: Mode.self) else {
      Issue.record("no choice")
      return
    }
    #expect(words == ["slow", "fast"])
    #expect(later.isEmpty)
  }

  @Test func anEmptyNameOfAFileIsRefused() {
    #expect(throws: UsageError.self) { try risky.parse(["run", "slow", "--file="]) }
    #expect(throws: Never.self) { try risky.parse(["run", "slow", "--file", "a b"]) }
  }
}

import Testing

@testable import Arguments

@Suite struct HelpTests {
  @Test func theHelpOfAProgramListsWhatIsBuilt() {
    #expect(
      sample.help() == """
        Does things.

        Usage:
          tool VERB [OPTION]...

        Verbs:
          switch COLOR  make a color active
          status        show the state

        Options:
          --socket PATH  where
          --help         show this help
          --version      show the version

        Examples:
          tool status
          tool switch green

        """)
  }

  @Test func theHelpOfAVerbListsItsOptionsFirst() throws {
    #expect(
      sample.help(for: try #require(sample.verbs.first)) == """
        Usage:
          tool switch COLOR [OPTION]...

        make a color active

        More of it.

        Options:
          --wait         wait until it is done
          --drain TIME   time to drain
          --reason TEXT  why
          --tag NAME     a tag
          --count N      how many

        Options of every verb:
          --socket PATH  where
          --help         show this help
          --version      show the version

        Example:
          tool switch green

        """)
  }
}

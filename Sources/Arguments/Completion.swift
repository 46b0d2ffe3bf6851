/// A shell that completes command lines.
public enum CompletionShell: String, CaseIterable, Sendable { case bash, zsh, fish }

extension Program {
  /// A script that teaches a shell this table: what is built, what a value can be, what must not be given twice.
  ///
  /// The words of a command line reach it as they were typed, and it evaluates none of them.
  /// - Parameter printedBy: the command that prints it, for its heading.
  public func completion(for shell: CompletionShell, printedBy: String) -> String {
    let heading = "# Completion of \(name) for \(shell.rawValue), printed by `\(printedBy)`."
    return switch shell {
    case .bash: bashCompletion(heading)
    case .zsh: zshCompletion(heading)
    case .fish: fishCompletion(heading)
    }
  }

  var builtVerbs: [Verb] { verbs.filter(\.isBuilt) }
  var builtOptions: [Option] { options.filter(\.isBuilt) }

  /// All options of the program and its verbs, one of each name: a name takes a value with every verb, or with none.
  var everyOption: [Option] {
    var names: Set<String> = []
    return (builtOptions + builtVerbs.flatMap(\.builtOptions)).filter { names.insert($0.name).inserted }
  }

  var namesWithValue: [String] { everyOption.filter { $0.value != nil }.map(\.name) }
  var repeatableNames: [String] { everyOption.filter(\.isRepeatable).map(\.name) }

  /// For names of functions and variables.
  var identifier: String { "_" + String(name.map { $0.isLetter || $0.isNumber ? $0 : "_" }) }
}

extension Verb {
  var builtOptions: [Option] { options.filter(\.isBuilt) }
}

extension Value {
  /// What a shell can offer for it.
  enum Offer: Equatable {
    /// Words of the table: no character in them means something to a shell.
    case words([String])
    case files
    /// Only a person knows.
    case nothing
  }

  var offer: Offer {
    switch self {
    case .choice(let words, later: _): .words(words)
    case .file: .files
    case .text, .remark, .duration, .number: .nothing
    }
  }
}

/// A text as one word of a shell, with nothing in it expanded.
func quotedForShell(_ text: String) -> String {
  "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#) + "'"
}

/// The lines of a part of a script, moved in.
func indented(_ lines: [String], by spaces: Int) -> String {
  lines.map { String(repeating: " ", count: spaces) + $0 }.joined(separator: "\n")
}

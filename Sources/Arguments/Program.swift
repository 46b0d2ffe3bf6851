/// A command line as data: what is accepted, and what help says of it. Parser and help read the same table.
public struct Program: Sendable {
  public let name: String
  /// One sentence.
  public let summary: String
  /// The ways to call it, a line each, without the name.
  public let usage: [String]
  public let verbs: [Verb]
  /// Accepted with every verb.
  public let options: [Option]
  /// Further lines of the help.
  public let notes: [String]
  /// Whole command lines.
  public let examples: [String]

  public init(
    name: String, summary: String, usage: [String], verbs: [Verb] = [], options: [Option], notes: [String] = [],
    examples: [String]
  ) {
    self.name = name
    self.summary = summary
    self.usage = usage
    self.verbs = verbs
    self.options = options
    self.notes = notes
    self.examples = examples
  }
}

/// What a program is told to do: the first argument that is no option.
public struct Verb: Sendable {
  public let name: String
  public let summary: String
  /// Further paragraphs of its help.
  public let details: [String]
  public let positional: Positional?
  public let options: [Option]
  public let examples: [String]
  /// Otherwise it is refused by name and help does not show it.
  public let isBuilt: Bool

  public init(
    _ name: String, _ summary: String, details: [String] = [], positional: Positional? = nil, options: [Option] = [],
    examples: [String]
  ) {
    self.name = name
    self.summary = summary
    self.details = details
    self.positional = positional
    self.options = options
    self.examples = examples
    isBuilt = true
  }

  private init(notBuilt name: String) {
    self.name = name
    summary = ""
    details = []
    positional = nil
    options = []
    examples = []
    isBuilt = false
  }

  public static func notBuilt(_ name: String) -> Verb { Verb(notBuilt: name) }
}

/// The argument of a verb.
public struct Positional: Sendable {
  public let name: String
  public let value: Value
  public let isRequired: Bool

  public init(_ name: String, _ value: Value, isRequired: Bool = true) {
    (self.name, self.value, self.isRequired) = (name, value, isRequired)
  }
}

/// `--name`, `--name VALUE` or `--name=VALUE`.
public struct Option: Sendable {
  /// With its dashes.
  public let name: String
  /// nil: the option takes none.
  public let value: Value?
  public let summary: String
  public let isRepeatable: Bool
  /// Otherwise it is refused by name and help does not show it.
  public let isBuilt: Bool

  public init(_ name: String, _ summary: String, takes value: Value? = nil, isRepeatable: Bool = false) {
    (self.name, self.value, self.summary, self.isRepeatable) = (name, value, summary, isRepeatable)
    isBuilt = true
  }

  private init(notBuilt name: String, _ value: Value?) {
    (self.name, self.value, summary, isRepeatable, isBuilt) = (name, value, "", false, false)
  }

  public static func notBuilt(_ name: String, takes value: Value? = nil) -> Option { Option(notBuilt: name, value) }

  /// Understood by every program; `-h` too.
  public static let help = Option("--help", "show this help")
  public static let version = Option("--version", "show the version")
}

/// What an option or a positional takes.
public enum Value: Sendable {
  /// Any text that is not empty, under the name that help shows.
  case text(String)
  /// Any text; also none at all, which a script's empty variable leads to.
  case remark(String)
  /// The name of a file, which may not exist yet, or a command: completion offers files.
  case file(String)
  /// One of these; `later` are refused by name as not built.
  case choice([String], later: [String] = [])
  /// `250ms`, `30s`, `5m`, `1h`.
  case duration
  case number(ClosedRange<Int>)

  /// One of the cases of a type.
  public static func choice<Kind: CaseIterable & RawRepresentable>(of _: Kind.Type) -> Value
  where Kind.RawValue == String {
    .choice(Kind.allCases.map(\.rawValue))
  }

  /// What help shows in its place.
  public var placeholder: String {
    switch self {
    case .text(let name), .remark(let name), .file(let name): name
    case .choice(let names, later: _): names.joined(separator: "|")
    case .duration: "TIME"
    case .number: "N"
    }
  }
}

/// Commands that `bgproxyctl switch` runs, where it runs: a failing one stops the switch, or takes it back.
public struct ChecksSettings: Equatable, Sendable {
  /// Before the switch: at most 16, each 1 to 4000 bytes without NUL.
  public var before: [String]
  /// After it, likewise.
  public var after: [String]

  public init(before: [String] = [], after: [String] = []) { (self.before, self.after) = (before, after) }
}

extension ChecksSettings: Encodable {
  enum CodingKeys: String, CodingKey, CaseIterable { case before, after }
}

extension ChecksSettings {
  private static let mostCommands = 16
  private static let longestCommand = 4000

  mutating func read(_ cursor: Cursor) throws(SettingsError) {
    let members = try cursor.object(CodingKeys.self)
    if let value = members[.before] { before = try Self.commands(value) }
    if let value = members[.after] { after = try Self.commands(value) }
  }

  private static func commands(_ cursor: Cursor) throws(SettingsError) -> [String] {
    var commands: [String] = []
    for command in try cursor.array(of: "commands", atLeast: 0, atMost: mostCommands) {
      commands.append(
        try command.text(
          "a command of 1 to \(longestCommand) bytes",
          where: { (1...longestCommand).contains($0.utf8.count) && !$0.utf8.contains(0) }))
    }
    return commands
  }
}

import Arguments
import Switching

/// A text from outside with where it came from.
struct SourcedText {
  let value: String
  let origin: Origin
}

/// One value of the file, read as what its key asks for.
struct Cursor {
  let node: JSON5.Node
  let origin: Origin

  init(_ node: JSON5.Node, file: String, keyPath: String) {
    self.node = node
    origin = Origin(file: file, place: node.place, keyPath: keyPath)
  }

  private func child(_ node: JSON5.Node, _ component: String) -> Cursor {
    Cursor(node, file: origin.file ?? "", keyPath: joinedPath(origin.keyPath, component))
  }

  func failure(expected: String) -> SettingsError {
    let found =
      switch node.value {
      case .null: "null"
      case .boolean(let value): "\(value)"
      case .number(let spelling): String(quoted(spelling).dropFirst().dropLast())
      case .string(let text): quoted(text)
      case .array(let nodes): nodes.isEmpty ? "an empty array" : "an array"
      case .object: "an object"
      }
    return origin.error(expected: expected, found: found)
  }

  /// The values of an object by their keys. `planned` are keys that a later version understands.
  func object<Key: CodingKey & CaseIterable>(
    _: Key.Type, planned: [String] = []
  ) throws(SettingsError) -> Members<Key> {
    guard case .object(let members) = node.value else { throw failure(expected: "an object") }
    let allowed = Key.allCases.map(\.stringValue)
    var found = Members<Key>(origin: origin)
    for member in members {
      let keyPath = joinedPath(origin.keyPath, pathComponent(member.key))
      let keyOrigin = Origin(file: origin.file ?? "", place: member.place, keyPath: keyPath)
      if planned.contains(member.key) { throw keyOrigin.error("\(member.key) is not built yet") }
      guard let key = Key(stringValue: member.key) else {
        let hint = suggestion(for: member.key, among: allowed + planned).map { "; did you mean \($0)?" } ?? ""
        throw keyOrigin.error(
          expected: "one of the keys \(allowed.joined(separator: ", "))", found: quoted(member.key) + hint)
      }
      found.values[key.stringValue] = child(member.node, pathComponent(member.key))
    }
    return found
  }

  /// An array of `least` to `most` values.
  func array(of what: String, atLeast least: Int = 1, atMost most: Int) throws(SettingsError) -> [Cursor] {
    let expected = "an array of \(least) to \(most) \(what)"
    guard case .array(let nodes) = node.value else { throw failure(expected: expected) }
    guard nodes.count >= least else { throw failure(expected: expected) }
    guard nodes.count <= most else { throw origin.error(expected: expected, found: "\(nodes.count)") }
    return nodes.enumerated().map { child($1, "[\($0)]") }
  }

  func text(_ expected: String) throws(SettingsError) -> SourcedText {
    guard case .string(let text) = node.value else { throw failure(expected: expected) }
    return SourcedText(value: text, origin: origin)
  }

  /// A text that meets a condition.
  func text(_ expected: String, where condition: (String) -> Bool) throws(SettingsError) -> String {
    let value = try text(expected).value
    guard condition(value) else { throw failure(expected: expected) }
    return value
  }

  func duration(from shortest: Milliseconds) throws(SettingsError) -> Milliseconds {
    let expected =
      "a duration such as \"250ms\", \"30s\", \"5m\" or \"1h\""
      + " from \(formatDuration(shortest)) to \(formatDuration(longestDuration))"
    guard let value = parseDuration(try text(expected).value), value >= shortest else {
      throw failure(expected: expected)
    }
    return value
  }

  /// A duration of a narrower range, in steps of `step` milliseconds.
  func duration(
    in range: ClosedRange<Milliseconds>, example: String, step: Milliseconds
  ) throws(SettingsError) -> Milliseconds {
    let steps = step == 1000 ? "a duration in whole seconds" : "a duration"
    let expected =
      "\(steps) such as \(example) from \(formatDuration(range.lowerBound)) to \(formatDuration(range.upperBound))"
    guard let value = parseDuration(try text(expected).value), range.contains(value), value % step == 0 else {
      throw failure(expected: expected)
    }
    return value
  }

  func boolean() throws(SettingsError) -> Bool {
    guard case .boolean(let value) = node.value else { throw failure(expected: "true or false") }
    return value
  }

  func wholeNumber(in range: ClosedRange<Int>) throws(SettingsError) -> Int {
    guard case .number(let spelling) = node.value, let value = Self.wholeNumber(spelling), range.contains(value) else {
      throw failure(expected: "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  private static func wholeNumber(_ spelling: String) -> Int? {
    let isNegative = spelling.hasPrefix("-")
    let digits = isNegative || spelling.hasPrefix("+") ? spelling.dropFirst() : spelling[...]
    let magnitude = digits.hasPrefix("0x") ? Int(digits.dropFirst(2), radix: 16) : Int(digits)
    return magnitude.map { isNegative ? -$0 : $0 }
  }

  func color() throws(SettingsError) -> Color {
    let expected = "\"blue\" or \"green\""
    guard let color = Color(rawValue: try text(expected).value) else { throw failure(expected: expected) }
    return color
  }
}

/// What an object of the file holds.
struct Members<Key: CodingKey> {
  let origin: Origin
  fileprivate(set) var values: [String: Cursor] = [:]

  fileprivate init(origin: Origin) { self.origin = origin }

  subscript(key: Key) -> Cursor? { values[key.stringValue] }

  /// The error for a key that is not there, at the object that should hold it.
  func missing(_ key: Key, expected: String) -> SettingsError {
    Origin(file: origin.file ?? "", place: origin.place, keyPath: joinedPath(origin.keyPath, key.stringValue))
      .error(expected: expected, found: "no such key")
  }
}

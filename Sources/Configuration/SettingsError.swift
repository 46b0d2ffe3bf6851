/// What is wrong with a configuration: `file:line:column: listeners[0].bind: expected …, found …`, or
/// `--listen: expected …, found …` where it was the command line.
public struct SettingsError: Error, Equatable, CustomStringConvertible {
  /// As it was given to `load`; nil where the command line is at fault.
  public let file: String?
  /// From 1; 0 where there is no file.
  public let line: Int
  /// From 1, counted in characters (Unicode scalars, a tab is one); 0 where there is no file.
  public let column: Int
  /// `listeners[0].bind`, or the option with its dashes; empty where the text could not be read that far.
  public let keyPath: String
  /// What was expected and what was found.
  public let message: String

  public var description: String {
    var parts: [String] = []
    if let file { parts.append("\(file):\(line):\(column)") }
    if !keyPath.isEmpty { parts.append(keyPath) }
    return (parts + [message]).joined(separator: ": ")
  }
}

/// Where a value came from: a place in the file, or an option of the command line.
struct Origin {
  let file: String?
  let place: JSON5.Place
  let keyPath: String

  init(file: String, place: JSON5.Place, keyPath: String) {
    (self.file, self.place, self.keyPath) = (file, place, keyPath)
  }

  init(option: String) {
    (file, place, keyPath) = (nil, JSON5.Place(line: 0, column: 0), option)
  }

  func error(_ message: String) -> SettingsError {
    SettingsError(file: file, line: place.line, column: place.column, keyPath: keyPath, message: message)
  }

  func error(expected: String, found: String) -> SettingsError { error("expected \(expected), found \(found)") }

  /// For a message about something else: `listeners[0].bind`, with its line where it has one.
  var asReference: String { file == nil ? keyPath : "\(keyPath) in line \(place.line)" }
}

/// Text from outside, fit for a message: quoted, on one line, without control characters, cut where it is long.
func quoted(_ text: String) -> String {
  let longest = 80
  var result = "\""
  for scalar in text.unicodeScalars.prefix(longest) {
    if isPrintable(scalar) {
      result.unicodeScalars.append(scalar)
    } else {
      result += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
    }
  }
  return result + (text.unicodeScalars.dropFirst(longest).isEmpty ? "\"" : "…\"")
}

/// Does nothing to a terminal or a line of a log but to stand there.
func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.properties.generalCategory {
  case .control, .format, .lineSeparator, .paragraphSeparator, .unassigned, .privateUse: false
  default: true
  }
}

/// A key as a part of a key path: as it is where it is a plain word.
func pathComponent(_ key: String) -> String {
  let isPlain = !key.isEmpty && key.utf8.count <= 64 && key.utf8.allSatisfy { isWord($0) }
  return isPlain ? key : quoted(key)
}

/// `listeners` and `[0]` are `listeners[0]`; that and `bind` are `listeners[0].bind`.
func joinedPath(_ path: String, _ component: String) -> String {
  path.isEmpty || component.hasPrefix("[") ? path + component : "\(path).\(component)"
}

/// ASCII letters, digits, `-` and `_`.
func isWord(_ byte: UInt8) -> Bool {
  switch byte {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
    true
  default: false
  }
}

/// Reads JSON5 (https://spec.json5.org) into a tree in which every key and value knows where it stands. A key given
/// twice is refused, as are escapes in unquoted keys, `Infinity` and `NaN`, which no key has a use for.
enum JSON5 {
  /// From 1; a column is one character (Unicode scalar).
  struct Place: Equatable, Sendable {
    var line = 1
    var column = 1
  }

  struct Node: Sendable {
    let place: Place
    let value: Value
  }

  enum Value: Sendable {
    case null
    case boolean(Bool)
    /// As it is spelled: what it may be is up to the key.
    case number(String)
    case string(String)
    case array([Node])
    case object([Member])
  }

  struct Member: Sendable {
    let key: String
    let place: Place
    let node: Node
  }

  struct Failure: Error, Equatable {
    let place: Place
    let path: String
    let message: String
  }

  static let longestText = 1 << 20
  static let deepestNesting = 32

  static func read(_ bytes: [UInt8]) throws(Failure) -> Node {
    var reader = try Reader(bytes)
    return try reader.document()
  }

  private struct Reader {
    private var text: [Unicode.Scalar] = []
    private var position = 0
    private var place = Place()
    /// The keys and indexes that lead to what is being read: one for each object or array around it.
    private var path: [String] = []

    init(_ bytes: [UInt8]) throws(Failure) {
      guard bytes.count <= longestText else { throw failure("at most \(longestText) bytes", found: "\(bytes.count)") }
      var rest = bytes.makeIterator()
      var decoder = UTF8()
      while true {
        switch decoder.decode(&rest) {
        case .scalarValue(let scalar): text.append(scalar)
        case .emptyInput: return
        case .error:
          advance(by: text.count)
          throw failure("UTF-8", found: "a byte that is not")
        }
      }
    }

    private var current: Unicode.Scalar? { position < text.count ? text[position] : nil }
    private var following: Unicode.Scalar? { position + 1 < text.count ? text[position + 1] : nil }

    private mutating func advance(by count: Int = 1) {
      for scalar in text[position...].prefix(count) {
        position += 1
        place.column += 1
        if scalar == "\n" || (scalar == "\r" && current != "\n") { place = Place(line: place.line + 1, column: 1) }
      }
    }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
      guard current == scalar else { return false }
      advance()
      return true
    }

    private mutating func takeAll(where matches: (Unicode.Scalar) -> Bool) -> String {
      var taken = String.UnicodeScalarView()
      while let scalar = current, matches(scalar) {
        taken.append(scalar)
        advance()
      }
      return String(taken)
    }

    private func failure(_ expected: String, found: String? = nil, at other: Place? = nil) -> Failure {
      let found = found ?? current.map { quoted(String($0)) } ?? "the end of the file"
      let message = "expected \(expected), found \(found)"
      return Failure(place: other ?? place, path: path.reduce("", joinedPath), message: message)
    }

    mutating func document() throws(Failure) -> Node {
      try skipBlank()
      let root = try node()
      try skipBlank()
      guard current == nil else { throw failure("nothing after the value") }
      return root
    }

    private mutating func skipBlank() throws(Failure) {
      while let scalar = current {
        if isBlank(scalar) {
          advance()
        } else if scalar == "/" && following == "/" {
          _ = takeAll { !isLineEnd($0) }
        } else if scalar == "/" && following == "*" {
          let start = place
          advance(by: 2)
          while current != "*" || following != "/" {
            guard current != nil else { throw failure("*/ at the end of this comment", at: start) }
            advance()
          }
          advance(by: 2)
        } else {
          return
        }
      }
    }

    private mutating func node() throws(Failure) -> Node {
      let start = place
      switch current {
      case "{": return Node(place: start, value: .object(try object()))
      case "[": return Node(place: start, value: .array(try array()))
      case "\"", "'": return Node(place: start, value: .string(try string()))
      case let scalar? where isDigit(scalar) || "+-.".unicodeScalars.contains(scalar):
        return Node(place: start, value: .number(try number()))
      case let scalar? where isKeyStart(scalar):
        let word = takeAll(where: isKeyPart)
        guard let value = words[word] else {
          throw failure("a value (text stands in quotes)", found: quoted(word), at: start)
        }
        return Node(place: start, value: value)
      default: throw failure("a value")
      }
    }

    private mutating func object() throws(Failure) -> [Member] {
      var members: [Member] = []
      var places: [String: Place] = [:]
      try list(upTo: "}") { reader throws(Failure) in
        let start = reader.place
        let key = try reader.key()
        reader.path.append(pathComponent(key))
        if let first = places.updateValue(start, forKey: key) {
          throw reader.failure(
            "each key once", found: "it again after line \(first.line), column \(first.column)", at: start)
        }
        try reader.skipBlank()
        guard reader.take(":") else { throw reader.failure("\":\" after the key") }
        try reader.skipBlank()
        members.append(Member(key: key, place: start, node: try reader.node()))
      }
      return members
    }

    private mutating func array() throws(Failure) -> [Node] {
      var nodes: [Node] = []
      try list(upTo: "]") { reader throws(Failure) in
        reader.path.append("[\(nodes.count)]")
        nodes.append(try reader.node())
      }
      return nodes
    }

    /// The parts of an object or array; each reads one and leaves its own component on the path.
    private mutating func list(upTo end: Unicode.Scalar, part: (inout Self) throws(Failure) -> Void) throws(Failure) {
      guard path.count < deepestNesting else {
        throw failure("at most \(deepestNesting) objects and arrays in one another", found: "one more")
      }
      advance()
      try skipBlank()
      while !take(end) {
        try part(&self)
        path.removeLast()
        try skipBlank()
        guard take(",") || current == end else { throw failure("\",\" or \"\(end)\"") }
        try skipBlank()
      }
    }

    private mutating func key() throws(Failure) -> String {
      switch current {
      case "\"", "'": return try string()
      case let scalar? where isKeyStart(scalar): return takeAll(where: isKeyPart)
      default: throw failure("a key or \"}\"")
      }
    }

    private mutating func number() throws(Failure) -> String {
      let start = place
      var spelling = take("-") ? "-" : take("+") ? "+" : ""
      if current == "0" && (following == "x" || following == "X") {
        advance(by: 2)
        spelling += try "0x" + digits { $0.properties.isASCIIHexDigit }
      } else {
        let whole = current == "." ? "" : try digits(where: isDigit)
        guard whole == "0" || !whole.hasPrefix("0") else {
          throw failure("a number without a leading zero", found: quoted(whole), at: start)
        }
        spelling += whole
        if take(".") { spelling += try "." + (whole.isEmpty ? digits(where: isDigit) : takeAll(where: isDigit)) }
        if take("e") || take("E") {
          spelling += "e" + (take("-") ? "-" : take("+") ? "+" : "")
          spelling += try digits(where: isDigit)
        }
      }
      guard current.map(isKeyPart) != true else { throw failure("the end of the number (durations stand in quotes)") }
      return spelling
    }

    private mutating func digits(where matches: (Unicode.Scalar) -> Bool) throws(Failure) -> String {
      let digits = takeAll(where: matches)
      guard !digits.isEmpty else { throw failure("a digit") }
      return digits
    }

    private mutating func string() throws(Failure) -> String {
      let start = place
      let quote = current
      advance()
      var content = String.UnicodeScalarView()
      while let scalar = current, scalar != "\n", scalar != "\r" {
        if scalar == "\\" {
          if let escaped = try escape() { content.append(escaped) }
        } else {
          advance()
          if scalar == quote { return String(content) }
          content.append(scalar)
        }
      }
      throw failure(
        "a closing quote for this text", found: "the end of the \(current == nil ? "file" : "line")", at: start)
    }

    /// What the escape at the current place stands for; nil: nothing, the text goes on in the next line.
    private mutating func escape() throws(Failure) -> Unicode.Scalar? {
      let start = place
      advance()
      guard let letter = current else { throw failure("a character after \\") }
      advance()
      if letter == "x" { return Unicode.Scalar(try hexadecimal(digits: 2)) }
      if letter == "u" { return try unicodeEscape(at: start) }
      if let meaning = controlEscapes[letter], letter != "0" || current.map(isDigit) != true { return meaning }
      guard !isDigit(letter) else { throw failure("an escape of JSON5", found: quoted("\\\(letter)"), at: start) }
      if letter == "\r" { _ = take("\n") }
      return isLineEnd(letter) ? nil : letter
    }

    /// A scalar beyond U+FFFF is written as a surrogate pair: two escapes.
    private mutating func unicodeEscape(at start: Place) throws(Failure) -> Unicode.Scalar {
      let first = try hexadecimal(digits: 4)
      if let scalar = Unicode.Scalar(first) { return scalar }
      guard first < 0xDC00, take("\\"), take("u"), case let second = try hexadecimal(digits: 4),
        (0xDC00...0xDFFF).contains(second),
        let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
      else { throw failure("a surrogate pair", found: "half of one", at: start) }
      return scalar
    }

    private mutating func hexadecimal(digits: Int) throws(Failure) -> UInt32 {
      let written = text[position...].prefix(digits)
      guard written.count == digits, written.allSatisfy(\.properties.isASCIIHexDigit),
        let value = UInt32(String(String.UnicodeScalarView(written)), radix: 16)
      else { throw failure("\(digits) hexadecimal digits") }
      advance(by: digits)
      return value
    }
  }
}

private let words: [String: JSON5.Value] = ["null": .null, "true": .boolean(true), "false": .boolean(false)]

private let controlEscapes: [Unicode.Scalar: Unicode.Scalar] = [
  "b": "\u{8}", "f": "\u{C}", "n": "\n", "r": "\r", "t": "\t", "v": "\u{B}", "0": "\0",
]

private func isLineEnd(_ scalar: Unicode.Scalar) -> Bool { "\n\r\u{2028}\u{2029}".unicodeScalars.contains(scalar) }

private func isBlank(_ scalar: Unicode.Scalar) -> Bool {
  "\t\u{B}\u{C}\u{FEFF}".unicodeScalars.contains(scalar) || isLineEnd(scalar)
    || scalar.properties.generalCategory == .spaceSeparator
}

private func isKeyStart(_ scalar: Unicode.Scalar) -> Bool {
  scalar == "$" || scalar == "_" || scalar.properties.isIDStart
}

private func isKeyPart(_ scalar: Unicode.Scalar) -> Bool {
  isKeyStart(scalar) || scalar.properties.isIDContinue || scalar == "\u{200C}" || scalar == "\u{200D}"
}

private func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }

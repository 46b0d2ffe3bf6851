/// Reads JSON5 (https://spec.json5.org) into a tree in which every key and value knows where it stands. Unlike a
/// general decoder it refuses a key that is given twice. Unquoted keys are read without escapes.
enum JSON5 {
  /// From 1; a column is one character (Unicode scalar).
  struct Place: Equatable, Sendable {
    var line = 1
    var column = 1
  }

  struct Node {
    let place: Place
    let value: Value
  }

  enum Value {
    case null
    case boolean(Bool)
    /// As it is spelled: what it may be is up to the key.
    case number(String)
    case string(String)
    case array([Node])
    case object([Member])
  }

  struct Member {
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
    guard bytes.count <= longestText else {
      throw Failure(
        place: Place(), path: "", message: "expected at most \(longestText) bytes, found \(bytes.count)")
    }
    var reader = Reader(text: try decoded(bytes))
    return try reader.document()
  }

  private static func decoded(_ bytes: [UInt8]) throws(Failure) -> [Unicode.Scalar] {
    var scalars: [Unicode.Scalar] = []
    scalars.reserveCapacity(bytes.count)
    var decoder = UTF8()
    var rest = bytes.makeIterator()
    while true {
      switch decoder.decode(&rest) {
      case .scalarValue(let scalar): scalars.append(scalar)
      case .emptyInput: return scalars
      case .error:
        var reader = Reader(text: scalars)
        while reader.current != nil { reader.advance() }
        throw Failure(place: reader.place, path: "", message: "expected UTF-8, found a byte that is not")
      }
    }
  }
}

extension JSON5 {
  private struct Reader {
    private let text: [Unicode.Scalar]
    private var position = 0
    private(set) var place = Place()
    /// The keys and indexes that lead to what is being read; as long as the containers around it are many.
    private var path: [String] = []

    init(text: [Unicode.Scalar]) { self.text = text }

    var current: Unicode.Scalar? { position < text.count ? text[position] : nil }

    private var following: Unicode.Scalar? { position + 1 < text.count ? text[position + 1] : nil }

    mutating func advance() {
      guard let scalar = current else { return }
      position += 1
      if scalar == "\n" || (scalar == "\r" && current != "\n") {
        place = Place(line: place.line + 1, column: 1)
      } else {
        place.column += 1
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
      return Failure(
        place: other ?? place, path: path.reduce("", joinedPath), message: "expected \(expected), found \(found)")
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
          advance()
          repeat {
            advance()
            guard current != nil else { throw failure("*/ at the end of this comment", at: start) }
          } while !(current == "*" && following == "/")
          advance()
          advance()
        } else {
          return
        }
      }
    }

    private mutating func node() throws(Failure) -> Node {
      let start = place
      return Node(place: start, value: try value())
    }

    private mutating func value() throws(Failure) -> Value {
      switch current {
      case "{": return .object(try object())
      case "[": return .array(try array())
      case "\"", "'": return .string(try string())
      case "+", "-", ".": return .number(try number())
      case let scalar? where isDigit(scalar): return .number(try number())
      case let scalar? where isKeyStart(scalar):
        let start = place
        let word = takeAll(where: isKeyPart)
        switch word {
        case "true": return .boolean(true)
        case "false": return .boolean(false)
        case "null": return .null
        case "Infinity", "NaN": return .number(word)
        default: throw failure("a value (text stands in quotes)", found: quoted(word), at: start)
        }
      default: throw failure("a value")
      }
    }

    private func checkDepth() throws(Failure) {
      guard path.count < deepestNesting else {
        throw failure("at most \(deepestNesting) objects and arrays in one another", found: "one more")
      }
    }

    private mutating func object() throws(Failure) -> [Member] {
      try checkDepth()
      advance()
      var members: [Member] = []
      var places: [String: Place] = [:]
      while true {
        try skipBlank()
        if take("}") { return members }
        let start = place
        let key = try key()
        path.append(pathComponent(key))
        if let first = places.updateValue(start, forKey: key) {
          throw failure(
            "each key once", found: "it again after line \(first.line), column \(first.column)", at: start)
        }
        try skipBlank()
        guard take(":") else { throw failure("\":\" after the key") }
        try skipBlank()
        members.append(Member(key: key, place: start, node: try node()))
        path.removeLast()
        try skipBlank()
        guard take(",") || current == "}" else { throw failure("\",\" or \"}\"") }
      }
    }

    private mutating func key() throws(Failure) -> String {
      switch current {
      case "\"", "'": return try string()
      case let scalar? where isKeyStart(scalar): return takeAll(where: isKeyPart)
      default: throw failure("a key or \"}\"")
      }
    }

    private mutating func array() throws(Failure) -> [Node] {
      try checkDepth()
      advance()
      var nodes: [Node] = []
      while true {
        try skipBlank()
        if take("]") { return nodes }
        path.append("[\(nodes.count)]")
        nodes.append(try node())
        path.removeLast()
        try skipBlank()
        guard take(",") || current == "]" else { throw failure("\",\" or \"]\"") }
      }
    }

    private mutating func number() throws(Failure) -> String {
      let start = place
      var spelling = takeAll { $0 == "+" || $0 == "-" }
      guard spelling.count <= 1 else { throw failure("a number", found: quoted(spelling), at: start) }
      if current == "I" || current == "N" {
        let word = takeAll(where: isKeyPart)
        guard word == "Infinity" || word == "NaN" else { throw failure("a number", found: quoted(word), at: start) }
        return spelling + word
      }
      if current == "0" && (following == "x" || following == "X") {
        advance()
        advance()
        let digits = takeAll { $0.properties.isASCIIHexDigit }
        guard !digits.isEmpty else { throw failure("a hexadecimal digit") }
        spelling += "0x" + digits
      } else {
        let whole = takeAll(where: isDigit)
        guard whole == "0" || !whole.hasPrefix("0") else {
          throw failure("a number without a leading zero", found: quoted(whole), at: start)
        }
        spelling += whole
        let point = takeAll { $0 == "." }
        let fraction = takeAll(where: isDigit)
        guard point.count <= 1, !(whole + fraction).isEmpty else { throw failure("a digit") }
        spelling += point + fraction
        if current == "e" || current == "E" {
          advance()
          let sign = take("-") ? "-" : take("+") ? "+" : ""
          let exponent = takeAll(where: isDigit)
          guard !exponent.isEmpty else { throw failure("a digit") }
          spelling += "e" + sign + exponent
        }
      }
      if let scalar = current, isKeyPart(scalar) {
        throw failure("the end of the number (a duration stands in quotes)")
      }
      return spelling
    }

    private mutating func string() throws(Failure) -> String {
      let start = place
      let quote = current
      advance()
      var content = String.UnicodeScalarView()
      while let scalar = current {
        if scalar == quote {
          advance()
          return String(content)
        }
        guard scalar != "\n", scalar != "\r" else { break }
        if scalar == "\\" {
          if let escaped = try escape() { content.append(escaped) }
        } else {
          content.append(scalar)
          advance()
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
      switch letter {
      case "b": return "\u{8}"
      case "f": return "\u{C}"
      case "n": return "\n"
      case "r": return "\r"
      case "t": return "\t"
      case "v": return "\u{B}"
      case "0":
        if let next = current, isDigit(next) { throw failure("no digit after \\0") }
        return "\0"
      case "1"..."9": throw failure("an escape of JSON5", found: "\\\(letter)", at: start)
      case "x": return Unicode.Scalar(try hexadecimal(digits: 2))
      case "u": return try unicodeEscape(at: start)
      case "\r":
        _ = take("\n")
        return nil
      case "\n", "\u{2028}", "\u{2029}": return nil
      default: return letter
      }
    }

    /// A scalar beyond U+FFFF is written as a surrogate pair: two escapes.
    private mutating func unicodeEscape(at start: Place) throws(Failure) -> Unicode.Scalar {
      let first = try hexadecimal(digits: 4)
      if let scalar = Unicode.Scalar(first) { return scalar }
      if first < 0xDC00, current == "\\", following == "u" {
        advance()
        advance()
        let second = try hexadecimal(digits: 4)
        if (0xDC00...0xDFFF).contains(second),
          let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        {
          return scalar
        }
      }
      throw failure("a surrogate pair", found: "half of one", at: start)
    }

    private mutating func hexadecimal(digits: Int) throws(Failure) -> UInt32 {
      var value: UInt32 = 0
      for _ in 0..<digits {
        guard let digit = current.flatMap({ Character($0).hexDigitValue }), current?.isASCII == true else {
          throw failure("\(digits) hexadecimal digits")
        }
        value = value << 4 | UInt32(digit)
        advance()
      }
      return value
    }
  }
}

private func isLineEnd(_ scalar: Unicode.Scalar) -> Bool {
  scalar == "\n" || scalar == "\r" || scalar == "\u{2028}" || scalar == "\u{2029}"
}

private func isBlank(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar {
  case "\t", "\u{B}", "\u{C}", "\u{FEFF}": true
  default: isLineEnd(scalar) || scalar.properties.generalCategory == .spaceSeparator
  }
}

private func isKeyStart(_ scalar: Unicode.Scalar) -> Bool {
  scalar == "$" || scalar == "_" || scalar.properties.isIDStart
}

private func isKeyPart(_ scalar: Unicode.Scalar) -> Bool {
  isKeyStart(scalar) || scalar.properties.isIDContinue || scalar == "\u{200C}" || scalar == "\u{200D}"
}

private func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }

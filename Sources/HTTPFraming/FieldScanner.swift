/// Reads the lines of a complete head, strictly: CRLF and nothing else ends a line (RFC 9112 §2.2), so that no two
/// readers of the same bytes can see different lines.
struct LineScanner {
  private(set) var position = 0

  /// Skips empty lines before a start line (RFC 9112 §2.2).
  mutating func skipEmptyLines(in bytes: Span<UInt8>) {
    while position + 1 < bytes.count, bytes[position] == .carriageReturn, bytes[position + 1] == .lineFeed {
      position += 2
    }
  }

  /// The next line without its CRLF.
  mutating func next(in bytes: Span<UInt8>) throws(HeadError) -> Range<Int> {
    let start = position
    while position < bytes.count {
      let byte = bytes[position]
      if byte == .carriageReturn {
        guard position + 1 < bytes.count else { throw .truncated }
        guard bytes[position + 1] == .lineFeed else { throw .bareCarriageReturn }
        position += 2
        return start..<position - 2
      }
      if byte == .lineFeed { throw .bareLineFeed }
      if byte.isControl && byte != .tab { throw .controlByte }
      position += 1
    }
    throw .truncated
  }
}

/// Reads the field lines of a head one after another, without copying: RFC 9112 §5.
struct FieldScanner {
  /// Where a field's name and its value, without the blanks around it, stand in the head.
  struct Field {
    let name: Range<Int>
    let value: Range<Int>
  }

  /// The most fields of one head. Real clients send below 30; each costs memory that its bytes alone do not show.
  static let mostFields = 100

  private var lines: LineScanner
  private var count = 0

  /// - Parameter lines: at the first line after the start line.
  init(_ lines: LineScanner) { self.lines = lines }

  /// The next field; nil at the empty line that ends the head.
  mutating func next(in bytes: Span<UInt8>) throws(HeadError) -> Field? {
    let line = try lines.next(in: bytes)
    if line.isEmpty { return nil }
    count += 1
    if count > Self.mostFields { throw .tooManyFields }
    // obs-fold: a server must reject it or replace it (§5.2).
    if bytes[line.lowerBound].isBlank { throw .foldedField }
    var colon = line.lowerBound
    while colon < line.upperBound, bytes[colon].isToken { colon += 1 }
    // No blank is allowed between name and colon: a server must reject it (§5.1).
    guard colon > line.lowerBound, colon < line.upperBound, bytes[colon] == .colon else { throw .fieldName }
    return Field(name: line.lowerBound..<colon, value: bytes.trimmed(colon + 1..<line.upperBound))
  }
}

/// The fields of a head, in the order they came.
public struct Fields: Equatable, Sendable {
  public struct Entry: Equatable, Sendable {
    /// In lower case: names are case-insensitive (RFC 9110 §5.1).
    public let name: String
    /// Without the blanks around it. Bytes that are no UTF-8 became U+FFFD.
    public let value: String
  }

  public private(set) var entries: [Entry] = []

  /// Reads all fields, and what they say of the body's length.
  init(_ scanner: inout FieldScanner, in bytes: Span<UInt8>, _ body: inout BodyFields) throws(HeadError) {
    while let field = try scanner.next(in: bytes) {
      try body.take(field, in: bytes)
      entries.append(Entry(name: bytes.text(field.name).lowercased(), value: bytes.text(field.value)))
    }
  }

  /// The values of all fields of a name.
  /// - Parameter name: in lower case.
  public func all(_ name: String) -> [String] { entries.filter { $0.name == name }.map(\.value) }

  /// Whether a field that is a list of tokens, `Connection` say, contains one (RFC 9110 §5.6.1).
  /// - Parameters:
  ///   - token: in lower case.
  ///   - name: in lower case.
  public func contains(_ token: String, in name: String) -> Bool {
    all(name).contains { value in
      let bytes = Array(value.utf8)
      return bytes.split(separator: .comma).contains { part in
        let part = part.drop(while: \.isBlank)
        let end = part.lastIndex { !$0.isBlank }.map { $0 + 1 } ?? part.startIndex
        return part[..<end].lazy.map(\.lowercased).elementsEqual(token.utf8)
      }
    }
  }
}

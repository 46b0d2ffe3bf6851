/// The few words of a head that decide where a message ends, and whether the connection goes on.
enum Keyword: UInt8 {
  case other
  case contentLength, transferEncoding, connection, upgrade
  case chunked, close, keepAlive

  private var text: StaticString {
    switch self {
    case .other: ""
    case .contentLength: "content-length"
    case .transferEncoding: "transfer-encoding"
    case .connection: "connection"
    case .upgrade: "upgrade"
    case .chunked: "chunked"
    case .close: "close"
    case .keepAlive: "keep-alive"
    }
  }

  var count: Int { text.utf8CodeUnitCount }

  fileprivate func byte(at index: Int) -> UInt8? {
    let text = text
    return index < text.utf8CodeUnitCount ? unsafe text.utf8Start[index] : nil
  }

  /// Whether a whole word in the bytes is this one, whatever the case of its letters.
  private func equals(_ word: Range<Int>, in bytes: Span<UInt8>) -> Bool {
    guard word.count == count else { return false }
    for index in 0..<count where byte(at: index) != bytes[word.lowerBound + index].lowercased { return false }
    return true
  }

  /// The field that a whole name names. The length tells all but one apart from the rest.
  init(field name: Range<Int>, in bytes: Span<UInt8>) {
    let candidate: Keyword =
      switch name.count {
      case 7: .upgrade
      case 10: .connection
      case 14: .contentLength
      case 17: .transferEncoding
      default: .other
      }
    self = candidate.equals(name, in: bytes) ? candidate : .other
  }

  /// The option of `Connection` that a whole word is.
  init(option word: Range<Int>, in bytes: Span<UInt8>) {
    let candidate: Keyword = word.count == 5 ? .close : word.count == 10 ? .keepAlive : .other
    self = candidate.equals(word, in: bytes) ? candidate : .other
  }

  /// The name of a field that begins with a letter.
  init(fieldBeginningWith byte: UInt8) {
    switch byte.lowercased {
    case UInt8(ascii: "c"): self = .contentLength
    case UInt8(ascii: "t"): self = .transferEncoding
    case UInt8(ascii: "u"): self = .upgrade
    default: self = .other
    }
  }

  /// The word of `Connection` that begins with a letter: RFC 9110 §7.6.1.
  init(optionBeginningWith byte: UInt8) {
    switch byte.lowercased {
    case UInt8(ascii: "c"): self = .close
    case UInt8(ascii: "k"): self = .keepAlive
    default: self = .other
    }
  }
}

/// Compares a word with a keyword byte by byte, whatever the case of its letters. Keeps where it is, and no byte.
struct KeywordMatcher {
  private(set) var keyword = Keyword.other
  private var index: UInt8 = 0

  init() {}

  init(_ keyword: Keyword) {
    self.keyword = keyword
    index = 1
  }

  mutating func take(_ byte: UInt8) {
    guard keyword != .other else { return }
    if keyword.byte(at: Int(index)) == byte.lowercased {
      index += 1
    } else if keyword == .contentLength, index == 3, byte.lowercased == UInt8(ascii: "n") {
      // "con" is the beginning of two.
      keyword = .connection
      index = 4
    } else {
      keyword = .other
    }
  }

  /// The keyword that the word is; `other` for a word that is none, or only begins like one.
  var match: Keyword { Int(index) == keyword.count ? keyword : .other }
}

/// The few words of a head that decide where a message ends, and whether the connection goes on.
enum Keyword: UInt8, Sendable {
  case other
  case contentLength, transferEncoding, connection, upgrade, expect
  case chunked, close, keepAlive

  /// In lower case, eight bytes each.
  private var text: (UInt64, UInt64, UInt64) {
    switch self {
    case .other: (0, 0, 0)
    case .contentLength: (packed("content-"), packed("length"), 0)
    case .transferEncoding: (packed("transfer"), packed("-encodin"), packed("g"))
    case .connection: (packed("connecti"), packed("on"), 0)
    case .upgrade: (packed("upgrade"), 0, 0)
    case .expect: (packed("expect"), 0, 0)
    case .chunked: (packed("chunked"), 0, 0)
    case .close: (packed("close"), 0, 0)
    case .keepAlive: (packed("keep-ali"), packed("ve"), 0)
    }
  }

  /// 0 behind the last.
  fileprivate func byte(at index: UInt8) -> UInt8 {
    let (first, second, third) = text
    let word = index < 8 ? first : index < 16 ? second : third
    return UInt8(truncatingIfNeeded: word >> (UInt64(index & 7) * 8))
  }

  /// The field whose name begins with a letter.
  init(fieldBeginningWith byte: UInt8) {
    switch byte.lowercased {
    case UInt8(ascii: "c"): self = .contentLength
    case UInt8(ascii: "t"): self = .transferEncoding
    case UInt8(ascii: "u"): self = .upgrade
    case UInt8(ascii: "e"): self = .expect
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

  /// The field of a whole name.
  /// - Parameters:
  ///   - name: letters, digits and `-`. The byte behind it is a colon.
  ///   - bytes: at least eight from where the name begins.
  @inline(__always)
  init(fieldNamed name: Range<Int>, in bytes: Span<UInt8>) {
    let start = bytes.word(at: name.lowerBound).lowercased
    var end: UInt64 { bytes.word(at: name.upperBound - 8).lowercased }
    self = .other
    switch name.count {
    case 6: if start & 0xFFFF_FFFF_FFFF == packed("expect") { self = .expect }
    case 7: if start == packed("upgrade:") { self = .upgrade }
    case 10: if start == packed("connecti"), end == packed("nnection") { self = .connection }
    case 14: if start == packed("content-"), end == packed("t-length") { self = .contentLength }
    case 17:
      let middle = bytes.word(at: name.lowerBound + 8).lowercased
      if start == packed("transfer"), middle == packed("-encodin"), end == packed("encoding") {
        self = .transferEncoding
      }
    default: break
    }
  }
}

/// Compares a word with a keyword byte by byte, whatever the case of its letters. Keeps where it is, and no byte.
struct KeywordMatcher: Sendable {
  private var keyword = Keyword.other
  private var index: UInt8 = 0

  init() {}

  /// - Parameter keyword: whose first byte has come.
  init(_ keyword: Keyword) {
    self.keyword = keyword
    index = 1
  }

  mutating func take(_ byte: UInt8) {
    guard keyword != .other else { return }
    if keyword.byte(at: index) == byte.lowercased {
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
  var match: Keyword { keyword != .other && keyword.byte(at: index) == 0 ? keyword : .other }
}

/// The classes of bytes that the grammar of HTTP/1 is written in.
extension UInt8 {
  static var tab: UInt8 { 0x09 }
  static var lineFeed: UInt8 { 0x0A }
  static var carriageReturn: UInt8 { 0x0D }
  static var space: UInt8 { 0x20 }
  static var comma: UInt8 { 0x2C }
  static var colon: UInt8 { 0x3A }
  static var semicolon: UInt8 { 0x3B }

  var isControl: Bool { self < 0x20 || self == 0x7F }
  var isBlank: Bool { self == .space || self == .tab }

  /// The value of a DIGIT; nil for any other byte.
  var decimalValue: UInt8? { self >= 0x30 && self <= 0x39 ? self - 0x30 : nil }

  /// The value of a HEXDIG; nil for any other byte.
  var hexadecimalValue: UInt8? {
    switch self {
    case 0x30...0x39: self - 0x30
    case 0x41...0x46: self - 0x41 + 10
    case 0x61...0x66: self - 0x61 + 10
    default: nil
    }
  }

  var lowercased: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }

  /// tchar: RFC 9110 §5.6.2. A bit for each: DIGIT, ALPHA and !#$%&'*+-.^_`|~.
  var isToken: Bool {
    let bits: UInt64 = self < 0x40 ? 0x03FF_6CFA_0000_0000 : self < 0x80 ? 0x57FF_FFFF_C7FF_FFFE : 0
    return bits >> UInt64(self & 0x3F) & 1 != 0
  }
}

extension Span<UInt8> {
  /// The part of a range that is left without the blanks at both ends: OWS, RFC 9110 §5.6.3.
  func trimmed(_ range: Range<Int>) -> Range<Int> {
    var (start, end) = (range.lowerBound, range.upperBound)
    while start < end, self[start].isBlank { start += 1 }
    while start < end, self[end - 1].isBlank { end -= 1 }
    return start..<end
  }

  /// Whether a range holds an ASCII text, whatever the case of its letters.
  /// - Parameter text: in lower case.
  func equals(_ range: Range<Int>, _ text: String) -> Bool {
    guard range.count == text.utf8.count else { return false }
    var index = range.lowerBound
    for byte in text.utf8 {
      if self[index].lowercased != byte { return false }
      index += 1
    }
    return true
  }

  /// A range as text; what is no UTF-8 becomes U+FFFD.
  func text(_ range: Range<Int>) -> String {
    String(decoding: range.map { self[$0] }, as: UTF8.self)
  }

  /// The offset of the first control byte in a range; its end where there is none. Eight bytes at a time: heads are
  /// mostly text (a browser's request and its answer: 1.2 ns a byte one by one, 0.5 so).
  func firstControl(from start: Int, to end: Int) -> Int {
    var offset = start
    while end - offset >= 8 {
      let word = word(at: offset)
      // The lowest bit that is set belongs to the first byte that is below 0x20 or is 0x7F; higher ones may be wrong.
      let low = (word &- 0x2020_2020_2020_2020) & ~word
      let delete = word ^ 0x7F7F_7F7F_7F7F_7F7F
      let found = (low | (delete &- 0x0101_0101_0101_0101) & ~delete) & 0x8080_8080_8080_8080
      if found != 0 { return offset + found.trailingZeroBitCount / 8 }
      offset += 8
    }
    while offset < end, !self[offset].isControl { offset += 1 }
    return offset
  }

  /// Eight bytes as a number, the first of them lowest.
  func word(at offset: Int) -> UInt64 {
    precondition(offset >= 0 && offset <= count - 8)
    return unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian
  }

  /// The offset of the first byte in a range that is no tchar; its end where there is none.
  func endOfToken(from start: Int, to end: Int) -> Int {
    var offset = start
    while offset < end, self[offset].isToken { offset += 1 }
    return offset
  }
}

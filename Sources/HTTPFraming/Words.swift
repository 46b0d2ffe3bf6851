// Looking at eight bytes at a time, as one number whose lowest byte is the first: heads are mostly bytes that only have
// to be none of a few.

/// Up to eight ASCII characters as such a number, which the compiler works out.
@inline(__always)
func packed(_ text: String) -> UInt64 {
  var (word, shift): (UInt64, UInt64) = (0, 0)
  for byte in text.utf8 {
    word |= UInt64(byte) << shift
    shift += 8
  }
  return word
}

extension UInt64 {
  /// The same byte eight times.
  fileprivate static func eight(_ byte: UInt8) -> UInt64 { 0x0101_0101_0101_0101 &* UInt64(byte) }

  /// Letters in lower case; digits and `-` stay. Of the other bytes only control characters can become one of these.
  var lowercased: UInt64 { self | .eight(0x20) }

  // The marks below are the highest bit of a byte each. The lowest of them is exact; a subtraction that borrows can set
  // others above it.

  /// Bytes below a limit of at most 0x80.
  fileprivate func marks(below limit: UInt8) -> UInt64 { (self &- .eight(limit)) & ~self & .eight(0x80) }

  /// Bytes that are DEL.
  fileprivate var deleteMarks: UInt64 { (self ^ .eight(0x7F)).marks(below: 1) }

  /// Bytes that are neither a letter nor a digit nor `-`. All of these marks are exact: nothing carries.
  fileprivate var otherMarks: UInt64 {
    let seven = self & .eight(0x7F)
    // Adding 0x80 - n sets the highest bit of each byte from n on.
    let folded = seven | .eight(0x20)
    let letters = (folded &+ .eight(0x80 - 0x61)) & ~(folded &+ .eight(0x80 - 0x7B))
    let digits = (seven &+ .eight(0x80 - 0x30)) & ~(seven &+ .eight(0x80 - 0x3A))
    let dashes = ~((seven ^ .eight(0x2D)) &+ .eight(0x7F))
    return (self | ~(letters | digits | dashes)) & .eight(0x80)
  }
}

extension Span<UInt8> {
  /// The eight bytes from an offset on; the first is the lowest.
  @inline(__always)
  func word(at offset: Int) -> UInt64 {
    let bytes = extracting(offset..<offset + 8)
    var word: UInt64 = 0
    for index in 0..<8 { word |= UInt64(bytes[index]) << UInt64(index * 8) }
    return word
  }

  /// The first control byte (TAB is one as well) from an offset on, or `end`.
  @inline(__always)
  func endOfText(from start: Int, to end: Int) -> Int {
    var offset = start
    while offset + 8 <= end {
      let word = word(at: offset)
      let marks = word.marks(below: 0x20) | word.deleteMarks
      if marks != 0 { return offset + marks.trailingZeroBitCount / 8 }
      offset += 8
    }
    while offset < end, !self[offset].isControl { offset += 1 }
    return offset
  }

  /// The first control byte or space from an offset on, or `end`.
  @inline(__always)
  func endOfVisible(from start: Int, to end: Int) -> Int {
    var offset = start
    while offset + 8 <= end {
      let word = word(at: offset)
      let marks = word.marks(below: 0x21) | word.deleteMarks
      if marks != 0 { return offset + marks.trailingZeroBitCount / 8 }
      offset += 8
    }
    while offset < end, self[offset] > .space, self[offset] != 0x7F { offset += 1 }
    return offset
  }

  /// The first byte that is neither a letter nor a digit nor `-`, from an offset on; `end`, or a little less, where
  /// there is none.
  @inline(__always)
  func endOfPlainName(from start: Int, to end: Int) -> Int {
    var offset = start
    while offset + 8 <= end {
      let marks = word(at: offset).otherMarks
      if marks != 0 { return offset + marks.trailingZeroBitCount / 8 }
      offset += 8
    }
    return offset
  }
}

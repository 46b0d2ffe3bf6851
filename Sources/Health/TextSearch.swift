/// Whether a text occurs in bytes that come in pieces. Keeps none of them, and looks at each once, whatever they are
/// (Knuth, Morris, Pratt).
struct TextSearch {
  private let text: [UInt8]
  /// For each length of a beginning of the text: how much of that beginning's end is a beginning, too.
  private let fallback: [Int]
  private var matched = 0

  /// - Parameter text: not empty.
  init(_ text: [UInt8]) {
    self.text = text
    var fallback = [0, 0]
    var length = 0
    for byte in text.dropFirst() {
      while length > 0, text[length] != byte { length = fallback[length] }
      if text[length] == byte { length += 1 }
      fallback.append(length)
    }
    self.fallback = fallback
  }

  /// Looks at the next piece; true where the text ends in it. Not to be used again then.
  mutating func finds(in bytes: ArraySlice<UInt8>) -> Bool {
    for byte in bytes {
      while matched > 0, text[matched] != byte { matched = fallback[matched] }
      if text[matched] == byte { matched += 1 }
      if matched == text.count { return true }
    }
    return false
  }
}

/// Follows the head of a message byte by byte, however it is cut, and gathers the little that decides where the message
/// ends. It keeps no bytes. What two readers could read differently it refuses, with the reason.
struct HeadTracker: Sendable {
  /// Bytes from the start line through the empty line. Apache takes some 800 KiB at most, nginx 32, browsers and
  /// libraries stay below 16.
  static let longestHead = 65_536

  private enum State: UInt8 {
    case methodStart, method, targetStart, target, requestVersion, requestLineEnd
    case answerVersion, answerVersionEnd, status, statusEnd, reason
    case lineFeed
    case fieldStart, name, value
    case foldStart, foldedName
    case lengthStart, length, lengthEnd
    case codingStart, coding, codingEnd
    case optionStart, option, optionEnd
    case lastLineFeed
    case complete
  }

  private var state: State
  private(set) var flags: Flags = []
  private(set) var method = Method.unknown
  /// The last field that a fold would continue.
  private var field = Keyword.other
  private var word = KeywordMatcher()
  /// Bytes or digits so far of the part that is counted.
  private var count: UInt8 = 0
  private(set) var status: UInt16 = 0
  private var taken: UInt32 = 0
  /// The bytes of the method, then the Content-Length.
  private(set) var number: UInt64 = 0

  static var request: HeadTracker { HeadTracker(state: .methodStart) }
  static var answer: HeadTracker { HeadTracker(state: .answerVersion) }

  private init(state: State) { self.state = state }

  /// Goes on at `offset` and moves it behind what it took; true where the head has ended.
  mutating func take(_ bytes: Span<UInt8>, from offset: inout Int) throws(Opacity) -> Bool {
    let start = offset
    let end = min(bytes.count, start + Self.longestHead - Int(taken))
    while offset < end, state != .complete {
      switch state {
      // What can be taken at one go. Each of these takes at least a byte, and leaves the same as byte by byte would.
      case .methodStart, .answerVersion: try takeStart(bytes, to: end, &offset)
      case .target: try skipTarget(bytes, to: end, &offset)
      case .value, .reason: try skipText(bytes, to: end, &offset)
      case .fieldStart: try takeFields(bytes, to: end, &offset)
      case .name: try takeName(bytes, to: end, &offset)
      default:
        try take(bytes[offset])
        offset += 1
      }
    }
    taken += UInt32(offset - start)
    if state == .complete { return true }
    if Int(taken) == Self.longestHead { throw .longHead }
    return false
  }

  // MARK: Many bytes

  /// The beginning of a start line, where it is what it nearly always is.
  private mutating func takeStart(_ bytes: Span<UInt8>, to end: Int, _ offset: inout Int) throws(Opacity) {
    if offset + 8 <= end, count == 0 {
      let word = bytes.word(at: offset)
      if state == .answerVersion, word == packed("HTTP/1.1") {
        state = .answerVersionEnd
        offset += 8
        return
      }
      if state == .methodStart, word & 0xFFFF_FFFF == packed("GET ") {
        (method, state) = (.get, .targetStart)
        offset += 4
        return
      }
    }
    try take(bytes[offset])
    offset += 1
  }

  private mutating func skipTarget(_ bytes: Span<UInt8>, to end: Int, _ offset: inout Int) throws(Opacity) {
    // Visible bytes: origin-form, absolute-form, authority-form and * alike (RFC 9112 §3.2).
    offset = bytes.endOfVisible(from: offset, to: end)
    guard offset < end else { return }
    guard bytes[offset] == .space else { throw .startLine }
    offset += 1
    (state, count) = (.requestVersion, 0)
    if offset + 8 <= end, bytes.word(at: offset) == packed("HTTP/1.1") {
      state = .requestLineEnd
      offset += 8
    }
  }

  private mutating func skipText(_ bytes: Span<UInt8>, to end: Int, _ offset: inout Int) throws(Opacity) {
    offset = bytes.endOfText(from: offset, to: end)
    guard offset < end else { return }
    if bytes[offset] != .tab { try endLine(bytes[offset]) }
    offset += 1
  }

  /// Whole fields that decide nothing, and the name of one that does.
  private mutating func takeFields(_ bytes: Span<UInt8>, to end: Int, _ offset: inout Int) throws(Opacity) {
    while offset + 8 <= end {
      let nameEnd = bytes.endOfPlainName(from: offset, to: end)
      // No name, one with other characters in it, or not all of it: byte by byte.
      guard nameEnd > offset, nameEnd < end, bytes[nameEnd] == .colon else { break }
      flags.insert(.hasField)
      let name = Keyword(fieldNamed: offset..<nameEnd, in: bytes)
      offset = nameEnd + 1
      try beginValue(of: name)
      guard name == .other || name == .connection else { return }
      let valueEnd = bytes.endOfText(from: offset, to: end)
      let isWhole =
        flags.contains(.hasCRLF) && valueEnd + 2 <= end && bytes[valueEnd] == .carriageReturn
        && bytes[valueEnd + 1] == .lineFeed
      if name == .connection {
        guard isWhole, takeOnlyOption(bytes, offset..<valueEnd) else { return }
      }
      offset = valueEnd
      guard isWhole else { return }
      state = .fieldStart
      offset += 2
    }
    guard offset < end else { return }
    try take(bytes[offset])
    offset += 1
  }

  /// What is nearly always the whole of `Connection`. False, and nothing is taken, for anything else.
  private mutating func takeOnlyOption(_ bytes: Span<UInt8>, _ value: Range<Int>) -> Bool {
    let option = bytes.trimmed(value)
    guard option.count == 10, bytes.word(at: option.lowerBound).lowercased == packed("keep-ali"),
      bytes.word(at: option.upperBound - 8).lowercased == packed("ep-alive")
    else { return false }
    flags.insert(.keepsAlive)
    return true
  }

  private mutating func takeName(_ bytes: Span<UInt8>, to end: Int, _ offset: inout Int) throws(Opacity) {
    while offset < end, bytes[offset].isToken {
      word.take(bytes[offset])
      offset += 1
    }
    guard offset < end else { return }
    // No blank between name and colon: RFC 9112 §5.1.
    guard bytes[offset] == .colon else { throw .fieldName }
    offset += 1
    try beginValue(of: word.match)
  }

  // MARK: One byte

  private mutating func take(_ byte: UInt8) throws(Opacity) {
    switch state {
    case .methodStart, .method: try takeMethod(byte)
    case .targetStart:
      guard byte > .space, byte != 0x7F else { throw .startLine }
      state = .target
    case .requestVersion:
      if try takeVersion(byte) { state = .requestLineEnd }
    case .requestLineEnd: try endRequestLine(byte)
    case .answerVersion:
      if try takeVersion(byte) { state = .answerVersionEnd }
    case .answerVersionEnd:
      guard byte == .space else { throw .startLine }
      (state, count) = (.status, 0)
    case .status:
      guard let digit = byte.decimalValue else { throw .startLine }
      status = status * 10 + UInt16(digit)
      count += 1
      guard status > 0 else { throw .startLine }
      if count == 3 { state = .statusEnd }
    case .statusEnd: if byte == .space { state = .reason } else { try endLine(byte) }
    case .lineFeed:
      // A CR that no LF follows: RFC 9112 §2.2.
      guard byte == .lineFeed else { throw .bareCarriageReturn }
      state = .fieldStart
    case .fieldStart: try beginLine(byte)
    case .foldStart, .foldedName: try takeFold(byte)
    case .lengthStart, .length, .lengthEnd: try takeLength(byte)
    case .codingStart, .coding, .codingEnd: try takeCoding(byte)
    case .optionStart, .option, .optionEnd: try takeOption(byte)
    case .lastLineFeed:
      guard byte == .lineFeed else { throw .bareCarriageReturn }
      state = .complete
    case .target, .name, .value, .reason, .complete: break
    }
  }

  /// The start line: RFC 9112 §3 and §4. One space between its parts; whatever is more lenient is read in two ways.
  private mutating func takeMethod(_ byte: UInt8) throws(Opacity) {
    if byte == .space, state == .method {
      method = try Method(number, count: count)
      number = 0
      state = .targetStart
      return
    }
    guard byte.isToken else { throw .startLine }
    state = .method
    if count < 8 {
      number |= UInt64(byte) << (UInt64(count) * 8)
      count += 1
    } else {
      // Longer than any that matters.
      number = 0
    }
  }

  private mutating func endRequestLine(_ byte: UInt8) throws(Opacity) {
    // The answer was taken for one to another method, which has a body.
    if flags.contains(.isAnswered), method == .head || method == .connect { throw .earlyAnswer }
    flags.insert(.hasLine)
    try endLine(byte)
  }

  /// `HTTP/1.` and a digit; true at the digit. RFC 9112 §2.3; a higher minor version counts as 1 (RFC 9110 §2.5).
  private mutating func takeVersion(_ byte: UInt8) throws(Opacity) -> Bool {
    defer { count += 1 }
    if count < 7 {
      // "HTTP/1."
      guard byte == UInt8(truncatingIfNeeded: 0x2E_312F_5054_5448 as UInt64 >> (UInt64(count) * 8)) else {
        throw .startLine
      }
      return false
    }
    guard let digit = byte.decimalValue else { throw .startLine }
    if digit == 0 { flags.insert(.isHTTP10) }
    return true
  }

  // MARK: Lines

  /// The byte that ends a line: CR, which LF has to follow, or LF alone (RFC 9112 §2.2).
  private mutating func endLine(_ byte: UInt8) throws(Opacity) {
    switch byte {
    case .carriageReturn:
      try note(.hasCRLF)
      state = .lineFeed
    case .lineFeed:
      try note(.hasBareLF)
      state = .fieldStart
    default: throw .controlByte
    }
  }

  /// A reader that takes LF alone for a line's end and one that does not would see different fields in a head that has
  /// both.
  private mutating func note(_ ending: Flags) throws(Opacity) {
    flags.insert(ending)
    if flags.isSuperset(of: [.hasCRLF, .hasBareLF]) { throw .mixedLineEnds }
  }

  private mutating func beginLine(_ byte: UInt8) throws(Opacity) {
    switch byte {
    case .carriageReturn:
      try note(.hasCRLF)
      state = .lastLineFeed
    case .lineFeed:
      try note(.hasBareLF)
      state = .complete
    case .space, .tab:
      // Before the first field: RFC 9112 §2.2. After one it is a fold (§5.2), which some readers join, some refuse and
      // some take for a field: none of it may matter.
      guard flags.contains(.hasField), field == .other else { throw .foldedField }
      state = .foldStart
    default:
      guard byte.isToken else { throw .fieldName }
      flags.insert(.hasField)
      word = KeywordMatcher(Keyword(fieldBeginningWith: byte))
      state = .name
    }
  }

  private mutating func takeFold(_ byte: UInt8) throws(Opacity) {
    if byte == .carriageReturn || byte == .lineFeed {
      // A line of blanks only is the end of the head for a reader that trims lines.
      if state == .foldStart { throw .foldedField }
      return try endLine(byte)
    }
    if byte.isControl && byte != .tab { throw .controlByte }
    if state == .foldStart {
      if byte.isBlank { return }
      word = KeywordMatcher(Keyword(fieldBeginningWith: byte))
      state = byte.isToken ? .foldedName : .value
    } else if byte.isToken {
      word.take(byte)
    } else {
      // A colon, or a blank that a lenient reader would pass over before one.
      if (byte == .colon || byte.isBlank) && word.match != .other { throw .foldedField }
      state = .value
    }
  }

  private mutating func beginValue(of name: Keyword) throws(Opacity) {
    field = name
    switch name {
    case .contentLength:
      // Twice, even with the same number: RFC 9112 §6.3 rule 5 lets a recipient choose.
      if flags.contains(.hasLength) { throw .contentLength }
      flags.insert(.hasLength)
      (number, state) = (0, .lengthStart)
    case .transferEncoding:
      if flags.contains(.isChunked) { throw .transferEncoding }
      flags.insert(.isChunked)
      state = .codingStart
    case .connection: state = .optionStart
    case .upgrade:
      flags.insert(.upgrades)
      state = .value
    case .expect:
      flags.insert(.expects)
      state = .value
    case .other, .chunked, .close, .keepAlive: state = .value
    }
  }

  // MARK: Values

  /// Content-Length: digits and nothing else (RFC 9110 §8.6).
  private mutating func takeLength(_ byte: UInt8) throws(Opacity) {
    switch state {
    case .lengthStart where byte.isBlank: return
    case .lengthStart, .length:
      if let digit = byte.decimalValue {
        let (product, overflow) = number.multipliedReportingOverflow(by: 10)
        let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
        if overflow || carry { throw .contentLength }
        (number, state) = (sum, .length)
        return
      }
      guard state == .length else { throw .contentLength }
      if byte.isBlank { state = .lengthEnd } else { try endValue(byte, else: .contentLength) }
    default: if !byte.isBlank { try endValue(byte, else: .contentLength) }
    }
  }

  /// Transfer-Encoding: "chunked" and nothing else. Other codings, or it among others, are read differently (§6.1, §7).
  private mutating func takeCoding(_ byte: UInt8) throws(Opacity) {
    switch state {
    case .codingStart:
      if byte.isBlank { return }
      guard byte.lowercased == UInt8(ascii: "c") else { throw .transferEncoding }
      (word, state) = (KeywordMatcher(.chunked), .coding)
    case .coding where byte.isToken: word.take(byte)
    default:
      guard word.match == .chunked else { throw .transferEncoding }
      if byte.isBlank { state = .codingEnd } else { try endValue(byte, else: .transferEncoding) }
    }
  }

  /// Connection: a list of options (RFC 9110 §7.6.1), of which two matter (RFC 9112 §9.3).
  private mutating func takeOption(_ byte: UInt8) throws(Opacity) {
    if state == .option, !byte.isToken {
      switch word.match {
      case .close: flags.insert(.closes)
      case .keepAlive: flags.insert(.keepsAlive)
      default: break
      }
      state = .optionEnd
    }
    switch byte {
    case .carriageReturn, .lineFeed: try endLine(byte)
    case .comma: state = .optionStart
    case _ where byte.isControl && byte != .tab: throw .controlByte
    case _ where state == .optionStart && byte.isToken:
      word = KeywordMatcher(Keyword(optionBeginningWith: byte))
      state = .option
    case _ where state == .option: word.take(byte)
    case _ where state == .optionStart && !byte.isBlank: state = .optionEnd
    default: break
    }
  }

  private mutating func endValue(_ byte: UInt8, else opacity: Opacity) throws(Opacity) {
    guard byte == .carriageReturn || byte == .lineFeed else { throw opacity }
    try endLine(byte)
  }

  // MARK: What it comes to

  /// Whether the request line is complete and has this method.
  func hasMethod(_ wanted: Method) -> Bool { method == wanted && flags.contains(.hasLine) }

  /// The head of the final answer has come while the request's own is on its way.
  mutating func wasAnswered() { flags.insert(.isAnswered) }

  /// Whether the connection goes on after this message: RFC 9112 §9.3.
  var persists: Bool {
    if flags.contains(.closes) { return false }
    return !flags.contains(.isHTTP10) || flags.contains(.keepsAlive)
  }

  /// How the body of a complete head's message ends, save for what its being an answer changes: RFC 9112 §6.3.
  func bodyLength() throws(Opacity) -> BodyLength? {
    guard flags.contains(.isChunked) else { return flags.contains(.hasLength) ? .bytes(number) : nil }
    // §6.3 rule 3: an attempt at smuggling, most likely.
    if flags.contains(.hasLength) { throw .lengthAndCoding }
    // §6.1: a message of HTTP/1.0 with a coding is faulty.
    if flags.contains(.isHTTP10) { throw .transferEncoding }
    return .chunked
  }
}

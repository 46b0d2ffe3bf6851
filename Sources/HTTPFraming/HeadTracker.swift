/// Follows the head of a message byte by byte, however it is cut, and gathers the little that decides where the message
/// ends. It keeps no bytes. What two readers could read differently it refuses, with the reason.
struct HeadTracker: Sendable {
  /// Bytes from the start line through the empty line. Apache takes some 800 KiB at most, nginx 32, browsers and
  /// libraries stay below 16.
  static let longestHead = 65_536

  enum Method: UInt8 {
    case unknown, get, head, put, delete, options, trace, connect, other

    /// RFC 9110 §9.2.2.
    var isIdempotent: Bool {
      switch self {
      case .get, .head, .put, .delete, .options, .trace: true
      case .unknown, .connect, .other: false
      }
    }
  }

  struct Flags: OptionSet {
    let rawValue: UInt16
    static let isHTTP10 = Flags(rawValue: 1 << 0)
    static let hasLength = Flags(rawValue: 1 << 1)
    static let isChunked = Flags(rawValue: 1 << 2)
    static let closes = Flags(rawValue: 1 << 3)
    static let keepsAlive = Flags(rawValue: 1 << 4)
    static let upgrades = Flags(rawValue: 1 << 5)
    fileprivate static let hasField = Flags(rawValue: 1 << 6)
    fileprivate static let hasCRLF = Flags(rawValue: 1 << 7)
    fileprivate static let hasBareLF = Flags(rawValue: 1 << 8)
  }

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
      // What is usual and whole, and what does not matter, at one go; what is cut, and all else, byte by byte.
      case .target: try skipTarget(bytes, to: end, &offset)
      case .value, .reason: try skipText(bytes, to: end, &offset)
      case .fieldStart: try takeWholeName(bytes, to: end, &offset)
      case .name: try takeName(bytes, to: end, &offset)
      case .optionStart: try takeWholeOption(bytes, to: end, &offset)
      case .requestVersion, .answerVersion: try takeWholeVersion(bytes, to: end, &offset)
      default: try takeOne(bytes, &offset)
      }
    }
    taken += UInt32(offset - start)
    if state == .complete { return true }
    if Int(taken) == Self.longestHead { throw .longHead }
    return false
  }

  private mutating func takeOne(_ bytes: Span<UInt8>, _ offset: inout Int) throws(Opacity) {
    try take(bytes[offset])
    offset += 1
  }

  private mutating func skipTarget(_ bytes: Span<UInt8>, to end: Int, _ offset: inout Int) throws(Opacity) {
    // Visible bytes: origin-form, absolute-form, authority-form and * alike (RFC 9112 §3.2).
    while offset < end, bytes[offset] > .space, bytes[offset] != 0x7F { offset += 1 }
    guard offset < end else { return }
    guard bytes[offset] == .space else { throw .startLine }
    offset += 1
    (state, count) = (.requestVersion, 0)
  }

  private mutating func skipText(_ bytes: Span<UInt8>, to end: Int, _ offset: inout Int) throws(Opacity) {
    offset = bytes.firstControl(from: offset, to: end)
    guard offset < end else { return }
    let byte = bytes[offset]
    offset += 1
    if byte == .tab { return }
    try endLine(byte)
    if state == .lineFeed, offset < end, bytes[offset] == .lineFeed {
      offset += 1
      state = .fieldStart
    }
  }

  private mutating func takeWholeName(_ bytes: Span<UInt8>, to end: Int, _ offset: inout Int) throws(Opacity) {
    let nameEnd = bytes.endOfToken(from: offset, to: end)
    guard nameEnd > offset, nameEnd < end, bytes[nameEnd] == .colon else { return try takeOne(bytes, &offset) }
    flags.insert(.hasField)
    try beginValue(of: Keyword(field: offset..<nameEnd, in: bytes))
    offset = nameEnd + 1
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

  private mutating func takeWholeOption(_ bytes: Span<UInt8>, to end: Int, _ offset: inout Int) throws(Opacity) {
    let wordEnd = bytes.endOfToken(from: offset, to: end)
    guard wordEnd > offset, wordEnd < end else { return try takeOne(bytes, &offset) }
    note(option: Keyword(option: offset..<wordEnd, in: bytes))
    state = .optionEnd
    offset = wordEnd
  }

  private mutating func takeWholeVersion(_ bytes: Span<UInt8>, to end: Int, _ offset: inout Int) throws(Opacity) {
    guard count == 0, end - offset >= 8 else { return try takeOne(bytes, &offset) }
    switch bytes.word(at: offset) {
    case 0x312E_312F_5054_5448: break  // HTTP/1.1
    case 0x302E_312F_5054_5448: flags.insert(.isHTTP10)  // HTTP/1.0
    default: return try takeOne(bytes, &offset)
    }
    state = state == .requestVersion ? .requestLineEnd : .answerVersionEnd
    offset += 8
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
    case .requestLineEnd: try endLine(byte)
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
      method = try Self.method(number, count: count)
      number = 0
      state = .targetStart
      return
    }
    guard byte.isToken else { throw .startLine }
    state = .method
    if count < 8 {
      number = number << 8 | UInt64(byte)
      count += 1
    } else {
      number = 0
    }
  }

  /// - Parameter bytes: the first byte is the highest.
  private static func method(_ bytes: UInt64, count: UInt8) throws(Opacity) -> Method {
    switch bytes {
    case 0x47_4554: return .get
    case 0x4845_4144: return .head
    case 0x50_5554: return .put
    case 0x4445_4C45_5445: return .delete
    case 0x4F_5054_494F_4E53: return .options
    case 0x54_5241_4345: return .trace
    case 0x43_4F4E_4E45_4354: return .connect
    default:
      // Methods are case-sensitive (RFC 9110 §9.1), but not every server thinks so, and these two change what an
      // answer's body is.
      let folded = bytes | 0x2020_2020_2020_2020
      let isHead = count == 4 && folded == 0x2020_2020_6865_6164
      let isConnect = count == 7 && folded == 0x2063_6F6E_6E65_6374
      if isHead || isConnect { throw .methodCase }
      return .other
    }
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
    if byte == .carriageReturn || byte == .lineFeed { return try endLine(byte) }
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
      note(option: word.match)
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

  private mutating func note(option: Keyword) {
    if option == .close { flags.insert(.closes) }
    if option == .keepAlive { flags.insert(.keepsAlive) }
  }

  private mutating func endValue(_ byte: UInt8, else opacity: Opacity) throws(Opacity) {
    guard byte == .carriageReturn || byte == .lineFeed else { throw opacity }
    try endLine(byte)
  }

  // MARK: What it comes to

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

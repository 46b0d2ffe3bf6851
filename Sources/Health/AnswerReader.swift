import HTTPFraming

/// Judges the answer to a probe, which comes in pieces. Whoever sent it is not trusted: no bytes trap, and no more of
/// them are kept than a head may have.
///
/// It is lenient where the relay is, too: a backend that ends its lines with LF alone, say, serves clients well enough.
struct AnswerReader {
  /// Bytes of the head of the answer and of those (1xx) before it, together.
  static let headLimit = 16 * 1024
  /// Bytes of the body that are looked at, without what chunks add.
  static let bodyLimit = 64 * 1024

  private static let start: [UInt8] = Array("HTTP/1.".utf8)

  private enum Stage {
    case head(HeadScanner)
    /// `left` bytes are still to come.
    case counted(left: UInt64)
    case chunked(ChunkScanner)
    case untilClose
  }

  private let expectation: HTTPExpectation
  private var stage = Stage.head(HeadScanner(limit: headLimit))
  /// The present head, and what came behind it, until it is whole.
  private var head: [UInt8] = []
  /// Bytes of heads before the present one.
  private var earlierHeads = 0
  private var status = 0
  private var search: TextSearch?
  private var lookedAt = 0
  /// Whether anything has come.
  private(set) var isBegun = false

  init(_ expectation: HTTPExpectation) {
    self.expectation = expectation
    search = expectation.body.flatMap { $0.isEmpty ? nil : TextSearch(Array($0.utf8)) }
  }

  /// Takes the next piece; answers the finding once it is known. Not to be used again then.
  mutating func take(_ bytes: ArraySlice<UInt8>) -> Finding? {
    if bytes.isEmpty { return nil }
    isBegun = true
    guard case .head(var scanner) = stage else { return takeBody(bytes) }
    head += bytes
    while true {
      // Before the head is whole: the greeting of another protocol may have no end.
      guard head.starts(with: Self.start.prefix(head.count)) else { return .notHTTP }
      switch scanner.scan(head.span) {
      case .incomplete:
        stage = .head(scanner)
        return nil
      case .refused(.tooLong): return .headTooLong
      case .refused: return .notHTTP
      case .complete(let length):
        guard let status = Self.status(of: head) else { return .notHTTP }
        // 101 is final: RFC 9110 §15.2.2.
        if status >= 200 || status == 101 { return takeHead(status, length) }
        earlierHeads += length
        head.removeFirst(length)
        scanner = HeadScanner(limit: Self.headLimit - earlierHeads)
      }
    }
  }

  /// The connection has ended.
  func end() -> Finding {
    if case .head = stage { return .closedEarly }
    return textMissing
  }

  private var textMissing: Finding { .textMissing(expectation.body ?? "") }

  /// The number after `HTTP/1.1 `; nil where there is none.
  private static func status(of head: [UInt8]) -> Int? {
    let rest = head.dropFirst(start.count).prefix(6)
    guard rest.count == 6, let minor = rest.first, let last = rest.last else { return nil }
    let digits = rest.dropFirst(2).prefix(3)
    guard isDigit(minor), rest.dropFirst().first == UInt8(ascii: " "), digits.allSatisfy(isDigit),
      " \r\n".utf8.contains(last)
    else { return nil }
    let status = digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    return status >= 100 ? status : nil
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

  private mutating func takeHead(_ status: Int, _ length: Int) -> Finding? {
    guard expectation.statuses.contains(where: { $0.contains(status) }) else {
      return .unexpectedStatus(status, expected: expectation.statuses)
    }
    if search == nil { return .status(status) }
    self.status = status
    // A head that says two things of its body's length, or is a little odd: the text is looked for in whatever comes.
    switch (try? ResponseHead(head.span.extracting(0..<length), answering: "GET"))?.body ?? .untilClose {
    case .bytes(let count): stage = .counted(left: count)
    case .chunked: stage = .chunked(ChunkScanner())
    case .untilClose: stage = .untilClose
    }
    let rest = head[length...]
    head = []
    return takeBody(rest)
  }

  private mutating func takeBody(_ bytes: ArraySlice<UInt8>) -> Finding? {
    switch stage {
    case .head: return nil
    case .untilClose: return look(at: bytes)
    case .counted(let left):
      let part = bytes.prefix(Int(clamping: left))
      stage = .counted(left: left - UInt64(part.count))
      return look(at: part) ?? (left == UInt64(part.count) ? textMissing : nil)
    case .chunked(var scanner):
      let bytes = Array(bytes)
      var offset = 0
      while true {
        guard let step = try? scanner.next(bytes.span, from: &offset) else { return .brokenBody }
        switch step {
        case .incomplete:
          stage = .chunked(scanner)
          return nil
        case .data(let range):
          if let finding = look(at: bytes[range]) { return finding }
        case .end: return textMissing
        }
      }
    }
  }

  private mutating func look(at data: ArraySlice<UInt8>) -> Finding? {
    let part = data.prefix(Self.bodyLimit - lookedAt)
    lookedAt += part.count
    if search?.finds(in: part) == true { return .status(status) }
    return lookedAt == Self.bodyLimit ? textMissing : nil
  }
}

/// Watches one connection of HTTP/1 in both directions, and says where requests and answers begin and end: RFC 9112.
/// Whoever forwards the bytes forwards them as they are.
///
/// Where two readers could disagree it becomes opaque: it claims no boundary any more. That is always safe. A boundary
/// where the backend sees none would not be: what follows it could become another request than the client meant.
///
/// What it says depends on the bytes and their order alone, never on how they were cut.
public struct ExchangeTracker: Sendable {
  /// Requests that may wait for their answers at a time: a bit each.
  public static let mostOutstanding = 64

  private var request = MessageTracker(.request)
  private var answer = MessageTracker(.answer)
  // A bit for each outstanding request whose head has come, the oldest lowest.
  private var heads: UInt64 = 0
  private var unrepeatable: UInt64 = 0

  /// Why boundaries are not claimed any more; nil while they are. Final.
  public private(set) var opacity: Opacity?
  private var count: UInt8 = 0
  /// Any byte of the oldest outstanding answer has come, an interim one (1xx) included.
  public private(set) var hasAnswerBegun = false
  // Of the newest outstanding request: nothing begins behind such a one.
  private var isTunnel = false
  private var asksForUpgrade = false
  /// The request under way has a body that its client may hold back until 100 (Continue) comes.
  private var awaitsContinue = false
  private var isBehindCarriageReturn = false
  /// Heads of final answers that have come, and those with a status of 500 or more; until they are taken.
  private var finalAnswers: UInt16 = 0
  private var serverErrors: UInt16 = 0
  private var lastRequestCame = false
  private var lastAnswerEnded = false

  public init() {}

  public var isOpaque: Bool { opacity != nil }

  /// Requests that were begun and whose final answer has not ended; 0 to `mostOutstanding`.
  public var outstanding: Int { Int(count) }

  /// The next byte of the client begins a request, or is part of an empty line before one.
  public var isBetweenRequests: Bool { request.phase == .between && !isOpaque }

  /// Whether a request may begin now. What follows a CONNECT, or a request that asks for an upgrade, is a request only
  /// once its answer is known; what follows a message that said it is the last is none.
  public var mayBegin: Bool {
    count < Self.mostOutstanding && !isTunnel && !asksForUpgrade && !isLast && !isOpaque
  }

  /// Nothing is under way, and the connection goes on.
  public var isIdle: Bool { count == 0 && isBetweenRequests && !isBehindCarriageReturn && !isLast }

  /// The connection ends with what is outstanding, or has come to its end: RFC 9112 §9.3, §9.6. A FIN that follows is
  /// meant for the client.
  public var isLast: Bool { lastRequestCame || lastAnswerEnded }

  /// No outstanding request is known to have a method that is not idempotent: RFC 9110 §9.2.2.
  public var isIdempotent: Bool {
    if isNewestInHead, request.head.method != .unknown, !request.head.method.isIdempotent { return false }
    return unrepeatable == 0
  }

  /// The oldest outstanding request is a HEAD: its answer has no body.
  public var expectsNoBody: Bool {
    heads & 1 != 0 || count == 1 && isNewestInHead && request.head.hasMethod(.head)
  }

  /// The request under way is the newest of those outstanding: an early answer has not ended yet.
  private var isNewestInHead: Bool { request.phase == .head && count > 0 }

  /// Boundaries are not claimed from here on. The first reason counts.
  public mutating func becomeOpaque(_ reason: Opacity) {
    if opacity == nil { opacity = reason }
  }

  // MARK: Requests

  /// Skips empty lines before a request (RFC 9112 §2.2); answers the offset of the first other byte, or the end. Only
  /// between requests.
  public mutating func skipEmptyLines(_ bytes: Span<UInt8>, from offset: Int) -> Int {
    var offset = offset
    while offset < bytes.count {
      let byte = bytes[offset]
      guard byte == .lineFeed || byte == .carriageReturn && !isBehindCarriageReturn else { break }
      isBehindCarriageReturn = byte == .carriageReturn
      offset += 1
    }
    return offset
  }

  /// A request begins with the next byte. Only between requests, and where one may begin.
  public mutating func beginRequest() {
    guard isBetweenRequests, mayBegin else { return becomeOpaque(.outOfTurn) }
    if isBehindCarriageReturn { return becomeOpaque(.bareCarriageReturn) }
    count += 1
    awaitsContinue = false
    request.begin(.request)
  }

  /// Takes bytes of the request that has begun, up to its end; answers the offset behind what it took. Opaque: all.
  public mutating func takeRequest(_ bytes: Span<UInt8>, from offset: Int) -> Int {
    guard !isOpaque else { return bytes.count }
    guard offset < bytes.count else { return offset }
    var end = offset
    do throws(Opacity) {
      if request.phase == .head {
        guard try request.head.take(bytes, from: &end) else { return end }
        try requestHeadEnded()
      }
      if request.phase != .between, end < bytes.count {
        awaitsContinue = false
        try request.takeBody(bytes, from: &end)
      }
      return end
    } catch {
      becomeOpaque(error)
      return bytes.count
    }
  }

  private mutating func requestHeadEnded() throws(Opacity) {
    let head = request.head
    // An early answer may have ended before: then this is the newest of none.
    if count > 0 {
      let newest: UInt64 = 1 << UInt64(count - 1)
      if head.method == .head { heads |= newest }
      if !head.method.isIdempotent { unrepeatable |= newest }
      isTunnel = head.method == .connect
      asksForUpgrade = head.flags.contains(.upgrades)
    }
    if !head.persists { lastRequestCame = true }
    // Without a length there is no body: RFC 9112 §6.3 rule 7.
    let length = try head.bodyLength() ?? .bytes(0)
    if length != .bytes(0) {
      // RFC 9110 §9.3: with these a body means nothing, and servers that leave it unread take it for the next request, or
      // for the first of what goes through a tunnel.
      switch head.method {
      case .get, .head, .delete, .trace, .connect: throw .unexpectedBody
      case .put, .options, .other, .unknown: break
      }
      if head.flags.contains(.expects) {
        if head.flags.contains(.isAnswered) { throw .expectation }
        awaitsContinue = true
      }
    }
    request.beginBody(length)
  }

  /// How many of the request's next bytes tell nothing, and may go by without being looked at. Opaque: all.
  public var unseenOfRequest: Int { isOpaque ? .max : request.unseen }

  /// So many of them, at most `unseenOfRequest`, have gone by.
  public mutating func passRequest(_ count: Int) {
    if !isOpaque, count > 0 {
      awaitsContinue = false
      request.pass(count)
    }
  }

  // MARK: Answers

  /// Final answers that have begun since the last call, and those of them with a status of 500 or more.
  public mutating func takeAnswered() -> (all: UInt16, serverErrors: UInt16) {
    defer { (finalAnswers, serverErrors) = (0, 0) }
    return (finalAnswers, serverErrors)
  }

  /// Takes bytes of the oldest outstanding answer, up to the end of the final one; answers the offset behind what it
  /// took. Takes nothing where nothing is outstanding, or the connection has come to its end. Opaque: all.
  public mutating func takeAnswer(_ bytes: Span<UInt8>, from offset: Int) -> Int {
    guard !isOpaque else { return bytes.count }
    guard count > 0, !lastAnswerEnded else { return offset }
    var end = offset
    do throws(Opacity) {
      while end < bytes.count {
        if answer.phase == .between {
          hasAnswerBegun = true
          answer.begin(.answer)
        }
        if answer.phase == .head {
          guard try answer.head.take(bytes, from: &end) else { return end }
          // 1xx is no answer yet: RFC 9110 §15.2.
          guard try answerHeadEnded() else { continue }
        }
        if answer.phase != .between { try answer.takeBody(bytes, from: &end) }
        if answer.phase == .between {
          answerEnded()
          return end
        }
      }
      return end
    } catch {
      becomeOpaque(error)
      return bytes.count
    }
  }

  /// How many of the answer's next bytes tell nothing, and may go by without being looked at. Opaque: all.
  public var unseenOfAnswer: Int { isOpaque ? .max : lastAnswerEnded ? 0 : answer.unseen }

  /// So many of them, at most `unseenOfAnswer`, have gone by.
  public mutating func passAnswer(_ count: Int) {
    if !isOpaque { answer.pass(count) }
  }

  /// False: an interim answer has ended.
  private mutating func answerHeadEnded() throws(Opacity) -> Bool {
    let status = answer.head.status
    if status == 101 { throw .upgraded }
    if status < 200 {
      // From here on the body comes, or the connection ends: RFC 9110 §10.1.1.
      if status == 100, count == 1 { awaitsContinue = false }
      answer.phase = .between
      return false
    }
    finalAnswers &+= 1
    if status >= 500 { serverErrors &+= 1 }
    if count == 1 { try newestIsAnswered(status) }
    let length = try answer.head.bodyLength()
    // RFC 9112 §6.3 rules 1 and 8.
    let hasNoBody = expectsNoBody || status == 204 || status == 304
    answer.beginBody(hasNoBody ? .bytes(0) : length ?? .untilClose)
    return true
  }

  /// The head of the final answer to the newest request has come, which may still be on its way.
  private mutating func newestIsAnswered(_ status: UInt16) throws(Opacity) {
    // RFC 9112 §6.3 rule 2.
    if status < 300, request.phase == .head ? request.head.hasMethod(.connect) : isTunnel { throw .tunnel }
    switch request.phase {
    case .between: break
    case .head: request.head.wasAnswered()
    case .bytes, .chunks, .untilClose:
      // A client that has not been told to continue may send the body, or leave it away and go on with another request
      // (RFC 9110 §10.1.1), and servers differ in what they take it for.
      if awaitsContinue { throw .expectation }
    }
  }

  private mutating func answerEnded() {
    if !answer.head.persists { lastAnswerEnded = true }
    count -= 1
    heads >>= 1
    unrepeatable >>= 1
    hasAnswerBegun = false
    if count == 0 { (isTunnel, asksForUpgrade) = (false, false) }
  }

  /// The backend has sent FIN, which ends an answer that is read until then: RFC 9112 §6.3 rule 8.
  public mutating func backendEnded() {
    guard !isOpaque, answer.phase == .untilClose else { return }
    answer.phase = .between
    answerEnded()
    lastAnswerEnded = true
  }
}

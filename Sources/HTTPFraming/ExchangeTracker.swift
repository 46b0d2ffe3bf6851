/// Why the boundaries of a session are not claimed, or not any more.
public enum Opacity: UInt8, Error, Sendable, CaseIterable, CustomStringConvertible {
  /// The protocol is another.
  case notHTTP
  case startLine, methodCase
  case longHead
  case controlByte, bareCarriageReturn, mixedLineEnds
  case fieldName, foldedField
  case contentLength, transferEncoding, lengthAndCoding
  case chunk
  /// Bytes of a backend that answer nothing, in the middle of a request.
  case surplus
  /// 101: the connection speaks another protocol from here on.
  case upgraded
  /// CONNECT was answered with 2xx.
  case tunnel

  public var description: String {
    switch self {
    case .notHTTP: "not HTTP"
    case .startLine: "a start line that is not HTTP/1"
    case .methodCase: "a method in an unusual case"
    case .longHead: "a head of over 64 KiB"
    case .controlByte: "a control character in a head"
    case .bareCarriageReturn: "a CR without LF"
    case .mixedLineEnds: "lines that end with CR LF and lines that end with LF"
    case .fieldName: "a field line that is not NAME: VALUE"
    case .foldedField: "a folded field"
    case .contentLength: "a Content-Length that is not one number"
    case .transferEncoding: "a Transfer-Encoding other than chunked"
    case .lengthAndCoding: "both Content-Length and Transfer-Encoding"
    case .chunk: "a chunk that is not framed as it should be"
    case .surplus: "an answer to no request"
    case .upgraded: "upgraded to another protocol"
    case .tunnel: "a tunnel"
    }
  }
}

/// Where one direction is.
private struct MessageTracker: Sendable {
  enum Phase: UInt8 { case between, head, bytes, chunks, untilClose }

  var phase = Phase.between
  var head: HeadTracker
  private var left: UInt64 = 0
  private var chunks = ChunkScanner()

  init(_ head: HeadTracker) { self.head = head }

  mutating func begin(_ fresh: HeadTracker) {
    head = fresh
    phase = .head
  }

  mutating func beginBody(_ length: BodyLength) {
    switch length {
    case .bytes(0): phase = .between
    case .bytes(let count): (phase, left) = (.bytes, count)
    case .chunked: (phase, chunks) = (.chunks, ChunkScanner())
    case .untilClose: phase = .untilClose
    }
  }

  /// Takes bytes of a body; `phase` is `between` where it has ended.
  mutating func takeBody(_ bytes: Span<UInt8>, from offset: inout Int) throws(Opacity) {
    switch phase {
    case .bytes:
      let count = min(UInt64(bytes.count - offset), left)
      offset += Int(count)
      left -= count
      if left == 0 { phase = .between }
    case .chunks:
      while true {
        let step: ChunkScanner.Step
        do { step = try chunks.next(bytes, from: &offset) } catch { throw .chunk }
        switch step {
        case .data: continue
        case .incomplete: return
        case .end:
          phase = .between
          return
        }
      }
    case .untilClose: offset = bytes.count
    case .between, .head: break
    }
  }
}

/// Watches one connection of HTTP/1 in both directions, and says where requests and answers begin and end: RFC 9112.
/// Whoever forwards the bytes forwards them as they are.
///
/// Where two readers could disagree it becomes opaque: it claims no boundary any more. That is always safe. A boundary
/// where the backend sees none would not be: what follows it could become another request than the client meant.
public struct ExchangeTracker: Sendable {
  /// Requests that may wait for their answers at a time.
  public static let mostOutstanding = 64

  public private(set) var opacity: Opacity?
  private var request = MessageTracker(.request)
  private var answer = MessageTracker(.answer)
  /// Requests that were begun and whose final answer has not ended.
  public private(set) var outstanding = 0
  // One bit for each outstanding request, the oldest lowest.
  private var heads: UInt64 = 0
  private var tunnels: UInt64 = 0
  private var upgrades: UInt64 = 0
  private var isMethodNoted = false
  /// No outstanding request is known to have a method that is not idempotent: RFC 9110 §9.2.2.
  public private(set) var isIdempotent = true
  /// Any byte of the oldest outstanding answer has come, an interim one (1xx) included.
  public private(set) var hasAnswerBegun = false
  private var isBehindCarriageReturn = false
  private var lastRequestCame = false
  private var lastAnswerEnded = false

  public init() {}

  public var isOpaque: Bool { opacity != nil }

  /// The next byte of the client begins a request, or is part of an empty line before one.
  public var isBetweenRequests: Bool { request.phase == .between }

  /// Whether a request may begin now. What follows a CONNECT, or a request that asks for an upgrade, is a request only
  /// once its answer is known; what follows a request that said it is the last is none.
  public var mayBegin: Bool {
    outstanding < Self.mostOutstanding && tunnels | upgrades == 0 && !isLast
  }

  /// Nothing is under way, and the connection goes on.
  public var isIdle: Bool { outstanding == 0 && isBetweenRequests && !isBehindCarriageReturn && !isLast }

  /// The connection ends with what is outstanding, or has come to its end: RFC 9112 §9.3, §9.6.
  public var isLast: Bool { lastRequestCame || lastAnswerEnded }

  /// The oldest outstanding request is a HEAD: its answer has no body.
  public var expectsNoBody: Bool { heads & 1 != 0 }

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
    if isBehindCarriageReturn { becomeOpaque(.bareCarriageReturn) }
    if outstanding == 0 { isIdempotent = true }
    outstanding += 1
    isMethodNoted = false
    request.begin(.request)
  }

  /// Takes bytes of the request that has begun, up to its end; answers the offset behind what it took.
  public mutating func takeRequest(_ bytes: Span<UInt8>, from offset: Int) -> Int {
    guard !isOpaque else { return bytes.count }
    var end = offset
    do throws(Opacity) {
      if request.phase == .head {
        let isComplete = try request.head.take(bytes, from: &end)
        if !isMethodNoted, request.head.method != .unknown { noteMethod() }
        guard isComplete else { return end }
        try requestHeadEnded()
      }
      if request.phase != .between { try request.takeBody(bytes, from: &end) }
      return end
    } catch {
      becomeOpaque(error)
      return bytes.count
    }
  }

  /// The bit of the newest request; none once that was answered, which an early answer may do before it has ended.
  private var newest: UInt64 { outstanding > 0 ? 1 << UInt64(outstanding - 1) : 0 }

  private mutating func noteMethod() {
    isMethodNoted = true
    if request.head.method == .head { heads |= newest }
    if request.head.method == .connect { tunnels |= newest }
    if !request.head.method.isIdempotent { isIdempotent = false }
  }

  private mutating func requestHeadEnded() throws(Opacity) {
    if request.head.flags.contains(.upgrades) { upgrades |= newest }
    if !request.head.persists { lastRequestCame = true }
    // Without a length there is no body: RFC 9112 §6.3 rule 7.
    request.beginBody(try request.head.bodyLength() ?? .bytes(0))
  }

  // MARK: Answers

  /// Takes bytes of the oldest outstanding answer, up to the end of the final one; answers the offset behind what it
  /// took. Takes nothing where nothing is outstanding, or the connection has come to its end.
  public mutating func takeAnswer(_ bytes: Span<UInt8>, from offset: Int) -> Int {
    guard !isOpaque else { return bytes.count }
    guard outstanding > 0, !lastAnswerEnded else { return offset }
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

  /// False: an interim answer has ended.
  private mutating func answerHeadEnded() throws(Opacity) -> Bool {
    let status = answer.head.status
    if status == 101 { throw .upgraded }
    if status < 200 {
      answer.phase = .between
      return false
    }
    if tunnels & 1 != 0, status < 300 { throw .tunnel }
    let length = try answer.head.bodyLength()
    // RFC 9112 §6.3 rules 1 and 8.
    let hasNoBody = expectsNoBody || status == 204 || status == 304
    answer.beginBody(hasNoBody ? .bytes(0) : length ?? .untilClose)
    return true
  }

  private mutating func answerEnded() {
    if !answer.head.persists { lastAnswerEnded = true }
    outstanding -= 1
    heads >>= 1
    tunnels >>= 1
    upgrades >>= 1
    hasAnswerBegun = false
  }

  /// The backend has sent FIN, which ends an answer that is read until then: RFC 9112 §6.3 rule 8.
  public mutating func backendEnded() {
    guard !isOpaque, answer.phase == .untilClose else { return }
    answer.phase = .between
    answerEnded()
    lastAnswerEnded = true
  }
}

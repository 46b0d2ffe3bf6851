/// The HTTP version of a message; a higher minor version counts as 1.1 (RFC 9110 §2.5).
public enum Version: Equatable, Sendable {
  case http10, http11

  /// `HTTP/1.0`, `HTTP/1.1`: RFC 9112 §2.3.
  init?(_ range: Range<Int>, in bytes: Span<UInt8>) throws(HeadError) {
    let start = range.lowerBound
    guard range.count == 8, bytes.text(start..<start + 5) == "HTTP/",
      let major = bytes[start + 5].decimalValue, bytes[start + 6] == 0x2E,
      let minor = bytes[start + 7].decimalValue
    else { return nil }
    if major != 1 { throw .unsupportedVersion }
    self = minor == 0 ? .http10 : .http11
  }
}

/// What the head of a request says: RFC 9112 §3.
public struct RequestHead: Equatable, Sendable {
  /// As sent: methods are case-sensitive.
  public let method: String
  /// As sent: visible ASCII, without blanks; not decoded.
  public let target: String
  public let version: Version
  public let fields: Fields
  public let body: BodyLength

  /// Parses a head that a `HeadScanner` has found to be complete.
  /// - Parameter bytes: exactly the head, empty lines before it and the one after it included.
  public init(_ bytes: Span<UInt8>) throws(HeadError) {
    var lines = LineScanner()
    lines.skipEmptyLines(in: bytes)
    let line = try lines.next(in: bytes)
    // Exactly one space between the parts (§3): being lenient here is how two readers come to see two targets.
    guard let first = line.first(where: { bytes[$0] == .space }),
      let second = line.last(where: { bytes[$0] == .space }), first < second
    else { throw .requestLine }
    let (methodRange, targetRange) = (line.lowerBound..<first, first + 1..<second)
    guard !methodRange.isEmpty, methodRange.allSatisfy({ bytes[$0].isToken }), !targetRange.isEmpty,
      targetRange.allSatisfy({ bytes[$0] > .space && bytes[$0] < 0x7F }),
      let version = try Version(second + 1..<line.upperBound, in: bytes)
    else { throw .requestLine }
    self.version = version
    method = bytes.text(methodRange)
    target = bytes.text(targetRange)
    var scanner = FieldScanner(lines)
    var body = BodyFields()
    fields = try Fields(&scanner, in: bytes, &body)
    // §3.2: a server must refuse a request of HTTP/1.1 without Host, and any request with two.
    let hosts = fields.all("host").count
    if hosts > 1 || hosts == 0 && version == .http11 { throw .host }
    self.body = try body.ofRequest(version)
  }

  /// Whether the client wants to send another request on this connection: RFC 9112 §9.3.
  public var keepsAlive: Bool {
    if fields.contains("close", in: "connection") { return false }
    return version == .http11 || fields.contains("keep-alive", in: "connection")
  }
}

/// What the head of an answer says: RFC 9112 §4.
public struct ResponseHead: Equatable, Sendable {
  public let version: Version
  /// 100 ... 999
  public let status: Int
  public let reason: String
  public let fields: Fields
  public let body: BodyLength

  /// Parses a head that a `HeadScanner` has found to be complete.
  /// - Parameters:
  ///   - bytes: exactly the head, the empty line after it included.
  ///   - method: of the request that it answers, which decides whether there is a body.
  public init(_ bytes: Span<UInt8>, answering method: String) throws(HeadError) {
    var lines = LineScanner()
    let line = try lines.next(in: bytes)
    // "HTTP/1.1 200", and a reason after one more space, which some senders leave out with it.
    let start = line.lowerBound
    guard line.count >= 12, bytes[start + 8] == .space,
      let version = try Version(start..<start + 8, in: bytes),
      line.count == 12 || bytes[start + 12] == .space
    else { throw .statusLine }
    var status = 0
    for index in start + 9..<start + 12 {
      guard let digit = bytes[index].decimalValue else { throw .statusLine }
      status = status * 10 + Int(digit)
    }
    guard status >= 100 else { throw .statusLine }
    self.version = version
    self.status = status
    reason = bytes.text(min(start + 13, line.upperBound)..<line.upperBound)
    var scanner = FieldScanner(lines)
    var body = BodyFields()
    fields = try Fields(&scanner, in: bytes, &body)
    self.body = try body.ofResponse(status: status, method: method)
  }

  /// Whether another request may be sent on this connection: RFC 9112 §9.3.
  public var keepsAlive: Bool {
    if body == .untilClose || fields.contains("close", in: "connection") { return false }
    return version == .http11 || fields.contains("keep-alive", in: "connection")
  }
}

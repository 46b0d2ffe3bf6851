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
  /// A final answer where 100 (Continue) was expected: does the body still come?
  case expectation
  /// A final answer before the method was known, which then changes what an answer's body is.
  case earlyAnswer
  /// A request began where none may.
  case outOfTurn
  /// Bytes of a backend that answer nothing, in the middle of a request.
  case surplus
  /// 101: the connection speaks another protocol from here on.
  case upgraded
  /// CONNECT was answered with 2xx.
  case tunnel
  /// A body with a method for which it means nothing: RFC 9110 §9.3.
  case unexpectedBody

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
    case .expectation: "a final answer instead of 100 (Continue)"
    case .earlyAnswer: "an answer before its request was known"
    case .outOfTurn: "a request out of turn"
    case .surplus: "an answer to no request"
    case .upgraded: "upgraded to another protocol"
    case .tunnel: "a tunnel"
    case .unexpectedBody: "a body where not every server expects one"
    }
  }
}

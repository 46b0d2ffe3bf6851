/// Whether a whole HTTP/1 head, up to and including its empty line, has arrived; not what it says.
///
/// Bytes arrive in pieces. The scanner remembers how far it has looked, so that each byte is looked at once however
/// small the pieces are.
public struct HeadScanner: Sendable {
  public enum Progress: Equatable, Sendable {
    case incomplete
    /// The head is the first so many bytes.
    case complete(length: Int)
    /// No further bytes can make this a head. The scanner must not be used again.
    case refused(HeadError)
  }

  private let limit: Int
  private var scanned = 0
  private var lineStart = 0
  private var hasStartLine = false

  /// - Parameter limit: the longest head in bytes, empty lines before it (RFC 9112 §2.2) included.
  public init(limit: Int) { self.limit = limit }

  /// Looks at what is new.
  /// - Parameter bytes: everything since the first byte of the head: what was given before, and what came after it.
  ///
  /// Lines are taken to end at LF here, with or without a CR before it: a head that says LF only is whole, and refused
  /// by the parser at once, instead of being waited for until a timeout.
  public mutating func scan(_ bytes: Span<UInt8>) -> Progress {
    let end = min(bytes.count, limit)
    while scanned < end {
      let byte = bytes[scanned]
      scanned += 1
      if byte == .lineFeed {
        let length = scanned - 1 - lineStart
        let isEmpty = length == 0 || length == 1 && bytes[lineStart] == .carriageReturn
        if isEmpty && hasStartLine { return .complete(length: scanned) }
        if !isEmpty { hasStartLine = true }
        lineStart = scanned
      } else if byte.isControl && byte != .carriageReturn && byte != .tab {
        return .refused(.controlByte)
      }
    }
    return scanned >= limit ? .refused(.tooLong) : .incomplete
  }
}

/// Why bytes are no acceptable head of an HTTP/1 message.
public enum HeadError: Error, Equatable, Sendable, CaseIterable {
  case tooLong, tooManyFields
  case controlByte, bareLineFeed, bareCarriageReturn, truncated
  case requestLine, statusLine, unsupportedVersion
  case fieldName, foldedField, host
  case contentLength, differingContentLengths, contentLengthAndTransferEncoding
  case transferEncoding, unknownTransferCoding, transferEncodingBeforeHTTP11

  /// The status with which a server refuses such a request.
  public var status: Int {
    switch self {
    case .tooLong, .tooManyFields: 431  // RFC 6585 §5
    case .unsupportedVersion: 505  // RFC 9110 §15.6.6
    case .unknownTransferCoding: 501  // RFC 9112 §6.1
    case .controlByte, .bareLineFeed, .bareCarriageReturn, .truncated, .requestLine, .statusLine, .fieldName,
      .foldedField, .host, .contentLength, .differingContentLengths, .contentLengthAndTransferEncoding,
      .transferEncoding, .transferEncodingBeforeHTTP11:
      400
    }
  }
}

extension HeadError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .tooLong: "the head is too long"
    case .tooManyFields: "too many fields in the head"
    case .controlByte: "a control character in the head"
    case .bareLineFeed: "a line of the head ends with LF instead of CRLF"
    case .bareCarriageReturn: "a CR without LF in the head"
    case .truncated: "the head ends early"
    case .requestLine: "the request line is not METHOD TARGET HTTP/1.1"
    case .statusLine: "the status line is not HTTP/1.1 STATUS REASON"
    case .unsupportedVersion: "only HTTP/1.0 and HTTP/1.1 are spoken here"
    case .fieldName: "a field line is not NAME: VALUE"
    case .foldedField: "a field is folded over two lines"
    case .host: "HTTP/1.1 needs exactly one Host field"
    case .contentLength: "Content-Length is not a number of bytes"
    case .differingContentLengths: "two Content-Length values differ"
    case .contentLengthAndTransferEncoding: "both Content-Length and Transfer-Encoding"
    case .transferEncoding: "Transfer-Encoding does not end with chunked"
    case .unknownTransferCoding: "a transfer coding other than chunked"
    case .transferEncodingBeforeHTTP11: "Transfer-Encoding with HTTP/1.0"
    }
  }
}

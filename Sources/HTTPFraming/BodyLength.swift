/// How a message's body ends: RFC 9112 §6.3.
public enum BodyLength: Equatable, Sendable {
  /// After so many bytes; 0 where there is no body.
  case bytes(UInt64)
  /// As its chunks say: `ChunkScanner`.
  case chunked
  /// When the connection ends; answers only.
  case untilClose
}

/// What the fields of a head say of the body's length, gathered field by field.
struct BodyFields {
  private enum Coding { case absent, chunked, chunkedLast, other }

  private var contentLength: UInt64?
  private var coding = Coding.absent
  private var wasChunked = false

  mutating func take(_ field: FieldScanner.Field, in bytes: Span<UInt8>) throws(HeadError) {
    if bytes.equals(field.name, "content-length") {
      try takeContentLength(field.value, in: bytes)
    } else if bytes.equals(field.name, "transfer-encoding") {
      takeTransferEncoding(field.value, in: bytes)
    }
  }

  /// Several equal values count as one, whether in one field or in more (§6.3 rule 5); anything else that is no plain
  /// number is an error (RFC 9110 §8.6).
  private mutating func takeContentLength(_ value: Range<Int>, in bytes: Span<UInt8>) throws(HeadError) {
    var start = value.lowerBound
    while true {
      var end = start
      while end < value.upperBound, bytes[end] != .comma { end += 1 }
      let length = try number(bytes.trimmed(start..<end), in: bytes)
      if let contentLength, contentLength != length { throw .differingContentLengths }
      contentLength = length
      if end == value.upperBound { return }
      start = end + 1
    }
  }

  private func number(_ range: Range<Int>, in bytes: Span<UInt8>) throws(HeadError) -> UInt64 {
    var number: UInt64 = 0
    for index in range {
      guard let digit = bytes[index].decimalValue else { throw .contentLength }
      let (product, overflow) = number.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
      if overflow || carry { throw .contentLength }
      number = sum
    }
    if range.isEmpty { throw .contentLength }
    return number
  }

  private mutating func takeTransferEncoding(_ value: Range<Int>, in bytes: Span<UInt8>) {
    // A coding applied after "chunked", or chunked twice, leaves no way to tell where the body ends (§6.1).
    var start = value.lowerBound
    while true {
      var end = start
      while end < value.upperBound, bytes[end] != .comma { end += 1 }
      let isChunked = bytes.equals(bytes.trimmed(start..<end), "chunked")
      switch coding {
      case .absent: coding = isChunked ? .chunked : .other
      case .other: coding = isChunked && !wasChunked ? .chunkedLast : .other
      case .chunked, .chunkedLast: coding = .other
      }
      if isChunked { wasChunked = true }
      if end == value.upperBound { return }
      start = end + 1
    }
  }

  /// Of a request (§6.3 rules 3 to 7). Anything in doubt is refused: a sender that means well has no reason for it.
  func ofRequest(_ version: Version) throws(HeadError) -> BodyLength {
    if coding != .absent {
      if contentLength != nil { throw .contentLengthAndTransferEncoding }
      // §6.1: such a message's framing is faulty even where it could be parsed.
      if version == .http10 { throw .transferEncodingBeforeHTTP11 }
    }
    switch coding {
    case .absent: return .bytes(contentLength ?? 0)
    case .chunked: return .chunked
    case .chunkedLast: throw .unknownTransferCoding
    case .other: throw .transferEncoding
    }
  }

  /// Of an answer (§6.3 rules 1 to 8).
  /// - Parameter method: of the request that it answers.
  func ofResponse(status: Int, method: String) throws(HeadError) -> BodyLength {
    if method == "HEAD" || status < 200 || status == 204 || status == 304 { return .bytes(0) }
    if coding != .absent, contentLength != nil { throw .contentLengthAndTransferEncoding }
    switch coding {
    case .absent: return contentLength.map { .bytes($0) } ?? .untilClose
    case .chunked, .chunkedLast: return .chunked
    case .other: return .untilClose
    }
  }
}

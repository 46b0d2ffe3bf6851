/// Finds the data of a chunked body, and its end: RFC 9112 §7.1. Copies nothing; bytes may come in any pieces.
public struct ChunkScanner: Sendable {
  public enum Step: Equatable, Sendable {
    /// All bytes were taken; none of those since the last step was data.
    case incomplete
    /// Where data stands in the bytes that were given; not empty.
    case data(Range<Int>)
    /// The body, its trailers included, has ended. Bytes after it belong to the next message.
    case end
  }

  /// Bytes of a body that are neither size, data nor the line ends these need: extensions and trailers, which are
  /// ignored (§7.1.1, §7.1.2). A sender that hides more in them is up to something.
  public static let mostIgnoredBytes = 8192

  private enum State {
    case sizeStart, size, blankAfterSize, ignoredExtension, sizeLineFeed
    case data, dataCarriageReturn, dataLineFeed
    case trailerStart, trailerName, trailer, trailerLineFeed, lastLineFeed
    case end
  }

  private var remaining: UInt64 = 0
  private var state = State.sizeStart
  private var digits: UInt8 = 0
  private var ignored: UInt16 = 0

  public init() {}

  /// Goes on at `offset` and moves it past what it took.
  public mutating func next(_ bytes: Span<UInt8>, from offset: inout Int) throws(ChunkError) -> Step {
    while state != .end {
      guard offset < bytes.count else { return .incomplete }
      if state == .data {
        let count = Int(min(UInt64(bytes.count - offset), remaining))
        offset += count
        remaining -= UInt64(count)
        if remaining == 0 { state = .dataCarriageReturn }
        return .data(offset - count..<offset)
      }
      try take(bytes[offset])
      offset += 1
    }
    return .end
  }

  private mutating func take(_ byte: UInt8) throws(ChunkError) {
    switch state {
    case .sizeStart, .size:
      try takeSize(byte)
    case .blankAfterSize:
      // BWS, which is bad but allowed, only before an extension (§7.1.1).
      guard byte == .semicolon || byte.isBlank else { throw .size }
      try ignore(byte)
      if byte == .semicolon { state = .ignoredExtension }
    case .ignoredExtension:
      if byte == .carriageReturn { state = .sizeLineFeed } else { try ignore(byte) }
    case .sizeLineFeed:
      guard byte == .lineFeed else { throw .lineEnd }
      state = remaining == 0 ? .trailerStart : .data
    case .dataCarriageReturn:
      guard byte == .carriageReturn else { throw .lineEnd }
      state = .dataLineFeed
    case .dataLineFeed:
      guard byte == .lineFeed else { throw .lineEnd }
      state = .sizeStart
    case .trailerStart:
      if byte == .carriageReturn {
        state = .lastLineFeed
      } else {
        // A trailer is a field line (§7.1.2), which starts with its name: no blank, no folding.
        guard byte.isToken else { throw .trailer }
        try ignore(byte)
        state = .trailerName
      }
    case .trailerName:
      // Without a colon it could be the request line of what a reader without trailers takes for the next request.
      guard byte.isToken || byte == .colon else { throw .trailer }
      try ignore(byte)
      if byte == .colon { state = .trailer }
    case .trailer:
      if byte == .carriageReturn { state = .trailerLineFeed } else { try ignore(byte) }
    case .trailerLineFeed:
      guard byte == .lineFeed else { throw .lineEnd }
      state = .trailerStart
    case .lastLineFeed:
      guard byte == .lineFeed else { throw .lineEnd }
      state = .end
    case .data, .end:
      // `next` handles both.
      break
    }
  }

  private mutating func takeSize(_ byte: UInt8) throws(ChunkError) {
    if let digit = byte.hexadecimalValue {
      if state == .sizeStart { remaining = 0 }
      // Recipients must expect large numbers and prevent overflow (§7.1). Digits are counted, or zeros without end
      // would be a size.
      let (product, overflow) = remaining.multipliedReportingOverflow(by: 16)
      if overflow { throw .size }
      remaining = product + UInt64(digit)
      state = .size
      digits += 1
      if digits > 16 { throw .size }
      return
    }
    guard state == .size else { throw .size }
    digits = 0
    switch byte {
    case .carriageReturn: state = .sizeLineFeed
    case .semicolon, .space, .tab:
      try ignore(byte)
      state = byte == .semicolon ? .ignoredExtension : .blankAfterSize
    default: throw .size
    }
  }

  private mutating func ignore(_ byte: UInt8) throws(ChunkError) {
    if byte.isControl && byte != .tab { throw .controlByte }
    ignored += 1
    if ignored > Self.mostIgnoredBytes { throw .tooMuchIgnored }
  }
}

/// Why bytes are no chunked body.
public enum ChunkError: Error, Equatable, Sendable, CustomStringConvertible {
  case size, lineEnd, trailer, controlByte, tooMuchIgnored

  public var description: String {
    switch self {
    case .size: "a chunk's size is not a hexadecimal number"
    case .lineEnd: "a line of the chunked body does not end where it should"
    case .trailer: "a trailer of the chunked body is not NAME: VALUE"
    case .controlByte: "a control character in a chunk extension or trailer"
    case .tooMuchIgnored: "too many chunk extensions and trailers"
    }
  }
}

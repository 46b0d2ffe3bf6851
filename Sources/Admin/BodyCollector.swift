import HTTPFraming

/// Gathers the body of one message as its bytes arrive.
struct BodyCollector {
  enum Failure: Error, Equatable {
    case tooLarge
    case chunks(ChunkError)
  }

  private enum Mode {
    case counted(remaining: Int)
    case chunked(ChunkScanner)
    case untilClose
  }

  private(set) var bytes: [UInt8] = []
  private var mode: Mode
  private let limit: Int

  /// Throws `tooLarge` where the announced length is over the limit already.
  init(_ length: BodyLength, limit: Int) throws(Failure) {
    self.limit = limit
    switch length {
    case .bytes(let count):
      guard count <= UInt64(limit) else { throw .tooLarge }
      mode = .counted(remaining: Int(count))
    case .chunked: mode = .chunked(ChunkScanner())
    case .untilClose: mode = .untilClose
    }
  }

  var endsWithConnection: Bool { if case .untilClose = mode { true } else { false } }

  /// Takes what belongs to the body, from `offset` on, and moves it; answers whether the body is complete.
  mutating func take(_ input: Span<UInt8>, from offset: inout Int) throws(Failure) -> Bool {
    switch mode {
    case .counted(let remaining):
      let count = min(remaining, input.count - offset)
      try append(input, offset..<offset + count)
      offset += count
      mode = .counted(remaining: remaining - count)
      return remaining == count
    case .untilClose:
      try append(input, offset..<input.count)
      offset = input.count
      return false
    case .chunked(var scanner):
      defer { mode = .chunked(scanner) }
      while true {
        let step: ChunkScanner.Step
        do { step = try scanner.next(input, from: &offset) } catch { throw .chunks(error) }
        switch step {
        case .incomplete: return false
        case .end: return true
        case .data(let range): try append(input, range)
        }
      }
    }
  }

  private mutating func append(_ input: Span<UInt8>, _ range: Range<Int>) throws(Failure) {
    guard bytes.count + range.count <= limit else { throw .tooLarge }
    for index in range { bytes.append(input[index]) }
  }
}

/// Where one direction of an exchange is: between two messages, in a head or in a body.
struct MessageTracker: Sendable {
  enum Phase: UInt8 { case between, head, bytes, chunks, untilClose }

  var head: HeadTracker
  /// Bytes of the body that are still to come; with `bytes` only.
  private var left: UInt64 = 0
  private var chunks = ChunkScanner()
  var phase = Phase.between

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

  /// Bytes of a body that tell nothing: all but the last of those whose number is known, or all that come until the
  /// connection ends.
  var unseen: Int {
    switch phase {
    case .bytes: Int(clamping: left - 1)
    case .untilClose: .max
    case .between, .head, .chunks: 0
    }
  }

  /// So many of them, at most `unseen`, have gone by.
  mutating func pass(_ count: Int) {
    precondition(count <= unseen)
    if phase == .bytes { left -= UInt64(count) }
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

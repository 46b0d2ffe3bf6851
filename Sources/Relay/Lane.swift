import Switching

/// What all sessions of a worker share while one of them moves bytes.
@safe struct Lane: ~Copyable {
  /// One full read: what a sink leaves of it always fits into a buffer.
  static let bufferSize = 65_536
  /// One read of a sustained transfer that is copied: measured from 128 KiB to 1 MiB, docs/measurements.md.
  static let scratchSize = 524_288
  /// What a sink may leave of so many of them at a time; with more, reads are small again.
  private static let mostLargeBuffers = 16
  /// The longest request that is kept for being sent again: the heads that servers accept are rarely longer.
  static let copySize = 8192

  /// Every receive lands here first.
  let scratch: UnsafeMutableRawBufferPointer
  /// For bytes that a sink did not take, or that wait for their claim. 16 MiB are kept: enough that stalls which come
  /// and go do not allocate, little enough to keep.
  var buffers = BufferPool(size: Self.bufferSize, mostKept: 256)
  /// For what a sink left of a large read.
  var largeBuffers = BufferPool(size: Self.scratchSize, mostKept: mostLargeBuffers)
  var pipes: PipePool
  /// For requests that may have to be sent again; one for each that waits for its answer. 32 MiB at most are kept.
  var copies = BufferPool(size: Self.copySize, mostKept: 4096)
  let word: ActiveWord
  /// The front door stops: http sessions end at their next boundary.
  var isStopping = false

  init(word: ActiveWord, pipes: PipeBudget) {
    unsafe scratch = .allocate(byteCount: Self.scratchSize, alignment: 4096)
    self.word = word
    self.pipes = PipePool(budget: pipes)
  }

  deinit { unsafe scratch.deallocate() }

  /// How much may be read of a sustained transfer: what a sink leaves of it has to have its place.
  var largeRead: Int { largeBuffers.inUse < Self.mostLargeBuffers ? Self.scratchSize : Self.bufferSize }

  /// The claim: the one place where a session, or a request, learns which color it belongs to, by one read of the word.
  @inline(__always)
  func claim(isPreview: Bool, client: UInt32) -> Claim {
    let signpost = word.load()
    if isPreview {
      let active = signpost.assignment
      let idle = Assignment(color: active.color.other, generation: active.generation)
      return Claim(account: .preview, assignment: idle, holds: false)
    }
    let assignment = signpost.assignment(of: client)
    return Claim(account: Account(assignment.color), assignment: assignment, holds: signpost.holds)
  }
}

/// What a claim says.
struct Claim {
  let account: Account
  let assignment: Assignment
  /// It has to be made again when the hold ends.
  let holds: Bool
}

/// Who a session is counted for.
public enum Account: UInt8, Sendable, CaseIterable {
  case blue, green
  /// Preview listeners: outside drains and receipts.
  case preview
  /// Production sessions that have no backend: parked, held, or on their way out.
  case waiting

  public init(_ color: Color) { self = color == .blue ? .blue : .green }
}

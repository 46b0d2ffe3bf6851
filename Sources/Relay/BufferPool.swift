/// Buffers of one size for bytes that a sink did not take at once. Taken only while a reader stalls; given back when
/// the bytes are gone, and kept for the next stall up to a limit.
@safe struct BufferPool: ~Copyable {
  /// One full read: what a sink leaves of it always fits.
  static let bufferSize = 65_536
  /// 16 MiB a worker: enough that stalls which come and go do not allocate, little enough to keep.
  private static let keptBuffers = 256

  private var free: [UnsafeMutableRawPointer] = unsafe []

  init() { unsafe free.reserveCapacity(Self.keptBuffers) }

  deinit {
    for index in unsafe free.indices { unsafe free[index].deallocate() }
  }

  mutating func take() -> UnsafeMutableRawPointer {
    return unsafe free.popLast() ?? .allocate(byteCount: Self.bufferSize, alignment: 16)
  }

  mutating func give(back buffer: UnsafeMutableRawPointer) {
    if unsafe free.count < Self.keptBuffers {
      unsafe free.append(buffer)
    } else {
      unsafe buffer.deallocate()
    }
  }
}

/// What all flows of a worker share while one of them moves bytes.
@safe struct Lane: ~Copyable {
  /// Every receive lands here first.
  let scratch: UnsafeMutableRawBufferPointer
  var pool = BufferPool()

  init() { unsafe scratch = .allocate(byteCount: BufferPool.bufferSize, alignment: 4096) }
  deinit { unsafe scratch.deallocate() }
}

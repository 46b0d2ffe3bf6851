/// Buffers of one size, taken while there is something to keep in them, and kept for the next time up to a limit.
@safe struct BufferPool: ~Copyable {
  /// Bytes of each buffer.
  let size: Int
  private let mostKept: Int
  private(set) var inUse = 0
  private var free: [UnsafeMutableRawPointer] = unsafe []

  init(size: Int, mostKept: Int) {
    self.size = size
    self.mostKept = mostKept
    unsafe free.reserveCapacity(mostKept)
  }

  deinit {
    for index in unsafe free.indices { unsafe free[index].deallocate() }
  }

  mutating func take() -> UnsafeMutableRawPointer {
    inUse += 1
    return unsafe free.popLast() ?? .allocate(byteCount: size, alignment: 16)
  }

  mutating func give(back buffer: UnsafeMutableRawPointer) {
    inUse -= 1
    if unsafe free.count < mostKept {
      unsafe free.append(buffer)
    } else {
      unsafe buffer.deallocate()
    }
  }
}

/// Elements that stay where they are, found by `Token` in constant time.
///
/// Memory is taken a chunk at a time and kept. Nothing moves, and inserting into a slot that was used before does not
/// allocate. A slot's generation is odd while it is occupied and goes up by one at every change.
@safe public struct Slab<Element: ~Copyable>: ~Copyable {
  @usableFromInline struct Slot {
    @usableFromInline var generation: UInt32
    @usableFromInline var nextFree: Int32
  }

  @usableFromInline let slots: UnsafeMutablePointer<Slot>
  @usableFromInline let chunks: UnsafeMutablePointer<UnsafeMutablePointer<Element>>
  @usableFromInline var firstFree: Int32 = -1
  /// Slots that were ever used: every occupied slot is below.
  public private(set) var highWater = 0
  public private(set) var count = 0
  public let capacity: Int

  @usableFromInline static var chunkShift: Int { 8 }
  @usableFromInline static var chunkMask: Int { (1 << chunkShift) - 1 }

  /// - Parameter capacity: the most elements it ever holds, 1 ..< 2³¹.
  public init(capacity: Int) {
    precondition(capacity > 0 && capacity < 1 << 31)
    self.capacity = capacity
    unsafe slots = .allocate(capacity: capacity)
    unsafe chunks = .allocate(capacity: (capacity + Self.chunkMask) >> Self.chunkShift)
  }

  deinit {
    for slot in 0..<highWater where unsafe slots[slot].generation & 1 == 1 {
      unsafe element(slot).deinitialize(count: 1)
    }
    for chunk in 0..<(highWater + Self.chunkMask) >> Self.chunkShift { unsafe chunks[chunk].deallocate() }
    unsafe chunks.deallocate()
    unsafe slots.deallocate()
  }

  @inlinable
  func element(_ slot: Int) -> UnsafeMutablePointer<Element> {
    unsafe chunks[slot >> Self.chunkShift] + (slot & Self.chunkMask)
  }

  /// Puts an element into a free slot; nil, and the element is destroyed, where all are occupied.
  public mutating func insert(_ value: consuming Element) -> Token? {
    let slot: Int
    if firstFree >= 0 {
      slot = Int(firstFree)
      firstFree = unsafe slots[slot].nextFree
    } else if highWater < capacity {
      slot = highWater
      if slot & Self.chunkMask == 0 {
        unsafe chunks[slot >> Self.chunkShift] = .allocate(capacity: Self.chunkMask + 1)
      }
      unsafe slots[slot] = Slot(generation: 0, nextFree: -1)
      highWater += 1
    } else {
      return nil
    }
    unsafe slots[slot].generation &+= 1
    unsafe element(slot).initialize(to: value)
    count += 1
    return Token(slot: slot, generation: unsafe slots[slot].generation)
  }

  /// Takes an element out. The token must be current: check with `contains`.
  public mutating func remove(_ token: Token) -> Element {
    precondition(contains(token), "a stale token")
    let slot = token.slot
    unsafe slots[slot] = Slot(generation: slots[slot].generation &+ 1, nextFree: firstFree)
    firstFree = Int32(slot)
    count -= 1
    return unsafe element(slot).move()
  }

  /// Whether the token's use of its slot is the present one.
  @inlinable
  public func contains(_ token: Token) -> Bool {
    let slot = token.slot
    guard slot < highWater else { return false }
    let generation = unsafe slots[slot].generation
    return generation == token.generation && generation & 1 == 1
  }

  /// The token of whatever occupies a slot at present; nil for a free slot. For going through all of them.
  @inlinable
  public func token(at slot: Int) -> Token? {
    guard slot >= 0, slot < highWater else { return nil }
    let generation = unsafe slots[slot].generation
    return generation & 1 == 1 ? Token(slot: slot, generation: generation) : nil
  }

  /// The element that a current token names; a stale token is a programming error and traps.
  @inlinable
  public subscript(token: Token) -> Element {
    unsafeAddress {
      precondition(contains(token), "a stale token")
      return unsafe UnsafePointer(element(token.slot))
    }
    unsafeMutableAddress {
      precondition(contains(token), "a stale token")
      return unsafe element(token.slot)
    }
  }
}

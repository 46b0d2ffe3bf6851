/// Names one use of one slot of a `Slab`, and one of two lanes in it (the two sockets of a session, say).
///
/// It travels through the kernel as the data of an epoll registration. An event that was reported for an earlier use
/// of the slot carries an older generation, so comparing tokens drops it.
public struct Token: Hashable, Sendable {
  public let rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// - Parameters:
  ///   - slot: 0 ..< 2³¹
  ///   - lane: 0 or 1
  @inlinable
  public init(slot: Int, generation: UInt32, lane: Int = 0) {
    rawValue = UInt64(generation) << 32 | UInt64(lane & 1) << 31 | UInt64(slot & 0x7FFF_FFFF)
  }

  @inlinable public var slot: Int { Int(rawValue & 0x7FFF_FFFF) }
  @inlinable public var lane: Int { Int(rawValue >> 31 & 1) }
  @inlinable public var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }

  /// The same use of the same slot, seen from another lane.
  @inlinable
  public func lane(_ lane: Int) -> Token { Token(slot: slot, generation: generation, lane: lane) }
}

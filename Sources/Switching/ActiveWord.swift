import Synchronization

/// What a session learns when it is claimed: its color and the number of the last switch.
public struct Assignment: Equatable, Hashable, Sendable {
  public let color: Color
  /// Counts switches, from 0; below 2⁵⁵.
  public let generation: UInt64

  @inlinable
  public init(color: Color, generation: UInt64) { (self.color, self.generation) = (color, generation) }
}

/// What the active word says: where what begins now goes, or that it has to wait.
public struct Signpost: Equatable, Hashable, Sendable {
  public let assignment: Assignment
  /// A hold is in force: nothing new goes to a color until it ends.
  public let holds: Bool
  /// Percent of the clients that go to the color that is not active: 0 but in a ramp, 100 at most.
  public let share: UInt8

  @inlinable
  public init(_ assignment: Assignment, holds: Bool = false, share: UInt8 = 0) {
    (self.assignment, self.holds, self.share) = (assignment, holds, share)
  }

  @inlinable
  init(word: UInt64) {
    self.init(
      Assignment(color: word & 1 == 0 ? .blue : .green, generation: word >> 9), holds: word & 2 != 0,
      share: UInt8(truncatingIfNeeded: word >> 2) & 0x7F)
  }

  @inlinable
  var word: UInt64 {
    assignment.generation << 9 | UInt64(share) << 2 | (holds ? 2 : 0) | (assignment.color == .green ? 1 : 0)
  }

  /// The color of a client. In a ramp the same client gets the same one for as long as the ramp lasts, and a client that
  /// the share has reached stays within it when the share grows; in the next ramp others come first.
  /// - Parameter client: a hash of its address.
  @inlinable
  public func assignment(of client: UInt32) -> Assignment {
    if share == 0 { return assignment }
    // Scatters: SplitMix64.
    var mixed = (assignment.generation << 32 ^ UInt64(client)) &* 0x9E37_79B9_7F4A_7C15
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    let place = ((mixed >> 32) * 100) >> 32
    return place < share ? Assignment(color: assignment.color.other, generation: assignment.generation) : assignment
  }
}

/// The one word that all workers share. A switch is one store into it, and so are the steps of a ramp and the beginning and
/// the end of a hold.
public final class ActiveWord: Sendable {
  @usableFromInline let word: Atomic<UInt64>

  public init(_ signpost: Signpost) { word = Atomic(signpost.word) }

  /// What it says at present. A claim reads it exactly once.
  @inlinable
  public func load() -> Signpost { Signpost(word: word.load(ordering: .acquiring)) }

  /// Only the control thread calls this: the switch transaction, and what begins or ends a hold.
  public func store(_ signpost: Signpost) { word.store(signpost.word, ordering: .releasing) }
}

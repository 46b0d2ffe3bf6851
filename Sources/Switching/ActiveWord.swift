import Synchronization

/// What a session learns when it is claimed: the active color and the number of the switch that made it so.
public struct Assignment: Equatable, Hashable, Sendable {
  public let color: Color
  /// Counts switches, from 0; below 2⁶².
  public let generation: UInt64

  @inlinable
  public init(color: Color, generation: UInt64) { (self.color, self.generation) = (color, generation) }
}

/// What the active word says: where what begins now goes, or that it has to wait.
public struct Signpost: Equatable, Hashable, Sendable {
  public let assignment: Assignment
  /// A hold is in force: nothing new goes to the active color until it ends.
  public let holds: Bool

  @inlinable
  public init(_ assignment: Assignment, holds: Bool = false) { (self.assignment, self.holds) = (assignment, holds) }

  @inlinable
  init(word: UInt64) {
    self.init(Assignment(color: word & 1 == 0 ? .blue : .green, generation: word >> 2), holds: word & 2 != 0)
  }

  @inlinable
  var word: UInt64 { assignment.generation << 2 | (holds ? 2 : 0) | (assignment.color == .green ? 1 : 0) }
}

/// The one word that all workers share. A switch is one store into it, and so are the beginning and the end of a hold.
public final class ActiveWord: Sendable {
  @usableFromInline let word: Atomic<UInt64>

  public init(_ assignment: Assignment) { word = Atomic(Signpost(assignment).word) }

  /// What it says at present. A claim reads it exactly once.
  @inlinable
  public func load() -> Signpost { Signpost(word: word.load(ordering: .acquiring)) }

  /// Only the control thread calls this: the switch transaction, and what begins or ends a hold.
  public func store(_ signpost: Signpost) { word.store(signpost.word, ordering: .releasing) }
}

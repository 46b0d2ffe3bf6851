import Synchronization

/// What a session reads, once, to learn where it goes: the active color and the number of the switch that made it so.
public struct Assignment: Equatable, Hashable, Sendable {
  public let color: Color
  /// Counts switches, from 0; below 2⁶³.
  public let generation: UInt64

  @inlinable
  public init(color: Color, generation: UInt64) { (self.color, self.generation) = (color, generation) }

  @inlinable
  init(word: UInt64) { self.init(color: word & 1 == 0 ? .blue : .green, generation: word >> 1) }

  @inlinable
  var word: UInt64 { generation << 1 | (color == .green ? 1 : 0) }
}

/// The one word that all workers share. A switch is one store into it.
public final class ActiveWord: Sendable {
  @usableFromInline let word: Atomic<UInt64>

  public init(_ assignment: Assignment) { word = Atomic(assignment.word) }

  /// The present assignment. A claim reads it exactly once.
  @inlinable
  public func load() -> Assignment { Assignment(word: word.load(ordering: .acquiring)) }

  /// Only the switch transaction calls this.
  public func store(_ assignment: Assignment) { word.store(assignment.word, ordering: .releasing) }
}

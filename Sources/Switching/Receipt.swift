/// An optional whose absence is written as `null` instead of being left out.
@propertyWrapper
public struct Nullable<Value: Codable & Sendable>: Codable, Sendable {
  public var wrappedValue: Value?
  public init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    wrappedValue = container.decodeNil() ? nil : try container.decode(Value.self)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let wrappedValue { try container.encode(wrappedValue) } else { try container.encodeNil() }
  }
}

extension Nullable: Equatable where Value: Equatable {}

extension KeyedDecodingContainer {
  /// A key that is missing counts as `null`, as with other optionals.
  public func decode<Value>(_ type: Nullable<Value>.Type, forKey key: Key) throws -> Nullable<Value> {
    try decodeIfPresent(type, forKey: key) ?? Nullable(wrappedValue: nil)
  }
}

/// The process and user that asked for something over the admin channel.
public struct Requester: Codable, Equatable, Sendable {
  public let uid: UInt32
  public let pid: Int32
  public init(uid: UInt32, pid: Int32) { (self.uid, self.pid) = (uid, pid) }
}

/// How a session left the color that it belonged to.
public enum DrainOutcome: Sendable {
  case ended, moved, spread, cut
}

/// What became of the sessions that a switch left behind. Every session that was open is in exactly one of the
/// outcomes: `open == ended + moved + returned + spread + cut + remaining`.
public struct DrainTally: Equatable, Sendable {
  /// Sessions of the old color at the switch, counted by each worker at its barrier.
  public var open = 0
  /// Ended by themselves: by the client, the backend, a timeout or a failed connect.
  public var ended = 0
  /// Went on with the new color.
  public var moved = 0
  /// Closed with FIN, quiet, in the last part of the drain.
  public var spread = 0
  /// Reset at the deadline.
  public var cut = 0
  /// Among the `ended`: no target of the old color could be reached.
  public var connectFailures = 0

  public init() {}

  public mutating func count(_ outcome: DrainOutcome) {
    switch outcome {
    case .ended: ended += 1
    case .moved: moved += 1
    case .spread: spread += 1
    case .cut: cut += 1
    }
  }

  public var remaining: Int { open - ended - moved - spread - cut }

  public static func + (a: DrainTally, b: DrainTally) -> DrainTally {
    var sum = a
    sum.open += b.open
    sum.ended += b.ended
    sum.moved += b.moved
    sum.spread += b.spread
    sum.cut += b.cut
    sum.connectFailures += b.connectFailures
    return sum
  }
}

/// The record of one switch. Same in text, JSON, history and events.
public struct Receipt: Codable, Equatable, Sendable {
  public let generation: UInt64
  public let from: Color
  public let to: Color
  /// RFC 3339, UTC.
  public let at: String
  public let by: Requester
  /// nil: a front door that did not write it down yet.
  @Nullable public var kind: Kind?
  /// Not asked for by an operator.
  public var automatic = false
  public var forced = false
  @Nullable public var reason: String?
  /// Of an automatic rollback: which signal crossed its limit.
  @Nullable public var cause: Cause?
  /// The store of the word: before it a session goes to the old color, after it to the new one.
  public var flipMicroseconds: Int64 = 0
  /// The barrier: from the store until the last worker had confirmed it, and the counts were exact.
  public var confirmMicroseconds: Int64 = 0
  /// Writing the state file, fsync of file and folder included.
  public var persistMicroseconds: Int64 = 0
  /// Whether the state file holds this switch.
  public var persisted = false
  public var heldMilliseconds: Int64 = 0
  public var open = 0
  public var ended = 0
  public var moved = 0
  public var returned = 0
  public var spread = 0
  public var cut = 0
  public var remaining = 0
  public var connectFailures = 0
  /// Nothing remains, and the counts will not change any more.
  public var settled = false

  /// Why a color became active.
  public enum Kind: String, Codable, CaseIterable, Sendable {
    case `switch`, rollback
    /// A release that the front door has taken back.
    case automatic
  }

  public struct Cause: Codable, Equatable, Sendable, CustomStringConvertible {
    public let signal: String
    public let value: Double
    public let limit: Double

    public init(signal: Signal, value: Double, limit: Double) {
      (self.signal, self.value, self.limit) = (signal.rawValue, value, limit)
    }

    /// `serverErrors 12.5 % (limit 5 %)`.
    public var description: String {
      if signal == Signal.health.rawValue { return "health: \(Int(value)) listeners without a healthy target" }
      return "\(signal) \(percent(value)) (limit \(percent(limit)))"
    }

    private func percent(_ share: Double) -> String {
      let hundredths = Int((share * 10_000).rounded())
      return hundredths % 100 == 0
        ? "\(hundredths / 100) %" : "\(Double(hundredths) / 100) %"
    }
  }

  public init(generation: UInt64, from: Color, to: Color, at: String, by: Requester, reason: String?) {
    (self.generation, self.from, self.to, self.at, self.by) = (generation, from, to, at, by)
    self.reason = reason
    kind = .switch
    cause = nil
  }

  /// Takes the counts over. Sessions that were already returned to service stay counted as such.
  public mutating func record(_ tally: DrainTally) {
    open = tally.open
    ended = tally.ended
    moved = tally.moved
    spread = tally.spread
    cut = tally.cut
    connectFailures = tally.connectFailures
    remaining = tally.remaining - returned
  }

  /// The old color is active again: what remained belongs to it once more.
  public mutating func returnRemaining() {
    returned += remaining
    remaining = 0
  }
}

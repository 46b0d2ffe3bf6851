/// How many different client addresses there were: a bit for each hash, in 8 KiB, whoever they are and however many. It may
/// count too few, never too many: of ten, one is missed in some thousand cases.
public struct AddressSketch: Sendable, Equatable {
  private static let bits = 65_536

  /// Empty until the first is there.
  private var words: [UInt64] = []

  public init() {}

  /// - Parameter client: a hash of the address.
  public mutating func insert(_ client: UInt32) {
    if words.isEmpty { words = Array(repeating: 0, count: Self.bits / 64) }
    let bit = Int(client) % Self.bits
    words[bit / 64] |= 1 << UInt64(bit % 64)
  }

  /// One that shares no memory with this one: for another thread.
  public func copied() -> AddressSketch {
    var copy = AddressSketch()
    copy.words = words.map { $0 }
    return copy
  }

  public mutating func formUnion(_ other: AddressSketch) {
    if words.isEmpty {
      words = other.words
    } else if !other.words.isEmpty {
      for index in words.indices { words[index] |= other.words[index] }
    }
  }

  public var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }
}

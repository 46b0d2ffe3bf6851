/// How often something took how long, where there are many such figures and each is to cost little: ten buckets. Plain
/// numbers, written by one thread.
public struct CoarseHistogram: Equatable, Sendable {
  /// Where buckets end, in microseconds: powers of four, 256 µs to 17 s. The last one has no end.
  public static let bounds: [UInt64] = (4...12).map { 1 << (2 * $0) }

  @usableFromInline var counts = InlineArray<10, UInt64>(repeating: 0)
  @usableFromInline var added: UInt64 = 0

  public init() {}

  @inlinable
  public mutating func add(microseconds: UInt64) {
    counts[Self.bucket(of: microseconds)] &+= 1
    added &+= microseconds
  }

  /// Of all that was added, in microseconds.
  public var sum: UInt64 { added }

  @inlinable
  static func bucket(of microseconds: UInt64) -> Int {
    let exponent = UInt64.bitWidth - 1 - (microseconds | 1).leadingZeroBitCount
    return min(max((exponent - 6) / 2, 0), 9)
  }

  public var total: UInt64 { counts.indices.reduce(0) { $0 &+ counts[$1] } }

  /// How many took less than `bounds[index]`.
  public func count(below index: Int) -> UInt64 { (0...index).reduce(0) { $0 &+ counts[$1] } }

  public static func += (sum: inout CoarseHistogram, other: CoarseHistogram) {
    sum.added &+= other.added
    for bucket in sum.counts.indices { sum.counts[bucket] &+= other.counts[bucket] }
  }

  public static func == (a: CoarseHistogram, b: CoarseHistogram) -> Bool {
    a.added == b.added && a.counts.indices.allSatisfy { a.counts[$0] == b.counts[$0] }
  }
}

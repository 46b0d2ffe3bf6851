/// How often something took how long: buckets of equal width within each power of two, so that a figure is off by an
/// eighth at most. Plain numbers, written by one thread.
public struct LatencyHistogram: Sendable {
  /// Buckets within a power of two.
  @usableFromInline static let steps = 8
  @usableFromInline static let logSteps = 3
  /// Microseconds up to 2³⁷, some 38 hours; longer ones count as that.
  public static let bucketCount = 280

  @usableFromInline var counts: InlineArray<280, UInt64>
  @usableFromInline var added: UInt64 = 0

  public init() { counts = InlineArray(repeating: 0) }

  @inlinable
  public mutating func add(microseconds: UInt64) {
    counts[Self.bucket(of: microseconds)] &+= 1
    added &+= microseconds
  }

  /// Of all that was added, in microseconds.
  public var sum: UInt64 { added }

  @inlinable
  static func bucket(of microseconds: UInt64) -> Int {
    if microseconds < UInt64(steps) { return Int(microseconds) }
    let exponent = UInt64.bitWidth - 1 - microseconds.leadingZeroBitCount
    let bucket = (exponent - logSteps + 1) * steps + Int(microseconds >> UInt64(exponent - logSteps)) - steps
    return min(bucket, bucketCount - 1)
  }

  /// The first value that does not belong to a bucket any more, in microseconds.
  public static func upperBound(of bucket: Int) -> UInt64 {
    if bucket < steps { return UInt64(bucket) + 1 }
    let exponent = bucket / steps + logSteps - 1
    return UInt64(bucket % steps + steps + 1) << UInt64(exponent - logSteps)
  }

  public var total: UInt64 {
    var sum: UInt64 = 0
    for bucket in counts.indices { sum &+= counts[bucket] }
    return sum
  }

  /// The value that `share` of all do not exceed, in microseconds, rounded up to the end of its bucket; nil where there is
  /// none.
  public func quantile(_ share: Double) -> UInt64? {
    let total = total
    if total == 0 { return nil }
    let wanted = UInt64((Double(total) * share).rounded(.up))
    var seen: UInt64 = 0
    for bucket in counts.indices {
      seen += counts[bucket]
      if seen >= wanted { return Self.upperBound(of: bucket) }
    }
    return nil
  }

  /// How many are in buckets that begin at `microseconds` or later.
  public func count(from microseconds: UInt64) -> UInt64 {
    var sum: UInt64 = 0
    for bucket in counts.indices where bucket > 0 && Self.upperBound(of: bucket - 1) >= microseconds {
      sum += counts[bucket]
    }
    return sum
  }

  /// How many are in buckets that end at `microseconds` or before.
  public func count(below microseconds: UInt64) -> UInt64 {
    var sum: UInt64 = 0
    for bucket in counts.indices {
      if Self.upperBound(of: bucket) > microseconds { break }
      sum += counts[bucket]
    }
    return sum
  }

  public static func += (sum: inout LatencyHistogram, other: LatencyHistogram) {
    sum.added &+= other.added
    for bucket in sum.counts.indices { sum.counts[bucket] &+= other.counts[bucket] }
  }

  /// What has come since an earlier look at the same histogram.
  public func since(_ earlier: LatencyHistogram) -> LatencyHistogram {
    var difference = self
    difference.added &-= min(earlier.added, added)
    for bucket in counts.indices { difference.counts[bucket] &-= min(earlier.counts[bucket], counts[bucket]) }
    return difference
  }
}

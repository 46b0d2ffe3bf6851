import Telemetry
import Testing

@Suite struct CoarseHistogramTests {
  @Test func buckets_areThoseOfTheFineHistogram_putTogether() {
    var (coarse, fine) = (CoarseHistogram(), LatencyHistogram())
    let edges = CoarseHistogram.bounds.flatMap { [$0 - 1, $0, $0 + 1] }
    let spread = (0...36).flatMap { power in [4, 5, 6, 7].map { ($0 as UInt64) << UInt64(power) / 4 } }
    for time in [0] + spread + edges {
      coarse.add(microseconds: time)
      fine.add(microseconds: time)
    }
    for (index, bound) in CoarseHistogram.bounds.enumerated() {
      #expect(coarse.count(below: index) == fine.count(below: bound), "\(bound) µs")
    }
    #expect(coarse.total == fine.total && coarse.sum == fine.sum)
    #expect(coarse.count(below: CoarseHistogram.bounds.count - 1) < coarse.total)
  }

  @Test func aSum_hasTheCountsOfBoth() {
    var (a, b) = (CoarseHistogram(), CoarseHistogram())
    for time in [100, 100, 5000] as [UInt64] { a.add(microseconds: time) }
    for time in [5000, 100_000_000] as [UInt64] { b.add(microseconds: time) }
    a += b
    #expect((a.total, a.sum) == (5, 100_010_200))
    #expect((a.count(below: 0), a.count(below: 3)) == (2, 4))
  }

  @Test func text_hasEveryBucketAndTheSum() {
    var (text, histogram) = (MetricsText(), CoarseHistogram())
    histogram.add(microseconds: 300)
    histogram.add(microseconds: 20_000_000)
    text.add("a_seconds", "A.", [([("l", "x")], histogram)])
    let lines = String(decoding: text.bytes, as: UTF8.self).split(separator: "\n").dropFirst(2)
    #expect(lines.count == CoarseHistogram.bounds.count + 3)
    #expect(lines.first == "a_seconds_bucket{l=\"x\",le=\"0.000256\"} 0")
    #expect(
      lines.suffix(4) == [
        "a_seconds_bucket{l=\"x\",le=\"16.777216\"} 1", "a_seconds_bucket{l=\"x\",le=\"+Inf\"} 2",
        "a_seconds_sum{l=\"x\"} 20.0003", "a_seconds_count{l=\"x\"} 2",
      ])
  }
}

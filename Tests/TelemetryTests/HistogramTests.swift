import Telemetry
import Testing

@Suite struct HistogramTests {
  @Test(arguments: [0, 1, 7, 8, 9, 15, 16, 17, 100, 1000, 65_535, 1 << 20, (1 << 37) - 1] as [UInt64])
  func value_isFoundAgain_withinAnEighth(value: UInt64) throws {
    var histogram = LatencyHistogram()
    histogram.add(microseconds: value)
    let bound = try #require(histogram.quantile(1))
    #expect(bound > value && bound <= value + value / 8 + 1)
    #expect(histogram.total == 1)
  }

  @Test func anyValue_hasItsPlace_howeverLong() {
    var histogram = LatencyHistogram()
    histogram.add(microseconds: .max)
    histogram.add(microseconds: 1 << 37)
    #expect(histogram.total == 2 && histogram.quantile(0.5) == histogram.quantile(1))
  }

  @Test func buckets_followOneAnother_withoutGaps() {
    for bucket in 1..<LatencyHistogram.bucketCount {
      #expect(LatencyHistogram.upperBound(of: bucket) > LatencyHistogram.upperBound(of: bucket - 1))
    }
  }

  @Test func quantiles_andWhatCameSince() {
    var histogram = LatencyHistogram()
    for _ in 0..<90 { histogram.add(microseconds: 100) }
    let earlier = histogram
    for _ in 0..<10 { histogram.add(microseconds: 10_000) }
    #expect((100...113).contains(histogram.quantile(0.9)!))
    #expect((10_000...11_300).contains(histogram.quantile(0.91)!))
    #expect(histogram.count(from: 5000) == 10 && histogram.count(from: 20_000) == 0)
    #expect(histogram.since(earlier).total == 10)
    #expect(LatencyHistogram().quantile(0.9) == nil)
  }
}

@Suite struct AddressSketchTests {
  @Test func addresses_areCountedOnce_howeverOftenTheyCome() {
    var sketch = AddressSketch()
    #expect(sketch.count == 0)
    for client in [1, 2, 3, 1, 2, 3] as [UInt32] { sketch.insert(client) }
    var other = AddressSketch()
    for client in [3, 4, .max] as [UInt32] { other.insert(client) }
    var both = AddressSketch()
    both.formUnion(sketch)
    both.formUnion(other)
    both.formUnion(AddressSketch())
    #expect(sketch.count == 3 && both.count == 5)
  }
}

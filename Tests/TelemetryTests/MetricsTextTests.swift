import Telemetry
import Testing

@Suite struct MetricsTextTests {
  private func text(_ write: (inout MetricsText) -> Void) -> String {
    var text = MetricsText()
    write(&text)
    return String(decoding: text.bytes, as: UTF8.self)
  }

  @Test func families_areWrittenWithHelpAndType() {
    let written = text {
      $0.add(
        "a_total", .counter, "Of a\nand \\ \"b\".", [.init([], 3 as UInt64), .init([("x", "1"), ("y", "2")], 0.5)])
    }
    #expect(
      written == """
        # HELP a_total Of a\\nand \\\\ "b".
        # TYPE a_total counter
        a_total 3
        a_total{x="1",y="2"} 0.5

        """)
  }

  @Test func aFamilyWithoutSamples_isNotWritten() {
    #expect(text { $0.add("a", .gauge, "A.", []) } == "")
  }

  @Test(arguments: [
    ("plain", "plain"), ("a\"b", "a\\\"b"), ("a\\b", "a\\\\b"), ("a\nb", "a\\nb"), ("}\n# TYPE x", "}\\n# TYPE x"),
    ("ü🚀", "ü🚀"),
  ])
  func labels_cannotForgeALine(value: String, written: String) {
    #expect(text { $0.add("a", .gauge, "A.", [.init([("l", value)], true)]) }.hasSuffix("a{l=\"\(written)\"} 1\n"))
  }

  @Test(
    arguments: [
      (0, "0"), (1, "1"), (-3, "-3"), (0.5, "0.5"), (1e14, "100000000000000"), (1.5e-5, "1.5e-05"), (.infinity, "+Inf"),
      (-.infinity, "-Inf"), (.nan, "NaN"), (9_007_199_254_740_992, "9007199254740992.0"), (1e300, "1e+300"),
    ] as [(Double, String)])
  func numbers_areAsPrometheusReadsThem(value: Double, written: String) {
    #expect(text { $0.add("a", .gauge, "A.", [.init([], value)]) }.hasSuffix("\na \(written)\n"))
  }

  @Test func histograms_haveExactBuckets_aSumAndACount() {
    var histogram = LatencyHistogram()
    for time in [0, 63, 64, 127, 128, 5_000_000] as [UInt64] { histogram.add(microseconds: time) }
    let written = text { $0.add("t_seconds", "T.", bounds: [64, 128, 1 << 20], [([("c", "blue")], histogram)]) }
    #expect(
      written == """
        # HELP t_seconds T.
        # TYPE t_seconds histogram
        t_seconds_bucket{c="blue",le="6.4e-05"} 2
        t_seconds_bucket{c="blue",le="0.000128"} 4
        t_seconds_bucket{c="blue",le="1.048576"} 5
        t_seconds_bucket{c="blue",le="+Inf"} 6
        t_seconds_sum{c="blue"} 5.000382
        t_seconds_count{c="blue"} 6

        """)
  }

  @Test func everyPowerOfTwo_endsABucket() {
    for exponent in 0..<37 {
      var histogram = LatencyHistogram()
      histogram.add(microseconds: (1 << exponent) - 1)
      histogram.add(microseconds: 1 << exponent)
      #expect(histogram.count(below: 1 << exponent) == 1, "2^\(exponent) µs")
    }
  }
}

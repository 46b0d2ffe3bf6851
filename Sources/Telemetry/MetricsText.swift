/// A text for Prometheus, exposition format 0.0.4: families of samples, each with its help and type.
///
/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
public struct MetricsText {
  public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  public enum Kind: String, Sendable { case counter, gauge, histogram }

  public typealias Labels = [(name: String, value: String)]

  /// One number of a family. Two of the same family with the same labels make the text invalid.
  public struct Sample {
    public var labels: Labels
    public var value: Double

    public init(_ labels: Labels = [], _ value: Double) { (self.labels, self.value) = (labels, value) }
    public init(_ labels: Labels = [], _ value: some BinaryInteger) { self.init(labels, Double(value)) }
    public init(_ labels: Labels = [], _ value: Bool) { self.init(labels, value ? 1 : 0) }
  }

  public private(set) var bytes: [UInt8] = []

  public init() {}

  /// Nothing is written for a family without samples.
  /// - Parameter name: letters, digits and underscores; of a counter it ends with `_total`.
  public mutating func add(_ name: String, _ kind: Kind, _ help: String, _ samples: [Sample]) {
    if samples.isEmpty { return }
    begin(name, kind, help)
    for sample in samples { line(name, sample.labels, Self.number(sample.value)) }
  }

  /// A histogram in seconds, a series for each set of labels.
  /// - Parameter bounds: microseconds, growing, each the end of a bucket of `LatencyHistogram` (a power of two is), so
  ///   that the counts are exact.
  public mutating func add(
    _ name: String, _ help: String, bounds: [UInt64], _ series: [(labels: Labels, histogram: LatencyHistogram)]
  ) {
    if series.isEmpty { return }
    begin(name, .histogram, help)
    for (labels, histogram) in series {
      lines(name, labels, bounds.map { ($0, histogram.count(below: $0)) }, sum: histogram.sum, total: histogram.total)
    }
  }

  /// The same, with the buckets that such histograms have.
  public mutating func add(_ name: String, _ help: String, _ series: [(labels: Labels, histogram: CoarseHistogram)]) {
    if series.isEmpty { return }
    begin(name, .histogram, help)
    for (labels, histogram) in series {
      let buckets = CoarseHistogram.bounds.enumerated().map { ($1, histogram.count(below: $0)) }
      lines(name, labels, buckets, sum: histogram.sum, total: histogram.total)
    }
  }

  /// One series of a histogram; times are in microseconds, counts include those of the buckets below.
  private mutating func lines(
    _ name: String, _ labels: Labels, _ buckets: [(bound: UInt64, count: UInt64)], sum: UInt64, total: UInt64
  ) {
    for (bound, count) in buckets {
      line(name + "_bucket", labels + [("le", Self.number(Double(bound) / 1_000_000))], String(count))
    }
    line(name + "_bucket", labels + [("le", "+Inf")], String(total))
    line(name + "_sum", labels, Self.number(Double(sum) / 1_000_000))
    line(name + "_count", labels, String(total))
  }

  private mutating func begin(_ name: String, _ kind: Kind, _ help: String) {
    put("# HELP \(name) \(Self.escaped(help, quotes: false))\n# TYPE \(name) \(kind.rawValue)\n")
  }

  private mutating func line(_ name: String, _ labels: Labels, _ value: String) {
    put(name)
    if !labels.isEmpty {
      put("{")
      for (index, label) in labels.enumerated() {
        put((index > 0 ? "," : "") + label.name + "=\"" + Self.escaped(label.value, quotes: true) + "\"")
      }
      put("}")
    }
    put(" " + value + "\n")
  }

  private mutating func put(_ text: String) { bytes += text.utf8 }

  /// Whole numbers without a fraction, as people write them.
  static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
    return "\(value)"
  }

  private static func escaped(_ text: String, quotes: Bool) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\"" where quotes: result += "\\\""
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}

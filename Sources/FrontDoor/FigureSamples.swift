import EventCore
import LinuxIO
import Relay
import Switching
import Telemetry

/// What one color's counters said at one moment.
struct Sample {
  let counters: TrafficCounters
  /// Protocol tcp: a session is what is begun there.
  let firstByte: LatencyHistogram

  init(_ report: WorkerReport, _ color: Color) {
    counters = report.counters(of: color)
    firstByte = report.firstByte[color]
  }

  /// What has been counted since an earlier moment.
  /// - Parameters:
  ///   - lateness: microseconds after which a first byte is late.
  ///   - overdue: first bytes that are late already and still to come.
  func figures(since start: Sample, lateness: UInt64?, overdue: UInt64) -> Figures {
    var figures = Figures()
    figures.connects = counters.connects &- start.counters.connects
    figures.connectFailures = counters.connectFailures &- start.counters.connectFailures
    figures.begun = counters.begun &- start.counters.begun
    figures.resets = counters.earlyResets &- start.counters.earlyResets
    figures.answers = counters.answers &- start.counters.answers
    figures.serverErrors = counters.serverErrors &- start.counters.serverErrors
    let times = firstByte.since(start.firstByte)
    figures.firstBytes = times.total + overdue
    figures.lateFirstBytes = (lateness.map { times.count(from: $0) } ?? 0) + overdue
    return figures
  }
}

/// The last minute of both colors, in steps: what a release is compared with.
struct FigureSamples {
  static let pause: Int64 = 5000
  private static let count = 12

  private var samples: [ByColor<Sample>] = []

  mutating func add(_ report: WorkerReport) {
    samples.append(ByColor(blue: Sample(report, .blue), green: Sample(report, .green)))
    if samples.count > Self.count { samples.removeFirst() }
  }

  /// First bytes of a color in the last five to ten seconds.
  func recentFirstBytes(of color: Color, _ report: WorkerReport) -> UInt64 {
    guard let earlier = samples.suffix(2).first?[color] else { return 0 }
    return Sample(report, color).firstByte.since(earlier.firstByte).total
  }

  /// What a color was like until now.
  func baseline(of color: Color, _ report: WorkerReport, minimumSamples: UInt64) -> Baseline {
    guard let oldest = samples.first?[color] else { return Baseline() }
    let present = Sample(report, color)
    let times = present.firstByte.since(oldest.firstByte)
    return Baseline(
      figures: present.figures(since: oldest, lateness: nil, overdue: 0),
      firstByte: times.total >= minimumSamples ? times.quantile(0.9) : nil)
  }
}

extension FrontDoor {
  /// Takes a sample now and from then on.
  func sampleFigures() {
    start { $0.samples.add(await $0.workers.report()) }
    reactor.after(milliseconds: FigureSamples.pause) { [self] in start { $0.sampleFigures() } }
  }
}

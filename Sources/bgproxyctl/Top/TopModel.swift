import Admin
import Switching

/// What the live view knows: the front door's last answer and what the answers before it have told.
struct TopModel {
  /// What a color does at present, each second.
  struct Rates: Equatable {
    var accepted = 0.0
    var requests = 0.0
    var bytesIn = 0.0
    var bytesOut = 0.0
  }

  /// What has failed in the last minute.
  struct Failures: Equatable {
    var connects: UInt64 = 0
    var resets: UInt64 = 0
    var serverErrors: UInt64 = 0
    var sum: UInt64 { connects &+ resets &+ serverErrors }
  }

  private(set) var status: StatusReport
  private(set) var samples: [TrafficSample] = []
  private(set) var rates = ByColor(both: Rates())
  /// When the last answer came, in seconds since 1970.
  private(set) var answeredAt: Double
  /// Why the last question has no answer; nil: it has.
  private(set) var problem: String?

  /// Ten minutes of them.
  private static let mostSamples = 300
  private static let mostRate = 1e12
  /// A front door that answers in time is heard of each second.
  private static let patience = 2.5

  init(_ status: StatusReport, at time: Double) {
    (self.status, answeredAt) = (status, time)
    samples = status.recent?.samples ?? []
    rates = ratesOfLastSample
  }

  mutating func take(_ next: StatusReport, at time: Double) {
    let isSameProcess = next.process == status.process
    let batch = next.recent?.samples ?? []
    if isSameProcess, let known = batch.lastIndex(where: { $0.at == samples.last?.at }) {
      samples = (samples + batch[(known + 1)...]).suffix(Self.mostSamples)
    } else if !batch.isEmpty || !isSameProcess {
      samples = batch
    }
    let (before, elapsed) = (status, time - answeredAt)
    (status, answeredAt, problem) = (next, time, nil)
    // Two answers that are close together say little, and in between two that are far apart anything can have happened.
    if isSameProcess, (0.2...10).contains(elapsed) {
      rates = ByColor(
        blue: Rates(before.colors.blue, next.colors.blue, elapsed),
        green: Rates(before.colors.green, next.colors.green, elapsed))
    } else if !isSameProcess || !(0..<0.2).contains(elapsed) {
      rates = ratesOfLastSample
    }
  }

  mutating func fail(_ reason: String) { problem = reason }

  private var ratesOfLastSample: ByColor<Rates> {
    guard let last = samples.last, last.seconds > 0 else { return ByColor(both: Rates()) }
    return ByColor(
      blue: Rates(last.colors.blue, last.seconds), green: Rates(last.colors.green, last.seconds))
  }

  /// For how long there was no answer, where that is longer than it should be.
  func silence(now: Double) -> Double? {
    let silence = max(0, now - answeredAt)
    return problem != nil || silence > Self.patience ? silence : nil
  }

  func failures(of color: Color) -> Failures {
    var sum = Failures()
    var seconds = 0.0
    for sample in samples.reversed() {
      let figures = sample.colors[color]
      sum.connects &+= figures.connectFailures
      sum.resets &+= figures.resets
      sum.serverErrors &+= figures.serverErrors
      seconds += sample.seconds
      if seconds >= 59.5 { break }
    }
    return sum
  }

  /// Times to the first byte in the last seconds.
  func quantiles(of color: Color) -> (p50: UInt64?, p99: UInt64?) {
    let figures = samples.last?.colors[color]
    return (figures?.p50Microseconds, figures?.p99Microseconds)
  }

  /// Of all open sessions; nil where none is.
  func share(of color: Color) -> Double? {
    let sum = Double(status.colors.blue.sessions) + Double(status.colors.green.sessions)
    return sum > 0 ? Double(status.colors[color].sessions) / sum : nil
  }

  /// The newest first.
  var events: [EventReport] { (status.recent?.events ?? []).reversed() }

  /// What is drawn of the last minutes: requests where there were any, else new sessions.
  var drawsRequests: Bool { samples.contains { max($0.colors.blue.requests, $0.colors.green.requests) > 0 } }

  /// One value for each stretch of `seconds`, the last one up to now; nil where nothing is known. The stretches lie at
  /// fixed times, so that they move without changing their shape.
  func history(of color: Color, cells: Int, seconds: Double) -> [Double?] {
    guard let last = samples.last.flatMap({ Timestamp.seconds($0.at) }), cells > 0 else { return [] }
    let end = (last / seconds).rounded(.down)
    var sums = [(count: Double, seconds: Double)](repeating: (0, 0), count: cells)
    for sample in samples.reversed() {
      guard let at = Timestamp.seconds(sample.at) else { continue }
      let back = end - (at / seconds).rounded(.down)
      guard (0..<Double(cells)).contains(back) else { break }
      let figures = sample.colors[color]
      let cell = cells - 1 - Int(back)
      sums[cell].count += Double(drawsRequests ? figures.requests : figures.accepted)
      sums[cell].seconds += sample.seconds
    }
    return sums.map { $0.seconds > 0 ? min(Self.mostRate, $0.count / $0.seconds) : nil }
  }
}

extension TopModel.Rates {
  fileprivate init(_ figures: TrafficFigures, _ seconds: Double) {
    self.init(
      accepted: Double(figures.accepted) / seconds, requests: Double(figures.requests) / seconds,
      bytesIn: Double(figures.bytesIn) / seconds, bytesOut: Double(figures.bytesOut) / seconds)
  }

  fileprivate init(_ before: ColorReport, _ after: ColorReport, _ seconds: Double) {
    // Counters of one process only grow; what says otherwise counts as 0.
    func rate(_ counter: KeyPath<ColorReport, UInt64>) -> Double {
      let (old, new) = (before[keyPath: counter], after[keyPath: counter])
      return new > old ? Double(new - old) / seconds : 0
    }
    self.init(
      accepted: rate(\.accepted), requests: rate(\.requests), bytesIn: rate(\.bytesIn), bytesOut: rate(\.bytesOut))
  }
}

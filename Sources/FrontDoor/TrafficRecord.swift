import Admin
import LinuxIO
import Relay
import Switching
import Telemetry

/// What the last ten minutes were like, step by step: for live views, which so have something to show from the start.
struct TrafficRecord {
  /// Milliseconds of one step.
  static let step: Int64 = 2000
  private static let mostSamples = 300
  /// Steps whose times to the first byte are looked at together: of one step alone there may be too few.
  private static let stepsOfQuantiles = 5

  private var samples: [(at: Instant, sample: TrafficSample)] = []
  private var last: (at: Instant, report: WorkerReport)?
  /// Times to the first byte at the ends of the last steps, the oldest first.
  private var firstBytes: [ByColor<LatencyHistogram>] = []
  /// What each listener had counted at the ends of the last minute's steps, the oldest first.
  private var listenerCounts: [[ListenerID: ByColor<ListenerCounters>]] = []
  private static let stepsOfMinute = 30

  mutating func add(
    _ report: WorkerReport, _ counts: [ListenerID: ByColor<ListenerCounters>]? = nil, at now: Instant = .now()
  ) {
    defer { last = (now, report) }
    if let counts {
      listenerCounts.append(counts)
      if listenerCounts.count > Self.stepsOfMinute + 1 { listenerCounts.removeFirst() }
    }
    let times = ByColor(blue: report.firstBytes(of: .blue), green: report.firstBytes(of: .green))
    defer {
      firstBytes.append(times)
      if firstBytes.count > Self.stepsOfQuantiles { firstBytes.removeFirst() }
    }
    guard let last, let oldest = firstBytes.first else { return }
    func figures(_ color: Color) -> TrafficFigures {
      let before = last.report.counters(of: color)
      let counters = report.counters(of: color)
      let recent = times[color].since(oldest[color])
      return TrafficFigures(
        sessions: report.sessions(of: color), accepted: counters.accepted &- before.accepted,
        requests: counters.requests &- before.requests, bytesIn: counters.bytesIn &- before.bytesIn,
        bytesOut: counters.bytesOut &- before.bytesOut,
        connectFailures: counters.connectFailures &- before.connectFailures,
        resets: counters.resets &- before.resets, serverErrors: counters.serverErrors &- before.serverErrors,
        p50Microseconds: recent.quantile(0.5), p99Microseconds: recent.quantile(0.99))
    }
    let sample = TrafficSample(
      at: WallTime.now().description, seconds: Double(now.milliseconds(since: last.at)) / 1000,
      colors: ByColor(blue: figures(.blue), green: figures(.green)))
    samples.append((now, sample))
    if samples.count > Self.mostSamples { samples.removeFirst() }
  }

  /// - Parameter milliseconds: how far back it goes.
  func report(
    milliseconds: Int64, events: [EventReport], listeners: [(id: ListenerID, name: String)] = [],
    at now: Instant = .now()
  ) -> RecentReport {
    RecentReport(
      stepSeconds: Double(Self.step) / 1000,
      samples: samples.filter { now.milliseconds(since: $0.at) <= milliseconds }.map(\.sample), events: events,
      lastMinute: listeners.map { lastMinute(of: $0.id, $0.name) })
  }

  private func lastMinute(of listener: ListenerID, _ name: String) -> ListenerMinute {
    func figures(_ color: Color) -> ListenerFigures {
      let now = listenerCounts.last?[listener]?[color] ?? ListenerCounters()
      let before = listenerCounts.first?[listener]?[color] ?? ListenerCounters()
      return ListenerFigures(
        sessions: now.assigned &- before.assigned, requests: now.requests &- before.requests,
        connectFailures: now.connectFailures &- before.connectFailures, resets: now.resets &- before.resets,
        earlyResets: now.earlyResets &- before.earlyResets, serverErrors: now.serverErrors &- before.serverErrors)
    }
    return ListenerMinute(name: name, colors: ByColor(blue: figures(.blue), green: figures(.green)))
  }
}

extension FrontDoor {
  /// Takes a sample now and from then on.
  func recordTraffic() {
    start { await $0.addToRecord() }
    reactor.after(milliseconds: TrafficRecord.step) { [self] in start { $0.recordTraffic() } }
  }

  private func addToRecord() async {
    let report = await workers.report()
    let counts = await inPresentRows(\.edition) { await workers.listenerCounts() }
    traffic.add(
      report,
      Dictionary(
        uniqueKeysWithValues: listeners.map { listener in
          (
            listener.id,
            ByColor(blue: counts.counters(of: listener.id, .blue), green: counts.counters(of: listener.id, .green))
          )
        }))
  }
}

import Admin
import Configuration
import LinuxIO
import Relay
import Switching
import Telemetry

/// What the metrics tell, at one moment: collected on the control thread, written as text on another one.
struct MetricsReading: Sendable {
  /// A listener by its name: names are used again after a reload, while sessions of their earlier bearer live on, and these
  /// are one to whoever reads.
  struct Listener: Sendable {
    let name: String
    var hasPreview = false
    var totals = ListenerTotals()
    var census = Array(repeating: ListenerCensus(), count: Account.allCases.count)
  }

  /// What a listener has counted since it was first configured.
  struct ListenerTotals: Equatable, Sendable {
    /// By account.
    var counters = Array(repeating: ListenerCounters(), count: Account.allCases.count)
    var times = ByColor(both: ListenerTimes())

    init() {}

    init(_ measures: Measures, of id: ListenerID) {
      counters = Account.allCases.map { measures.counters(of: id, $0) }
      times = ByColor(blue: measures.times(of: id, .blue), green: measures.times(of: id, .green))
    }

    static func += (sum: inout ListenerTotals, other: ListenerTotals) {
      for account in sum.counters.indices { sum.counters[account] += other.counters[account] }
      for color in Color.allCases { sum.times[color] += other.times[color] }
    }
  }

  /// A target by listener, color and address, for the same reason.
  struct Target: Sendable {
    let label: TargetLabel
    var hasPreview = false
    var sessions = 0
    var healthy: Bool?
    var production = TrafficCounters()
    var preview = TrafficCounters()
  }

  let active: Color
  /// Percent of new sessions that go to each color.
  let share: ByColor<Int>
  let generation: UInt64
  let phase: StatusReport.Phase
  let healthy: ByColor<Bool?>
  let draining: ByColor<Int>
  /// nil: nothing drains.
  let drainDeadline: WallTime?
  let isPersisted: Bool
  /// In the order of their names.
  let listeners: [Listener]
  /// In the order of their labels.
  let targets: [Target]
  let measures: Measures
  let tallies: Tallies
  let sessionLimit: Int
  let workers: Int
  let pipes: Int
  let splicedBytes: UInt64
  let eventReaders: Int
  let logLinesLost: UInt64
  let version: String
  let process: ProcessFigures
  let descriptorLimit: Int
  let startedAt: WallTime
}

/// What names a target in the metrics.
struct TargetLabel: Hashable, Comparable, Sendable {
  let listener: String
  let color: Color
  let address: String

  static func < (a: TargetLabel, b: TargetLabel) -> Bool {
    (a.listener, a.color.rawValue, a.address) < (b.listener, b.color.rawValue, b.address)
  }
}

extension FrontDoor {
  func metrics() async -> HTTPResponse {
    let reading = await metricsReading()
    return HTTPResponse(status: 200, contentType: MetricsText.contentType, body: await clerk.text(of: reading))
  }

  /// Asks the workers for counts until they are in the rows of the present routes: a reload in between gives rows to others. It
  /// gives new routes to `targetBook` and to the workers in one step, so each reload costs one more question.
  func inPresentRows<Counts>(_ edition: KeyPath<Counts, UInt64>, _ ask: () async -> Counts) async -> Counts {
    var counts = await ask()
    while counts[keyPath: edition] != targetBook.edition { counts = await ask() }
    return counts
  }

  private func metricsReading() async -> MetricsReading {
    let report = await workers.report()
    let measures = await inPresentRows(\.edition) { await workers.measures() }
    recordTally(report)
    let state = machine.state
    var share = ByColor(both: Int(state.trial?.share ?? 0))
    share[state.active] = 100 - share[state.active]
    return MetricsReading(
      active: state.active, share: share, generation: state.generation, phase: presentPhase,
      healthy: ByColor(blue: isHealthy(.blue), green: isHealthy(.green)),
      draining: ByColor(blue: draining(.blue, report), green: draining(.green, report)),
      drainDeadline: drain?.deadlineOnWall, isPersisted: !isRewriting, listeners: listenerReadings(measures),
      targets: targetReadings(measures), measures: measures, tallies: tallies, sessionLimit: sessionLimit,
      workers: workers.count, pipes: pipes.inUse, splicedBytes: report.splicedBytes, eventReaders: watchers.count,
      logLinesLost: log.lost, version: launch.version, process: ProcessFigures.now(),
      descriptorLimit: descriptorLimit, startedAt: startedAt)
  }

  /// Those that are configured, and those of earlier configurations that may still have sessions.
  private var knownListeners: [(id: ListenerID, settings: ListenerSettings)] {
    listeners.map { (id: $0.id, settings: $0.settings) } + departed
  }

  private func listenerReadings(_ measures: Measures) -> [MetricsReading.Listener] {
    var readings: [String: MetricsReading.Listener] = [:]
    for (id, settings) in knownListeners {
      var reading = readings[settings.name] ?? MetricsReading.Listener(name: settings.name)
      if settings.preview != nil { reading.hasPreview = true }
      reading.totals += MetricsReading.ListenerTotals(measures, of: id)
      for account in Account.allCases {
        reading.census[Int(account.rawValue)] += measures.census(of: id, account)
      }
      readings[settings.name] = reading
    }
    for (name, base) in counterBases.listeners { readings[name]?.totals += base }
    return readings.values.sorted { $0.name < $1.name }
  }

  private func targetReadings(_ measures: Measures) -> [MetricsReading.Target] {
    let known = Dictionary(knownListeners.map { ($0.id, $0.settings) }, uniquingKeysWith: { first, _ in first })
    let present = Set(listeners.map(\.id))
    var readings: [TargetLabel: MetricsReading.Target] = [:]
    for entry in targetBook.entries {
      guard let listener = known[entry.listener] else { continue }
      let label = TargetLabel(listener: listener.name, color: entry.color, address: "\(entry.address)")
      var reading = readings[label] ?? MetricsReading.Target(label: label)
      if listener.preview != nil { reading.hasPreview = true }
      reading.sessions += targetBook.board.sessions(entry.slot)
      if present.contains(entry.listener), probed.contains(entry.slot) {
        reading.healthy = prober?.health(of: entry.slot)?.isHealthy
      }
      reading.production += measures.counters(ofTarget: entry.slot, isPreview: false)
      reading.preview += measures.counters(ofTarget: entry.slot, isPreview: true)
      readings[label] = reading
    }
    for (label, base) in counterBases.targets {
      readings[label]?.production += base.production
      readings[label]?.preview += base.preview
    }
    return readings.values.sorted { $0.label < $1.label }
  }
}

/// What listeners and targets had counted that are gone, for those that bear the same name: a counter must not fall while it
/// is there.
struct CounterBases {
  fileprivate(set) var listeners: [String: MetricsReading.ListenerTotals] = [:]
  fileprivate(set) var targets: [TargetLabel: (production: TrafficCounters, preview: TrafficCounters)] = [:]
}

extension FrontDoor {
  /// When a reload is in force.
  /// - Parameters:
  ///   - measures: of just before it.
  ///   - before: the listeners that were known, and the lines that were in use.
  func keepCounts(
    _ measures: Measures, of before: (listeners: [(id: ListenerID, name: String)], targets: [TargetBook.Entry])
  ) {
    let known = knownListeners
    let ids = Set(known.map(\.id))
    let names = Set(known.map(\.settings.name))
    let oldNames = Dictionary(before.listeners.map { ($0.id, $0.name) }, uniquingKeysWith: { first, _ in first })
    for (id, name) in before.listeners where !ids.contains(id) {
      listenerNames[id] = nil
      guard names.contains(name) else { continue }
      counterBases.listeners[name, default: MetricsReading.ListenerTotals()] +=
        MetricsReading.ListenerTotals(measures, of: id)
    }
    counterBases.listeners = counterBases.listeners.filter { names.contains($0.key) }

    let entries = targetBook.entries
    let slots = Set(entries.map { TargetLine($0) })
    let newNames = Dictionary(known.map { ($0.id, $0.settings.name) }, uniquingKeysWith: { first, _ in first })
    func label(_ entry: TargetBook.Entry) -> TargetLabel? {
      (newNames[entry.listener] ?? oldNames[entry.listener]).map {
        TargetLabel(listener: $0, color: entry.color, address: "\(entry.address)")
      }
    }
    // What a listener has left is not told any more, though its lines may stay for a while.
    let labels = Set(entries.filter { ids.contains($0.listener) }.compactMap(label))
    for entry in before.targets
    where !slots.contains(TargetLine(entry)) || !ids.contains(entry.listener) && oldNames[entry.listener] != nil {
      guard let label = label(entry), labels.contains(label) else { continue }
      var base = counterBases.targets[label] ?? (TrafficCounters(), TrafficCounters())
      base.production += measures.counters(ofTarget: entry.slot, isPreview: false)
      base.preview += measures.counters(ofTarget: entry.slot, isPreview: true)
      counterBases.targets[label] = base
    }
    counterBases.targets = counterBases.targets.filter { labels.contains($0.key) }
  }

  /// A line of the board and what it stands for: lines are used again.
  private struct TargetLine: Hashable {
    let slot: Int32
    let listener: ListenerID
    let color: Color
    let address: Address

    init(_ entry: TargetBook.Entry) {
      (slot, listener, color, address) = (entry.slot, entry.listener, entry.color, entry.address)
    }
  }

  var listenersAndTargets: (listeners: [(id: ListenerID, name: String)], targets: [TargetBook.Entry]) {
    (knownListeners.map { (id: $0.id, name: $0.settings.name) }, targetBook.entries)
  }
}

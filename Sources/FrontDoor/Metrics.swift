import Admin
import Configuration
import LinuxIO
import Relay
import Switching
import Telemetry

/// The metrics of a front door; docs/metrics.md says what each means.
extension FrontDoor {
  func metrics() async -> HTTPResponse {
    let report = await workers.report()
    let measures = await workers.measures()
    recordTally(report)
    var text = MetricsText()
    addState(to: &text, report)
    addListeners(to: &text, measures)
    addTargets(to: &text, measures)
    addTimes(to: &text, measures)
    addSwitches(to: &text)
    addProcess(to: &text, report)
    return HTTPResponse(status: 200, contentType: MetricsText.contentType, body: text.bytes)
  }

  private func byColor(_ value: (Color) -> Double?) -> [MetricsText.Sample] {
    Color.allCases.compactMap { color in value(color).map { MetricsText.Sample([("color", color.rawValue)], $0) } }
  }

  // MARK: What is in force

  private func addState(to text: inout MetricsText, _ report: WorkerReport) {
    let state = machine.state
    let share = Double(state.trial?.share ?? 0)
    text.add(
      "bgproxy_active", .gauge, "Whether production traffic goes to this color.",
      byColor { $0 == state.active ? 1 : 0 })
    text.add(
      "bgproxy_share_ratio", .gauge, "Share of new sessions and clients that goes to this color.",
      byColor { ($0 == state.active ? 100 - share : share) / 100 })
    text.add(
      "bgproxy_generation", .gauge, "Counts switches; it survives restarts.", [MetricsText.Sample([], state.generation)]
    )
    let phase = presentPhase
    text.add(
      "bgproxy_phase", .gauge, "The phase that bgproxyctl status shows: 1 for the one in force.",
      StatusReport.Phase.allCases.map { MetricsText.Sample([("phase", $0.rawValue)], $0 == phase) })
    text.add(
      "bgproxy_color_healthy", .gauge, "Whether every listener has a healthy target of this color; absent until known.",
      byColor { color in isHealthy(color).map { $0 ? 1 : 0 } })
    text.add(
      "bgproxy_draining_sessions", .gauge, "Sessions of this color that drain.",
      byColor { Double(draining($0, report)) })
    text.add(
      "bgproxy_drain_deadline_timestamp_seconds", .gauge,
      "When what still drains is reset; absent where nothing drains.",
      drain.map { [MetricsText.Sample([], Double($0.deadlineOnWall.microseconds) / 1_000_000)] } ?? [])
    text.add(
      "bgproxy_state_persisted", .gauge, "Whether the state in force is on disk.",
      [MetricsText.Sample([], !isRewriting)])
  }

  // MARK: Listeners

  /// Names are used again after a reload, while sessions of their earlier bearer live on: these are one to whoever reads.
  private struct ListenerFigures {
    var counters: [Account: ListenerCounters] = [:]
    var census: [Account: ListenerCensus] = [:]
    var hasPreview = false
  }

  /// Those that are configured, and those of earlier configurations that may still have sessions.
  private var knownListeners: [(id: ListenerID, settings: ListenerSettings)] {
    listeners.map { (id: $0.id, settings: $0.settings) } + departed
  }

  private func addListeners(to text: inout MetricsText, _ measures: Measures) {
    var figures: [String: ListenerFigures] = [:]
    for (id, settings) in knownListeners {
      let name = settings.name
      if settings.preview != nil { figures[name, default: ListenerFigures()].hasPreview = true }
      for account in Account.allCases {
        figures[name, default: ListenerFigures()].counters[account, default: ListenerCounters()] += measures.counters(
          of: id, account)
        figures[name, default: ListenerFigures()].census[account, default: ListenerCensus()] += measures.census(
          of: id, account)
      }
    }
    let names = figures.keys.sorted()

    /// For each listener, what production and what preview connections have of something.
    func byTraffic(_ value: (ListenerCounters) -> UInt64) -> [MetricsText.Sample] {
      names.flatMap { name in
        let counters = figures[name]?.counters ?? [:]
        let production = [Account.blue, .green, .waiting].reduce(0) { $0 + (counters[$1].map(value) ?? 0) }
        let samples = [
          MetricsText.Sample([("listener", name), ("traffic", "production")], production),
          MetricsText.Sample([("listener", name), ("traffic", "preview")], counters[.preview].map(value) ?? 0),
        ]
        return figures[name]?.hasPreview == true ? samples : [samples[0]]
      }
    }
    func byColor(_ value: (ListenerCounters) -> UInt64) -> [MetricsText.Sample] {
      names.flatMap { name in
        Color.allCases.map { color in
          MetricsText.Sample(
            [("listener", name), ("color", color.rawValue)], figures[name]?.counters[Account(color)].map(value) ?? 0)
        }
      }
    }
    func gauge(_ value: (ListenerCensus) -> Int) -> [MetricsText.Sample] {
      names.map { name in
        MetricsText.Sample([("listener", name)], figures[name]?.census.values.reduce(0) { $0 + value($1) } ?? 0)
      }
    }

    text.add("bgproxy_connections_total", .counter, "Client connections accepted.", byTraffic(\.connections))
    text.add("bgproxy_connections", .gauge, "Client connections open.", gauge(\.sessions))
    text.add(
      "bgproxy_sessions", .gauge, "Production sessions that are connected to a target of this color, or connecting.",
      names.flatMap { name in
        Color.allCases.map { color in
          MetricsText.Sample(
            [("listener", name), ("color", color.rawValue)], figures[name]?.census[Account(color)]?.sessions ?? 0)
        }
      })
    text.add("bgproxy_held", .gauge, "Sessions that wait for a hold to end.", gauge(\.held))
    text.add("bgproxy_parked", .gauge, "Keep-alive clients without a backend.", gauge(\.parked))
    text.add("bgproxy_held_total", .counter, "Times that a session had to wait in a hold.", byTraffic(\.held))
    text.add(
      "bgproxy_sessions_total", .counter, "Production sessions assigned to this color; one that moves counts for both.",
      byColor(\.assigned))
    text.add(
      "bgproxy_connect_failures_total", .counter, "Production sessions that found no target of this color.",
      byColor(\.connectFailures))
    let refusals: [(String, (ListenerCounters) -> UInt64)] = [
      ("unreachable", \.unreachable), ("timeout", \.timedOut), ("hold", \.heldTooLong),
    ]
    text.add(
      "bgproxy_refused_total", .counter,
      "Sessions that the front door answered in a backend's place (http 502, 504, 503) or closed (tcp).",
      refusals.flatMap { reason, value in
        byTraffic(value).map { MetricsText.Sample($0.labels + [("reason", reason)], $0.value) }
      })
  }

  // MARK: Targets

  private struct TargetFigures {
    let labels: MetricsText.Labels
    var counters = TrafficCounters()
  }

  private struct TargetLine {
    let labels: MetricsText.Labels
    var sessions = 0
    var healthy: Bool?
  }

  private func addTargets(to text: inout MetricsText, _ measures: Measures) {
    var lines: [String: TargetLine] = [:]
    var traffic: [String: TargetFigures] = [:]
    let known = Dictionary(knownListeners.map { ($0.id, $0.settings) }, uniquingKeysWith: { first, _ in first })
    for entry in targetBook.entries {
      guard let listener = known[entry.listener] else { continue }
      let labels = [("listener", listener.name), ("color", entry.color.rawValue), ("target", "\(entry.address)")]
      let key = labels.map(\.1).joined(separator: "\n")
      lines[key, default: TargetLine(labels: labels)].sessions += targetBook.board.sessions(entry.slot)
      if listeners.contains(where: { $0.id == entry.listener }), probed.contains(entry.slot) {
        lines[key, default: TargetLine(labels: labels)].healthy = prober?.health(of: entry.slot)?.isHealthy
      }
      for isPreview in listener.preview == nil ? [false] : [false, true] {
        let kind = isPreview ? "preview" : "production"
        let figures = TargetFigures(labels: labels + [("traffic", kind)])
        traffic[key + "\n" + kind, default: figures].counters += measures.counters(
          ofTarget: entry.slot, isPreview: isPreview)
      }
    }
    let sortedLines = lines.sorted { $0.key < $1.key }.map(\.value)
    let sorted = traffic.sorted { $0.key < $1.key }.map(\.value)
    func counter(_ name: String, _ help: String, _ value: (TrafficCounters) -> UInt64) {
      text.add(name, .counter, help, sorted.map { MetricsText.Sample($0.labels, value($0.counters)) })
    }

    text.add(
      "bgproxy_target_sessions", .gauge, "Production sessions that are connected to this target, or connecting.",
      sortedLines.map { MetricsText.Sample($0.labels, $0.sessions) })
    text.add(
      "bgproxy_target_healthy", .gauge, "Whether the probes of this target succeed; absent until known.",
      sortedLines.compactMap { line in line.healthy.map { MetricsText.Sample(line.labels, $0) } })
    counter("bgproxy_target_connects_total", "Connections to this target that were made.", \.established)
    counter(
      "bgproxy_target_connect_failures_total", "Attempts to connect to this target that failed.", \.failedAttempts)
    counter("bgproxy_requests_total", "Requests sent to this target; protocol http.", \.requests)
    counter("bgproxy_responses_total", "Final responses of this target; protocol http.", \.answers)
    counter(
      "bgproxy_server_errors_total", "Responses of this target with a status of 500 or more; protocol http.",
      \.serverErrors)
    counter("bgproxy_received_bytes_total", "Bytes from clients of this target.", \.bytesIn)
    counter("bgproxy_sent_bytes_total", "Bytes to clients from this target.", \.bytesOut)
    counter("bgproxy_resets_total", "Sessions that this target reset.", \.resets)
    counter(
      "bgproxy_early_resets_total",
      "Sessions (tcp) and requests (http) that this target broke off before the first byte of its answer.",
      \.earlyResets)
    counter(
      "bgproxy_idle_closes_total", "Connections that this target closed between two requests; protocol http.",
      \.idleCloses)
    counter("bgproxy_retries_total", "Requests that met such a close and were sent again; protocol http.", \.retries)
  }

  // MARK: Times

  /// Microseconds. Powers of two, 64 µs to 67 s: the times that are counted have buckets that end there, so that nothing
  /// is estimated.
  private static let shortTimes: [UInt64] = (6...26).map { 1 << $0 }
  /// Powers of four, 1 µs to 67 s.
  private static let switchTimes: [UInt64] = stride(from: 0, through: 26, by: 2).map { 1 << $0 }
  /// Powers of four, 1 ms to 19 hours.
  private static let longTimes: [UInt64] = stride(from: 10, through: 36, by: 2).map { 1 << $0 }

  private func addTimes(to text: inout MetricsText, _ measures: Measures) {
    text.add(
      "bgproxy_connect_duration_seconds", "From the first packet to a target to its connection; production.",
      bounds: Self.shortTimes,
      Color.allCases.map { ([("color", $0.rawValue)], measures.connectTimes[$0]) })
    text.add(
      "bgproxy_first_byte_duration_seconds",
      "To the first byte from a target: of a request (http), since the connection (tcp); production.",
      bounds: Self.shortTimes,
      Color.allCases.flatMap { color in
        [("http", measures.firstByte[color]), ("tcp", measures.firstByteOfSessions[color])].map {
          ([("color", color.rawValue), ("protocol", $0.0)], $0.1)
        }
      })
    let colors: [Color?] = Color.allCases + [nil]
    text.add(
      "bgproxy_session_duration_seconds",
      "How long client connections lasted, by their last color; none: they never had one. Production.",
      bounds: Self.longTimes,
      colors.map { ([("color", $0?.rawValue ?? "none")], measures.sessionTimes(of: $0)) })
    let steps = [
      ("flip", tallies.flips), ("confirm", tallies.confirmations), ("persist", tallies.writes), ("hold", tallies.holds),
    ]
    text.add(
      "bgproxy_switch_duration_seconds",
      "Of each switch: the store of the color, its confirmation by all workers, its write to disk, the hold.",
      bounds: Self.switchTimes, steps.map { ([("step", $0.0)], $0.1) })
    text.add(
      "bgproxy_drain_duration_seconds",
      "From a switch to the moment at which every session that was open then is accounted for.",
      bounds: Self.longTimes, [([], tallies.drains)])
  }

  // MARK: Switches

  private func addSwitches(to text: inout MetricsText) {
    text.add(
      "bgproxy_switches_total", .counter, "Switches to this color; automatic: a release that was taken back.",
      Tallies.SwitchKind.allCases.flatMap { kind in
        byColor { Double(tallies.switches[kind]?[$0] ?? 0) }.map {
          MetricsText.Sample($0.labels + [("kind", kind.rawValue)], $0.value)
        }
      })
    let left = tallies.left
    let outcomes = [
      ("ended", left.ended), ("moved", left.moved), ("returned", left.returned), ("spread", left.spread),
      ("cut", left.cut),
    ]
    text.add(
      "bgproxy_switch_sessions_total", .counter,
      "What became of the sessions that were open at switches, once their receipts are settled.",
      outcomes.map { MetricsText.Sample([("outcome", $0.0)], $0.1) })
    text.add(
      "bgproxy_handovers_given_up_total", .counter, "Handovers that were given up.",
      [MetricsText.Sample([], tallies.handoversGivenUp)])
    text.add(
      "bgproxy_reloads_total", .counter, "Reloads of the configuration.",
      [
        MetricsText.Sample([("result", "done")], tallies.reloads),
        MetricsText.Sample([("result", "refused")], tallies.reloadsRefused),
      ])
  }

  // MARK: The process

  private func addProcess(to text: inout MetricsText, _ report: WorkerReport) {
    text.add(
      "bgproxy_limit_reached_total", .counter,
      "Seconds in which a worker reached this limit; each worker counts for itself.",
      Tallies.LimitKind.allCases.map { MetricsText.Sample([("limit", $0.rawValue)], tallies.limits[$0] ?? 0) })
    text.add("bgproxy_session_limit", .gauge, "Sessions that there may be.", [MetricsText.Sample([], sessionLimit)])
    text.add("bgproxy_workers", .gauge, "Worker threads.", [MetricsText.Sample([], workers.count)])
    text.add("bgproxy_splice_pipes", .gauge, "Pipes that are open.", [MetricsText.Sample([], pipes.inUse)])
    text.add(
      "bgproxy_spliced_bytes_total", .counter, "Bytes that went through pipes.",
      [MetricsText.Sample([], report.splicedBytes)])
    text.add("bgproxy_event_readers", .gauge, "Readers of events.", [MetricsText.Sample([], watchers.count)])
    text.add(
      "bgproxy_readers_dropped_total", .counter, "Readers of events or answers that did not read.",
      [MetricsText.Sample([], tallies.readersDropped)])
    text.add(
      "bgproxy_log_lines_lost_total", .counter, "Log lines that nobody took.", [MetricsText.Sample([], log.lost)])
    text.add(
      "bgproxy_build_info", .gauge, "The version of this front door.",
      [MetricsText.Sample([("version", launch.version)], 1)])

    let process = ProcessFigures.now()
    func figure(_ name: String, _ kind: MetricsText.Kind, _ help: String, _ value: Double?) {
      text.add(name, kind, help, value.map { [MetricsText.Sample([], $0)] } ?? [])
    }
    figure(
      "process_cpu_seconds_total", .counter, "Total user and system CPU time spent in seconds.", process.cpuSeconds)
    figure(
      "process_resident_memory_bytes", .gauge, "Resident memory size in bytes.", process.residentBytes.map(Double.init))
    figure(
      "process_virtual_memory_bytes", .gauge, "Virtual memory size in bytes.", process.virtualBytes.map(Double.init))
    figure("process_open_fds", .gauge, "Number of open file descriptors.", process.openDescriptors.map(Double.init))
    figure("process_max_fds", .gauge, "Maximum number of open file descriptors.", Double(descriptorLimit))
    figure(
      "process_start_time_seconds", .gauge, "Start time of the process since unix epoch in seconds.",
      Double(startedAt.microseconds) / 1_000_000)
  }
}

import Admin
import LinuxIO
import Relay
import Switching
import Telemetry

/// The text of the metrics; docs/metrics.md says what each means.
extension MetricsReading {
  func text() -> [UInt8] {
    var text = MetricsText()
    addState(to: &text)
    addListeners(to: &text)
    addTargets(to: &text)
    addTimes(to: &text)
    addSwitches(to: &text)
    addProcess(to: &text)
    return text.bytes
  }

  private func byColor(_ value: (Color) -> Double?) -> [MetricsText.Sample] {
    Color.allCases.compactMap { color in value(color).map { MetricsText.Sample([("color", color.rawValue)], $0) } }
  }

  // MARK: What is in force

  private func addState(to text: inout MetricsText) {
    text.add(
      "bgproxy_active", .gauge, "Whether production traffic goes to this color.",
      byColor { $0 == active ? 1 : 0 })
    text.add(
      "bgproxy_share_ratio", .gauge, "Share of new sessions and clients that goes to this color.",
      byColor { Double(share[$0]) / 100 })
    text.add(
      "bgproxy_generation", .gauge, "Counts switches; it survives restarts.", [MetricsText.Sample([], generation)]
    )
    text.add(
      "bgproxy_phase", .gauge, "The phase that bgproxyctl status shows: 1 for the one in force.",
      StatusReport.Phase.allCases.map { MetricsText.Sample([("phase", $0.rawValue)], $0 == phase) })
    text.add(
      "bgproxy_color_healthy", .gauge, "Whether every listener has a healthy target of this color; absent until known.",
      byColor { color in healthy[color].map { $0 ? 1 : 0 } })
    text.add(
      "bgproxy_draining_sessions", .gauge, "Sessions of this color that drain.",
      byColor { Double(draining[$0]) })
    text.add(
      "bgproxy_drain_deadline_timestamp_seconds", .gauge,
      "When what still drains is reset; absent where nothing drains.",
      drainDeadline.map { [MetricsText.Sample([], Double($0.microseconds) / 1_000_000)] } ?? [])
    text.add(
      "bgproxy_state_persisted", .gauge, "Whether the state in force is on disk.",
      [MetricsText.Sample([], isPersisted)])
  }

  // MARK: Listeners

  private func addListeners(to text: inout MetricsText) {
    /// For each listener, what production and what preview connections have of something.
    func byTraffic(_ value: (ListenerCounters) -> UInt64) -> [MetricsText.Sample] {
      listeners.flatMap { listener in
        let counters = listener.totals.counters
        let production = [Account.blue, .green, .waiting].reduce(0) { $0 + value(counters[Int($1.rawValue)]) }
        let preview = value(counters[Int(Account.preview.rawValue)])
        let samples = [
          MetricsText.Sample([("listener", listener.name), ("traffic", "production")], production),
          MetricsText.Sample([("listener", listener.name), ("traffic", "preview")], preview),
        ]
        return listener.hasPreview ? samples : [samples[0]]
      }
    }
    func byColor(_ value: (MetricsReading.Listener, Account) -> Double) -> [MetricsText.Sample] {
      listeners.flatMap { listener in
        Color.allCases.map { color in
          MetricsText.Sample(
            [("listener", listener.name), ("color", color.rawValue)], value(listener, Account(color)))
        }
      }
    }
    func counter(_ value: @escaping (ListenerCounters) -> UInt64) -> [MetricsText.Sample] {
      byColor { Double(value($0.totals.counters[Int($1.rawValue)])) }
    }
    func gauge(_ value: (ListenerCensus) -> Int) -> [MetricsText.Sample] {
      listeners.map { MetricsText.Sample([("listener", $0.name)], $0.census.reduce(0) { $0 + value($1) }) }
    }

    text.add("bgproxy_connections_total", .counter, "Client connections accepted.", byTraffic(\.connections))
    text.add("bgproxy_open_connections", .gauge, "Client connections open.", gauge(\.sessions))
    text.add(
      "bgproxy_open_sessions", .gauge,
      "Production sessions that are connected to a target of this color, or connecting.",
      byColor { Double($0.census[Int($1.rawValue)].sessions) })
    text.add("bgproxy_held_sessions", .gauge, "Sessions that wait for a hold to end.", gauge(\.held))
    text.add("bgproxy_parked", .gauge, "Keep-alive clients without a backend.", gauge(\.parked))
    text.add("bgproxy_held_total", .counter, "Times that a session had to wait in a hold.", byTraffic(\.held))
    text.add(
      "bgproxy_sessions_total", .counter, "Production sessions assigned to this color; one that moves counts for both.",
      counter(\.assigned))
    text.add(
      "bgproxy_connect_failures_total", .counter, "Production sessions that found no target of this color.",
      counter(\.connectFailures))
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

  private func addTargets(to text: inout MetricsText) {
    let labels: [MetricsText.Labels] = targets.map {
      [("listener", $0.label.listener), ("color", $0.label.color.rawValue), ("target", $0.label.address)]
    }
    func counter(_ name: String, _ help: String, _ value: (TrafficCounters) -> UInt64) {
      text.add(
        name, .counter, help,
        zip(labels, targets).flatMap { labels, target in
          let production = MetricsText.Sample(labels + [("traffic", "production")], value(target.production))
          if !target.hasPreview { return [production] }
          return [production, MetricsText.Sample(labels + [("traffic", "preview")], value(target.preview))]
        })
    }

    text.add(
      "bgproxy_target_sessions", .gauge, "Production sessions that are connected to this target, or connecting.",
      zip(labels, targets).map { MetricsText.Sample($0, $1.sessions) })
    text.add(
      "bgproxy_target_healthy", .gauge, "Whether the probes of this target succeed; absent until known.",
      zip(labels, targets).compactMap { labels, target in target.healthy.map { MetricsText.Sample(labels, $0) } })
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
  /// Powers of two, 1 ms to 67 s.
  private static let heldTimes: [UInt64] = (10...26).map { 1 << $0 }
  /// Powers of four, 1 µs to 67 s.
  private static let switchTimes: [UInt64] = stride(from: 0, through: 26, by: 2).map { 1 << $0 }
  /// Powers of four, 1 ms to 19 hours.
  private static let longTimes: [UInt64] = stride(from: 10, through: 36, by: 2).map { 1 << $0 }

  private func addTimes(to text: inout MetricsText) {
    text.add(
      "bgproxy_connect_duration_seconds", "From the first packet to a target to its connection; production.",
      bounds: Self.shortTimes,
      Color.allCases.map { ([("color", $0.rawValue)], measures.connectTimes[$0]) })
    text.add(
      "bgproxy_first_byte_duration_seconds",
      "To the first byte of an answer: since a target got the request (http), since its connection (tcp); production.",
      bounds: Self.shortTimes,
      Color.allCases.flatMap { color in
        [("http", measures.firstByte[color]), ("tcp", measures.firstByteOfSessions[color])].map {
          ([("color", color.rawValue), ("protocol", $0.0)], $0.1)
        }
      })
    func byListener(_ value: (ListenerTimes) -> CoarseHistogram) -> [(MetricsText.Labels, CoarseHistogram)] {
      listeners.flatMap { listener in
        Color.allCases.map { color in
          ([("listener", listener.name), ("color", color.rawValue)], value(listener.totals.times[color]))
        }
      }
    }
    text.add(
      "bgproxy_listener_connect_duration_seconds", "The same as bgproxy_connect_duration_seconds, by listener.",
      byListener(\.connect))
    text.add(
      "bgproxy_listener_first_byte_duration_seconds", "The same as bgproxy_first_byte_duration_seconds, by listener.",
      byListener(\.firstByte))
    text.add(
      "bgproxy_held_duration_seconds",
      "How long clients were kept waiting without a backend, by a pause or handover (hold), or for a release that took no "
        + "connections (trial).",
      bounds: Self.heldTimes, HoldReason.allCases.map { ([("reason", $0.rawValue)], measures.heldTimes(for: $0)) })
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
      Receipt.Kind.allCases.flatMap { kind in
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

  private func addProcess(to text: inout MetricsText) {
    text.add(
      "bgproxy_limit_reached_total", .counter,
      "Seconds in which a worker reached this limit; each worker counts for itself.",
      Tallies.LimitKind.allCases.map { MetricsText.Sample([("limit", $0.rawValue)], tallies.limits[$0] ?? 0) })
    text.add("bgproxy_session_limit", .gauge, "Sessions that there may be.", [MetricsText.Sample([], sessionLimit)])
    text.add("bgproxy_workers", .gauge, "Worker threads.", [MetricsText.Sample([], workers)])
    text.add("bgproxy_splice_pipes", .gauge, "Pipes that are open.", [MetricsText.Sample([], pipes)])
    text.add(
      "bgproxy_spliced_bytes_total", .counter, "Bytes that went through pipes.",
      [MetricsText.Sample([], splicedBytes)])
    text.add("bgproxy_event_readers", .gauge, "Readers of events.", [MetricsText.Sample([], eventReaders)])
    text.add(
      "bgproxy_readers_dropped_total", .counter,
      "Readers of events or answers that were dropped: they did not read, or others came.",
      [MetricsText.Sample([], tallies.readersDropped)])
    text.add(
      "bgproxy_log_lines_lost_total", .counter, "Log lines that nobody took.", [MetricsText.Sample([], logLinesLost)])
    text.add(
      "bgproxy_build_info", .gauge, "The version of this front door.",
      [MetricsText.Sample([("version", version)], 1)])

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

import Admin
import Arguments
import Configuration
import LinuxIO
import Relay
import Switching

/// What the admin channel answers.
extension FrontDoor {
  func status() async -> StatusReport {
    var report = await workers.report()
    // A switch that was made meanwhile would mix two generations.
    for _ in 0..<3 where !machine.mayBegin { report = await workers.report() }
    recordTally(report)
    let active = machine.state.active
    let phase: StatusReport.Phase =
      isStopping
      ? .stopping : machine.isPaused ? .paused : machine.holds ? .holding : drain != nil ? .draining : .steady
    return StatusReport(
      version: launch.version, pid: Process.identifier, startedAt: startedAt.description, active: active,
      previous: machine.state.previous, generation: machine.state.generation, switchedAt: switchedAt, phase: phase,
      share: ByColor(blue: active == .blue ? 100 : 0, green: active == .green ? 100 : 0),
      colors: ByColor(blue: colorReport(.blue, report), green: colorReport(.green, report)), held: report.held,
      parked: report.parked, hold: holding.map { holdReport($0, report) },
      drain: drain.map { drainReport($0, report) }, lastSwitch: receipts.last,
      splice: SpliceReport(pipes: pipes.inUse, limit: pipes.limit, bytes: report.splicedBytes),
      listeners: listeners.map(listenerReport))
  }

  private func colorReport(_ color: Color, _ report: WorkerReport) -> ColorReport {
    let counters = report.counters(of: color)
    let sessions = report.sessions(of: color)
    return ColorReport(
      healthy: nil, sessions: sessions, draining: color == machine.state.active && !isStopping ? 0 : sessions,
      idle: report.census[color].idle, busy: report.census[color].busy, opaque: report.census[color].opaque,
      accepted: counters.accepted, requests: counters.requests, connectFailures: counters.connectFailures,
      resets: counters.resets, idleCloses: counters.idleCloses, retries: counters.retries,
      bytesIn: counters.bytesIn, bytesOut: counters.bytesOut)
  }

  private func holdReport(_ holding: Holding, _ report: WorkerReport) -> HoldReport {
    HoldReport(
      since: holding.sinceOnWall.description, until: holding.untilOnWall.description, by: holding.by,
      inFlight: report.inFlight, handover: holding.handover)
  }

  private func listenerReport(_ listener: OpenListener) -> ListenerReport {
    var targets = ByColor<[TargetReport]>(both: [])
    for color in Color.allCases {
      targets[color] = listener.settings.targets[color].map { address in
        TargetReport(
          address: "\(address)", healthy: nil, sessions: targetBook.sessions(listener.id, color, address))
      }
    }
    return ListenerReport(
      name: listener.settings.name, bind: "\(listener.address)", protocol: listener.settings.protocol.rawValue,
      preview: listener.previewAddress.map { "\($0)" }, targets: targets)
  }

  func sessionsReport(color: Color?) async -> SessionsReport {
    let snapshots = await workers.sessions()
    return SessionsReport(
      sessions: snapshots.filter { color == nil || $0.assignment?.color == color }.map { snapshot in
        let color = snapshot.assignment?.color
        return SessionReport(
          listener: listenerNames[snapshot.listener] ?? "", preview: snapshot.isPreview, color: color,
          generation: snapshot.assignment?.generation ?? machine.state.generation,
          draining: isStopping || (!snapshot.isPreview && color == machine.state.active.other),
          client: snapshot.client.map { "\($0)" } ?? "",
          target: snapshot.target >= 0 ? targetBook.name(of: snapshot.target) : "", state: snapshot.state.rawValue,
          opaque: snapshot.opacity,
          ageSeconds: Double(snapshot.ageMilliseconds) / 1000, idleSeconds: Double(snapshot.idleMilliseconds) / 1000,
          bytesIn: snapshot.bytesIn, bytesOut: snapshot.bytesOut)
      })
  }

  /// The answer to `POST /v1/switch`.
  func answer(_ request: SwitchRequest, by: Requester, client: UInt64) async -> Result<StatusReport, ErrorReport> {
    var terms = Terms(by: by, reason: request.reason)
    terms.isForced = request.force ?? false
    if let error = take(request.drain, into: &terms) { return .failure(error) }
    let isHandover = request.handover ?? false
    let change: SwitchMachine.Request =
      isHandover ? .handover(request.to, expect: request.expect) : .switchTo(request.to, expect: request.expect)
    if request.dryRun ?? false {
      if request.proceed != nil {
        return .failure(ErrorReport(code: "bad-request", message: "dryRun and proceed exclude each other"))
      }
      if case .refused(let refusal) = machine.preview(change) { return .failure(ErrorReport(refusal)) }
      return .success(await status())
    }
    if isHandover { return await answerHandover(request, terms, client: client) }
    return await answer(outcome: transact(change, terms))
  }

  /// The answer to `POST /v1/rollback`.
  func answer(_ request: RollbackRequest, by: Requester) async -> Result<StatusReport, ErrorReport> {
    var terms = Terms(by: by, reason: request.reason)
    if let error = take(request.drain, into: &terms) { return .failure(error) }
    return await answer(outcome: transact(.rollback, terms))
  }

  private func take(_ drain: String?, into terms: inout Terms) -> ErrorReport? {
    guard let drain else { return nil }
    guard let milliseconds = parseDuration(drain) else { return .badDuration("drain", drain) }
    terms.drainTimeout = milliseconds
    return nil
  }

  func answer(outcome: SwitchOutcome) async -> Result<StatusReport, ErrorReport> {
    switch outcome {
    case .refused(let refusal): return .failure(ErrorReport(refusal))
    case .gaveUp:
      await handoverEnds()
      return .success(await status())
    case .unchanged, .done: return .success(await status())
    case .switched(let receipt):
      var report = await status()
      // Another switch may have come right behind; the receipt that was asked for is this one's.
      if report.lastSwitch?.generation != receipt.generation { report.lastSwitch = receipt }
      return .success(report)
    }
  }

  /// The answer to `POST /v1/drain`: changes the drain under way, or only tells its progress.
  func answer(_ request: DrainRequest, by: Requester) async -> Result<StatusReport, ErrorReport> {
    if request.extend != nil && request.now == true {
      return .failure(ErrorReport(code: "bad-request", message: "extend and now exclude each other"))
    }
    var longer: Int64?
    if let text = request.extend {
      guard let milliseconds = parseDuration(text) else { return .failure(.badDuration("extend", text)) }
      longer = milliseconds
    }
    if longer != nil || request.now == true {
      guard changeDrain(extendBy: longer) else {
        return .failure(ErrorReport(code: "nothing-drains", message: "nothing drains at present"))
      }
      log.info(
        "drain",
        [
          "uid": .count(by.uid), "pid": .count(by.pid),
          "change": .string(longer == nil ? "end now" : "extend by \(request.extend ?? "")"),
        ])
    }
    return .success(await status())
  }
}

extension ErrorReport {
  init(_ refusal: SwitchMachine.Refusal) {
    switch refusal {
    case .unexpected(let active, let expected):
      self.init(
        code: "unexpected", message: "\(active.rawValue) is active, not \(expected.rawValue) as expected")
    case .notPersisted(let reason):
      self.init(code: "not-persisted", message: "the state file cannot be written: \(reason); nothing was changed")
    case .handoverUnderWay(let color):
      self.init(
        code: "handover",
        message: "a handover to \(color.rawValue) is under way; only a rollback, which gives it up, can come now")
    case .paused:
      self.init(
        code: "paused", message: "traffic is paused already: resume first, since a handover holds the traffic itself")
    case .givenUp(let reason): self.init(code: "given-up", message: "the handover was given up: \(reason)")
    case .stopping: self.init(code: "stopping", message: "the front door is stopping")
    }
  }

  static func badDuration(_ field: String, _ text: String) -> ErrorReport {
    ErrorReport(
      code: "bad-request", message: "\(field): expected a duration such as 250ms, 30s, 5m or 1h, found \(text)")
  }
}

import Admin
import Arguments
import Configuration
import LinuxIO
import Relay
import Switching

/// What the admin channel answers.
extension FrontDoor {
  /// - Parameter recent: milliseconds of recent traffic to go with it; nil: none.
  func status(recent: Int64? = nil) async -> StatusReport {
    var report = await workers.report()
    // A switch that was made meanwhile would mix two generations.
    for _ in 0..<3 where !machine.mayBegin { report = await workers.report() }
    recordTally(report)
    let active = machine.state.active
    var share = ByColor(both: Int(machine.state.trial?.share ?? 0))
    share[active] = 100 - share[active]
    var status = StatusReport(
      version: launch.version, pid: Process.identifier, startedAt: startedAt.description, active: active,
      previous: machine.state.previous, generation: machine.state.generation, switchedAt: switchedAt,
      phase: presentPhase, share: share,
      colors: ByColor(blue: colorReport(.blue, report), green: colorReport(.green, report)), held: report.held,
      parked: report.parked, hold: holding.map { holdReport($0, report) },
      drain: drain.map { drainReport($0, report) },
      bake: watch.flatMap { bakeReport($0) }, ramp: watch.flatMap { rampReport($0) }, lastSwitch: receipts.last,
      splice: SpliceReport(pipes: pipes.inUse, limit: pipes.limit, bytes: report.splicedBytes),
      listeners: listeners.map(listenerReport))
    status.metrics = publicSocket.map { "\($0.address)" }
    status.recent = recent.map {
      traffic.report(
        milliseconds: $0, events: pastEvents.reports, listeners: listeners.map { (id: $0.id, name: $0.settings.name) })
    }
    return status
  }

  var presentPhase: StatusReport.Phase {
    if isStopping { return .stopping }
    if machine.isPaused { return .paused }
    if machine.holds { return .holding }
    if let trial = machine.state.trial { return trial.isRamp ? .ramping : .baking }
    return drain != nil ? .draining : .steady
  }

  /// Sessions of a color that drain.
  func draining(_ color: Color, _ report: WorkerReport) -> Int {
    isStopping || (color != machine.state.active && machine.state.onTrial != color) ? report.sessions(of: color) : 0
  }

  private func colorReport(_ color: Color, _ report: WorkerReport) -> ColorReport {
    let counters = report.counters(of: color)
    return ColorReport(
      healthy: isHealthy(color), sessions: report.sessions(of: color), draining: draining(color, report),
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
          address: "\(address)", healthy: isHealthy(listener.id, color, address),
          result: lastResult(listener.id, color, address),
          sessions: targetBook.sessions(listener.id, color, address))
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
          draining: isStopping
            || (!snapshot.isPreview && color == machine.state.active.other && color != machine.state.onTrial),
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
    if request.proceed != nil {
      guard isHandover, request.dryRun != true else {
        return .failure(ErrorReport(code: "bad-request", message: "proceed belongs to a handover that waits"))
      }
      return await proceed(request, client: client)
    }
    let trial: Trial?
    switch await self.trial(request, terms) {
    case .success(let wanted): trial = wanted
    case .failure(let error): return .failure(error)
    }
    let change: SwitchMachine.Request =
      isHandover
      ? .handover(request.to, expect: request.expect, trial: trial)
      : .switchTo(request.to, expect: request.expect, trial: trial)
    await passGate(change, to: request.to, &terms)
    // A gate may take longer than its client waits: what that takes for refused must not come true later.
    guard admin?.isConnected(client) == true else {
      return .failure(ErrorReport(code: "gone", message: Self.clientHasGone))
    }
    if request.dryRun ?? false {
      if case .refused(let refusal) = machine.preview(change, facts(terms)) { return .failure(ErrorReport(refusal)) }
      return .success(await status())
    }
    if isHandover { return await answerHandover(change, request, terms, client: client) }
    return await answer(outcome: transact(change, terms))
  }

  /// What is asked for in the way of a bake or a ramp; nil where nothing is.
  private func trial(_ request: SwitchRequest, _ terms: Terms) async -> Result<Trial?, ErrorReport> {
    var bake = settings.bake.time
    if let text = request.bake {
      guard let milliseconds = parseDuration(text), milliseconds <= Trial.longestStage else {
        return .failure(.badDuration("bake", text))
      }
      bake = milliseconds
    }
    var steps: [Trial.Step] = []
    for step in request.ramp ?? [] {
      guard let milliseconds = parseDuration(step.time) else { return .failure(.badDuration("ramp", step.time)) }
      steps.append(Trial.Step(percent: step.percent, milliseconds: milliseconds))
    }
    if bake == 0 && steps.isEmpty { return .success(nil) }
    let report = await workers.report()
    var baseline = samples.baseline(
      of: machine.state.active, report, minimumSamples: UInt64(settings.bake.minimumSamples))
    baseline.waiting = await waitingShare(of: machine.state.active, baseline)
    let trial = Trial(
      steps: steps, bakeMilliseconds: bake, now: WallTime.now().microseconds, by: terms.by, reason: terms.reason,
      isForced: terms.isForced, drainTimeout: terms.drainTimeout, baseline: baseline)
    guard trial?.isSound != false else {
      return .failure(
        ErrorReport(
          code: "bad-request",
          message: "a ramp has at most \(Trial.mostSteps) steps of 1 to 99 percent, and each stage lasts a day at most")
      )
    }
    return .success(trial)
  }

  /// The share of a color's requests that wait for a late first byte at present.
  private func waitingShare(of color: Color, _ baseline: Baseline) async -> Double {
    guard machine.state.trial == nil, watch == nil, let lateness = limits.lateness(after: baseline) else { return 0 }
    workers.watch(WatchOrder(color: color, lateness: lateness))
    let report = await workers.report()
    if watch == nil { workers.watch(nil) }
    let waiting = report.watch?.overdue ?? 0
    if waiting == 0 { return 0 }
    return Double(waiting) / Double(waiting + samples.recentFirstBytes(of: color, report))
  }

  /// The answer to `POST /v1/rollback`.
  func answer(_ request: RollbackRequest, by: Requester) async -> Result<StatusReport, ErrorReport> {
    var terms = Terms(by: by, reason: request.reason)
    terms.isForced = request.force ?? false
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
      audit(
        "drain", by: by, ["change": .string(longer == nil ? "end now" : "extend by \(request.extend ?? "")")])
      publish("drain-changed", request.extend.map { "the drain has \($0) more" } ?? "the drain ends now")
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
    case .bakeUnderWay(let color):
      self.init(
        code: "baking",
        message: "\(color.rawValue) is still being watched (bake); only a rollback can come before that has ended")
    case .rampUnderWay(let color):
      self.init(
        code: "ramping",
        message: "a ramp to \(color.rawValue) is under way; only a rollback, which takes it back, can come now")
    case .unhealthy(let color, let reason):
      self.init(code: "unhealthy", message: "\(color.rawValue): \(reason)")
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

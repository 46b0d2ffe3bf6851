import Admin
import Arguments
import EventCore
import LinuxIO
import Relay
import Switching
import Telemetry

/// A release on trial, as the control thread watches it.
struct TrialWatch {
  let trial: Trial
  let color: Color
  let since: WallTime
  /// When the stage ends.
  let deadline: Instant
  let deadlineOnWall: WallTime
  /// What had been counted when it began.
  let start: Sample
  /// The same for the last seconds, the oldest first.
  var recent: [(at: Instant, sample: Sample)] = []
  /// After a restart: a target may be slower to come up than the front door.
  var healthCountsFrom: Instant
  var readings: [Reading] = []
  var timer: Reactor.TimerID?
  /// It fails, and there is no way back: told once.
  var hasNoWayBack = false
}

/// The bake and the ramp: watching a release, letting it go on, taking it back.
extension FrontDoor {
  /// Milliseconds between two looks.
  private static let lookPause: Int64 = 200
  /// Milliseconds that are judged beside the whole stage: a release that goes bad late is not to hide behind what it did
  /// before, and a pause of some hundred milliseconds is not to take it back.
  private static let recentTime: Int64 = 5000
  private static let recentStep: Int64 = 1000
  /// Milliseconds that a stage lasts at least after a restart.
  static let shortestVerdict: Int64 = 10_000
  /// Milliseconds before what could not be written, or has no way back, is tried again.
  private static let retryPause: Int64 = 1000

  // MARK: Beginning

  /// Before the word is stored: from here on the workers count who has what goes wrong with the release, and let those
  /// whom it does not serve wait for the way back.
  func prepareWatch(_ state: PairState, isResumed: Bool = false) async {
    guard let trial = state.trial, let color = state.onTrial else { return }
    stopLooking()
    workers.watch(WatchOrder(color: color, lateness: limits.lateness(after: trial.baseline)))
    let report = await workers.report()
    let now = WallTime.now().microseconds
    // A stage lasts as long as it is to, however long the way to it was.
    let length = isResumed ? max(0, trial.until - now) : trial.until - trial.since
    watch = TrialWatch(
      trial: trial, color: color, since: WallTime(microseconds: isResumed ? trial.since : now),
      deadline: Instant.now().advanced(milliseconds: length / 1000),
      deadlineOnWall: WallTime(microseconds: now + length), start: Sample(report, color),
      healthCountsFrom: Instant.now().advanced(milliseconds: isResumed ? Self.shortestVerdict : 0))
  }

  /// After the word is stored: those who wait for the way back find it there.
  func endWatch() {
    stopLooking()
    watch = nil
    workers.watch(nil)
  }

  /// The limits may have changed.
  func renewWatch() {
    guard let watch else { return }
    workers.watch(WatchOrder(color: watch.color, lateness: limits.lateness(after: watch.trial.baseline)))
  }

  /// After the word is stored, and all workers have confirmed it.
  func beginWatch(_ state: PairState) {
    guard let trial = state.trial, let watch else { return }
    lookLater(Self.lookPause)
    let left = max(0, watch.deadline.milliseconds(since: .now()))
    let time = formatDuration(left < 1000 ? (left + 99) / 100 * 100 : (left + 500) / 1000 * 1000)
    if let step = trial.step {
      tellTrial(
        "ramp", state.active.other,
        "\(trial.share) % of the clients go to \(state.active.other.rawValue) for \(time): "
          + "step \(step + 1) of \(trial.steps.count)", askedFor: step == 0 ? trial : nil)
    } else {
      tellTrial("bake", state.active, "\(state.active.rawValue) is watched for \(time)")
    }
  }

  /// With the start: the front door ended in the middle of a trial.
  func resumeTrial() {
    guard machine.state.trial != nil else { return }
    start { await $0.watchAgain() }
  }

  private func watchAgain() async {
    await turn.take()
    defer { turn.give() }
    // An operator may have been faster.
    let state = machine.state
    guard state.trial != nil, watch == nil else { return }
    await prepareWatch(state, isResumed: true)
    beginWatch(state)
  }

  /// A stage of a trial has begun or ended without a switch.
  func trialWentOn(from before: PairState, _ report: WorkerReport) {
    let state = machine.state
    if before.trial == nil {
      // The color that still drained is the one that is tried out: what remains of it belongs to the release.
      workers.drain(nil)
      if let last = receipts.last, !last.settled {
        receipts[receipts.count - 1].record(report.tally)
        receipts[receipts.count - 1].returnRemaining()
        settleLast()
      }
    }
    guard let ended = before.trial, state.trial == nil else { return }
    tellTrial("bake-passed", state.active, "\(state.active.rawValue) has passed its bake")
    guard let last = receipts.last, !last.settled else { return }
    recordTally(report)
    let remaining = receipts[receipts.count - 1].remaining
    if remaining == 0 {
      settleLast()
    } else {
      beginDrain(.idleColor, timeout: ended.drainTimeout ?? settings.drain.timeout, initial: remaining, since: .now())
    }
  }

  // MARK: Looking

  private func lookLater(_ milliseconds: Int64) {
    stopLooking()
    watch?.timer = reactor.after(milliseconds: milliseconds) { [self] in start { await $0.lookAtTrial() } }
  }

  func stopLooking() {
    if let timer = watch?.timer { reactor.cancel(timer) }
    watch?.timer = nil
  }

  /// Judges the release, takes it back, or lets it go on where its stage is over.
  func lookAtTrial() async {
    guard let current = watch, !isStopping else { return }
    let report = await workers.report()
    guard watch?.trial == current.trial, machine.state.trial == current.trial else { return }
    recordTally(report)
    if let last = receipts.last, !last.settled, last.remaining == 0 { settleLast() }
    if isHealthy(current.color) == true { watch?.healthCountsFrom = .now() }
    let readings = readings(of: watch ?? current, report)
    watch?.readings = readings
    remember(Sample(report, current.color))
    if let crossed = readings.first(where: \.isCrossed) {
      await takeBack(current, crossed)
    } else if Instant.now() >= current.deadline {
      await advance(current)
    } else {
      let left = current.deadline.milliseconds(since: .now()) + 1
      lookLater(min(Self.lookPause, max(1, left)))
    }
  }

  /// Of the last seconds where these cross a limit, else of the whole stage.
  private func readings(of watch: TrialWatch, _ report: WorkerReport) -> [Reading] {
    let findings = report.watch ?? WatchFindings()
    let sample = Sample(report, watch.color)
    let baseline = watch.trial.baseline
    // Whoever forced it onto a dead color knows that its probes fail: traffic has to tell.
    let dead = watch.trial.isForced || Instant.now() < watch.healthCountsFrom ? 0 : deadListeners(watch.color)
    func readings(since start: Sample) -> [Reading] {
      Switching.readings(
        of: sample.figures(since: start, lateness: limits.lateness(after: baseline), overdue: findings.overdue),
        since: baseline, clients: findings.clients, deadListeners: dead, limits: limits)
    }
    if let last = watch.recent.first {
      let readings = readings(since: last.sample)
      if readings.contains(where: \.isCrossed) { return readings }
    }
    return readings(since: watch.start)
  }

  private func remember(_ sample: Sample) {
    let now = Instant.now()
    if let last = watch?.recent.last, now.milliseconds(since: last.at) < Self.recentStep { return }
    watch?.recent.append((now, sample))
    // The first is as old as the time that is judged, or younger.
    while let first = watch?.recent.first, now.milliseconds(since: first.at) > Self.recentTime {
      watch?.recent.removeFirst()
    }
  }

  private func advance(_ current: TrialWatch) async {
    let trial = current.trial
    var terms = Terms(by: trial.by, reason: trial.reason)
    terms.drainTimeout = trial.drainTimeout
    terms.isForced = trial.isForced
    switch await transact(.advance(trial, to: trial.next(at: WallTime.now().microseconds)), terms) {
    case .refused(.stopping), .switched, .done, .unchanged, .gaveUp: break
    case .refused(let refusal):
      tell("trial-waits", "the release cannot go on: \(ErrorReport(refusal).error.message)")
      lookLater(Self.retryPause)
    }
  }

  private func takeBack(_ current: TrialWatch, _ reading: Reading) async {
    var terms = Terms(
      by: Requester(uid: Process.effectiveUserID, pid: Process.identifier), reason: current.trial.reason)
    let cause = Receipt.Cause(signal: reading.signal, value: reading.value, limit: reading.limit)
    terms.failure = cause
    terms.drainTimeout = current.trial.drainTimeout
    // What is known of the color that has no traffic may be old.
    await passGate(
      .takeBack(current.trial), to: machine.state.trial?.isRamp == true ? machine.state.active : current.color.other,
      &terms)
    switch await transact(.takeBack(current.trial), terms) {
    case .switched(let receipt):
      log.error(
        "release-failed",
        [
          "color": .string(current.color.rawValue), "signal": .string(cause.signal), "cause": .string("\(cause)"),
          "generation": .count(receipt.generation),
        ])
      publish("bake-failed", "\(current.color.rawValue) is taken back: \(cause)", receipt: receipt)
    case .refused(.unhealthy(_, let reason)):
      if watch?.hasNoWayBack == false {
        watch?.hasNoWayBack = true
        tell("no-way-back", "\(current.color.rawValue) fails (\(cause)), but there is no way back: \(reason)")
      }
      lookLater(Self.retryPause)
    case .refused, .done, .unchanged, .gaveUp: break
    }
  }

  /// - Parameter trial: where this is what an operator asked for, and no switch tells who.
  private func tellTrial(_ event: String, _ color: Color, _ message: String, askedFor trial: Trial? = nil) {
    if let trial {
      audit(
        event, by: trial.by,
        ["color": .string(color.rawValue), "message": .string(message), "reason": .string(trial.reason ?? "")])
    } else {
      log.info(event, ["color": .string(color.rawValue), "message": .string(message)])
    }
    publish(event, message)
  }

  // MARK: Reports

  func bakeReport(_ watch: TrialWatch) -> BakeReport? {
    guard !watch.trial.isRamp else { return nil }
    return BakeReport(
      color: watch.color, since: watch.since.description, until: watch.deadlineOnWall.description,
      signals: watch.readings.map(SignalReport.init))
  }

  func rampReport(_ watch: TrialWatch) -> RampReport? {
    guard let step = watch.trial.step else { return nil }
    return RampReport(
      to: watch.color, step: step + 1,
      steps: watch.trial.steps.map { RampStep(percent: $0.percent, time: formatDuration($0.milliseconds)) },
      since: watch.since.description, until: watch.deadlineOnWall.description,
      signals: watch.readings.map(SignalReport.init))
  }
}

extension SignalReport {
  init(_ reading: Reading) {
    self.init(
      signal: reading.signal.rawValue, value: reading.value, limit: reading.limit, samples: reading.samples,
      clients: reading.clients)
  }
}

import Admin
import LinuxIO
import Relay
import Switching
import Telemetry

/// The drain under way, as the control thread knows it; the workers carry it out.
struct DrainPlan {
  /// What a switch left behind, or everything where the front door stops.
  let scope: DrainOrder.Scope
  let generation: UInt64
  /// Sessions when it began.
  let initial: Int
  var deadline: Instant
  /// The same moment on the wall, for people.
  var deadlineOnWall: WallTime
}

extension FrontDoor {
  /// Milliseconds between two progress events.
  private static let progressPause: Int64 = 1000

  func beginDrain(_ scope: DrainOrder.Scope, timeout: Int64, initial: Int, since: Instant) {
    let plan = DrainPlan(
      scope: scope, generation: machine.state.generation, initial: initial,
      deadline: since.advanced(milliseconds: timeout),
      deadlineOnWall: WallTime(microseconds: WallTime.now().microseconds + timeout * 1000))
    drain = plan
    workers.drain(order(for: plan, window: timeout))
    reactor.after(milliseconds: Self.progressPause) { [self] in start { await $0.tellProgress(of: plan.generation) } }
  }

  /// The spread is at most half of the window.
  private func order(for plan: DrainPlan, window: Int64) -> DrainOrder {
    let spread = min(settings.drain.spread, window / 2)
    let start = Instant(
      nanoseconds: plan.deadline.nanoseconds - min(plan.deadline.nanoseconds, UInt64(spread) * 1_000_000))
    return DrainOrder(scope: plan.scope, spreadStart: start, deadline: plan.deadline)
  }

  /// Gives a drain more time, in milliseconds, or ends it now (nil). False: nothing drains.
  func changeDrain(extendBy extension: Int64?) -> Bool {
    guard var plan = drain else { return false }
    if let `extension` {
      plan.deadline = plan.deadline.advanced(milliseconds: `extension`)
      plan.deadlineOnWall.microseconds += `extension` * 1000
    } else {
      plan.deadline = .now()
      plan.deadlineOnWall = .now()
    }
    drain = plan
    workers.drain(order(for: plan, window: max(0, plan.deadline.milliseconds(since: .now()))))
    return true
  }

  func received(_ news: WorkerNews) {
    if case .limitReached(let limit) = news { tallies.count(limit) }
    switch news {
    case .drained: start { await $0.checkDrained() }
    case .quiet: start { await $0.isQuietNow() }
    case .limitReached(.sessions):
      tell("limit", "the session limit is reached: \(sessionLimit); new connections wait in the backlog")
    case .limitReached(.descriptors(let errno)): tell("limit", "no descriptor for a connection: \(errno)")
    case .limitReached(.ports):
      tell("limit", "no free local port towards a target: new connections wait for one, up to the connect timeout")
    case .limitReached(.source(let address, let errno)):
      tell("limit", "cannot connect from \(address.host): \(errno)")
    case .connectFailed(let target, let errno):
      tell("target-unreachable", "\(targetBook.name(of: target)): \(errno)")
      prober?.failedForTraffic(target, errno)
    }
  }

  /// At most one line and event about the same thing in ten seconds.
  func tell(_ event: String, _ message: String) {
    guard isNews(message) else { return }
    log.warning(event, ["message": .string(message)])
    publish(event, message, lasts: true)
  }

  /// Whether this has not been said in the last ten seconds. It counts as said from now on.
  func isNews(_ message: String) -> Bool {
    let now = Instant.now()
    if let last = lastTold[message], now.milliseconds(since: last) < 10_000 { return false }
    // Texts are few, but names come and go with reloads.
    if lastTold.count > 1000 { lastTold = [:] }
    lastTold[message] = now
    return true
  }

  /// A worker has let go of its last session that was to drain. Whether all have, only a barrier tells.
  private func checkDrained() async {
    await turn.take()
    defer { turn.give() }
    let report = await workers.report()
    recordTally(report)
    if let last = receipts.last, !last.settled, last.remaining == 0 { settleLast() }
    if isStopping, report.allSessions == 0 {
      emptied?.resume()
      emptied = nil
    }
  }

  /// Brings the last receipt up to date.
  func recordTally(_ report: WorkerReport) {
    guard let last = receipts.last, !last.settled, last.generation == machine.state.generation, machine.mayBegin else {
      return
    }
    receipts[receipts.count - 1].record(report.tally)
  }

  /// The last receipt's counts are final.
  func settleLast() {
    receipts[receipts.count - 1].settled = true
    let receipt = receipts[receipts.count - 1]
    if drain?.scope == .idleColor {
      drain = nil
      workers.drain(nil)
    }
    remember(receipt)
    // Not where an earlier process made the switch.
    if let began = switchStoredAt {
      tallies.count(settled: receipt, microseconds: Instant.now().microseconds(since: began))
      switchStoredAt = nil
    }
    log.info(
      "settled",
      [
        "generation": .count(receipt.generation), "open": .count(receipt.open), "ended": .count(receipt.ended),
        "moved": .count(receipt.moved), "returned": .count(receipt.returned), "spread": .count(receipt.spread),
        "cut": .count(receipt.cut), "connectFailures": .count(receipt.connectFailures),
      ])
    publish("settled", "every session that was open at switch \(receipt.generation) is accounted for", receipt: receipt)
  }

  /// A receipt that a front door left open when it was killed: its sessions ended with that process.
  func settleInterrupted() {
    guard let last = receipts.last, !last.settled else { return }
    receipts[receipts.count - 1].cut += last.remaining
    receipts[receipts.count - 1].remaining = 0
    settleLast()
  }

  private func tellProgress(of generation: UInt64) async {
    guard drain?.generation == generation else { return }
    let report = await workers.report()
    recordTally(report)
    guard let plan = drain, plan.generation == generation else { return }
    let progress = drainReport(plan, report)
    publish("drain", "\(progress.remaining) of \(progress.initial) sessions still drain", drain: progress)
    reactor.after(milliseconds: Self.progressPause) { [self] in start { await $0.tellProgress(of: generation) } }
  }

  func drainReport(_ plan: DrainPlan, _ report: WorkerReport) -> DrainReport {
    let remaining = plan.scope == .everything ? report.allSessions : receipts.last?.remaining ?? 0
    return DrainReport(deadline: plan.deadlineOnWall.description, remaining: remaining, initial: plan.initial)
  }

  // MARK: Stopping

  /// Stops accepting, lets what runs drain, and ends the process.
  func stop() async {
    guard !isStopping else { return }
    isStopping = true
    machine.stop()
    tellSupervisor("STOPPING=1")
    handover?.decide(.givenUp("the front door stops"))
    publish(EventReport.stopping, "no new sessions; what runs drains for \(settings.drain.timeout / 1000) s")
    // A switch or reload that has begun is completed first.
    await turn.take()
    // Also a pause that was just beginning. None begins any more.
    if machine.isPaused {
      turn.give()
      _ = await resume(
        by: Requester(uid: Process.effectiveUserID, pid: Process.identifier), because: .theFrontDoorStops)
      await turn.take()
    }
    await lastCall(at: listeners, keeping: [])
    for index in listeners.indices {
      for door in listeners[index].doors {
        await workers.close(door)
        Listening.removeFile(of: door.socket)
      }
      listeners[index].letGo()
    }
    turn.give()
    let initial = await workers.report().allSessions
    await withCheckedContinuation { continuation in
      emptied = continuation
      beginDrain(.everything, timeout: settings.drain.timeout, initial: initial, since: .now())
    }
    let report = await workers.report()
    recordTally(report)
    if let last = receipts.last, !last.settled { settleLast() }
    log.info("stopped", ["sessions": .count(report.allSessions)])
    await finish()
  }

  private func finish() async {
    if isRewriting { _ = await persist(machine.state, switchedAt: switchedAt) }
    await historyIsWritten()
    adminSocket.removeFile()
    publicSocket?.removeFile()
    publicServer?.closeWhenFlushed(milliseconds: Self.farewellTime)
    guard let admin else { return reactor.stop() }
    admin.closeWhenFlushed(milliseconds: Self.farewellTime) { [self] in reactor.stop() }
  }
}

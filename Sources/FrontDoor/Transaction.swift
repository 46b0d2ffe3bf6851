import Admin
import Arguments
import LinuxIO
import Relay
import Switching

/// The switch transaction.
extension FrontDoor {
  /// What an operator wants of a change beside what it is.
  struct Terms: Sendable {
    var by: Requester
    var reason: String?
    /// Milliseconds; nil: as configured.
    var drainTimeout: Int64?
    var isForced = false
    /// Milliseconds that a pause may last.
    var holdTime: Int64 = 0
    /// What a handover waits for.
    var handover: Handover?
    /// Of a resume that nobody asked for.
    var cause: ResumeCause?
    /// Of a release that is taken back by itself: what it has done.
    var failure: Receipt.Cause?
    /// Why the color that a switch leads to cannot serve: found out for it a moment ago.
    var objection: (color: Color, reason: String)?

    init(by: Requester, reason: String? = nil) { (self.by, self.reason) = (by, reason) }
  }

  enum SwitchOutcome: Sendable {
    case switched(Receipt)
    /// A pause or a resume.
    case done
    case unchanged
    /// A handover was given up, as a rollback that comes during one asks.
    case gaveUp
    case refused(SwitchMachine.Refusal)
  }

  /// (Hold, for a handover →) write state → store the word → barrier → acknowledge → drain → receipt. (The way back
  /// stores first and writes then: a full disk never pins a bad release.) Transactions are one after another, in the
  /// order of their arrival; each is judged by the state it finds when its turn comes. A handover that waits for quiet
  /// gives its turn away meanwhile.
  func transact(_ request: SwitchMachine.Request, _ terms: Terms) async -> SwitchOutcome {
    let outcome = await perform(request, terms)
    if let ended = terms.handover {
      if handover === ended { handover = nil }
      for waiter in ended.endWaiters { waiter.resume(outcome) }
    }
    return outcome
  }

  private func perform(_ request: SwitchMachine.Request, _ terms: Terms) async -> SwitchOutcome {
    await turn.take()
    defer { turn.give() }
    // While its turn was awaited, somebody may have paused anew.
    if let cause = terms.cause, !isStill(cause) { return .unchanged }
    let before = machine.state
    let from = before.active
    var timing = Timing(at: WallTime.now().description)
    var report = WorkerReport.empty
    var step = machine.begin(request, facts(terms))
    while true {
      switch step {
      case .hold:
        if let handover = terms.handover {
          await beginHandover(to: from.other, handover, terms)
        } else {
          await beginHold(by: terms.by, milliseconds: terms.holdTime, handover: nil)
        }
        step = machine.advance(.held)
      case .awaitQuiet:
        guard let handover = terms.handover else { preconditionFailure("a handover waits without its terms") }
        publish("hold", "\(from.rawValue) → \(from.other.rawValue): held until no work is in flight")
        turn.give()
        await awaitQuiet(handover)
        await turn.take()
        // Another word may have come while the turn was awaited: what is decided now is final.
        var decision = handover.close()
        // The color may have died while the other one was being waited for.
        if decision == .quiet, !terms.isForced, let reason = facts(terms).unhealthy[from.other] {
          decision = .givenUp("\(from.other.rawValue): \(reason)")
        }
        step = machine.advance(decision)
      case .persist(let next):
        timing.at = WallTime.now().description
        let start = Instant.now()
        let failure = await persist(next, switchedAt: timing.at, within: persistTime)
        timing.persist = Instant.now().microseconds(since: start)
        timing.isPersisted = failure == nil
        if failure != nil {
          if await isRestored() { timing.isPersisted = machine.state == next } else { keepRewriting() }
        }
        step = machine.advance(failure.map { .notPersisted($0) } ?? .persisted)
      case .store(let next):
        // Whoever finds the release dead from here on waits for the way back.
        await prepareWatch(next)
        timing.storedAt = .now()
        word.store(next.signpost(holds: machine.holds))
        if next.trial == nil { endWatch() }
        // Rounded up: a store takes nanoseconds.
        timing.flip = Instant.now().microseconds(since: timing.storedAt) + 1
        // What was draining is what the barrier will find; whoever changes the drain now finds none.
        if drain?.scope == .idleColor { drain = nil }
        step = machine.advance(.stored)
      case .barrier:
        // Within a trial nothing is left behind.
        report =
          machine.state.generation == before.generation
          ? await workers.report() : await workers.confirm(machine.state.assignment)
        timing.confirm = Instant.now().microseconds(since: timing.storedAt)
        step = machine.advance(.confirmed)
      case .release:
        timing.held = endHold()
        step = machine.advance(.released)
      case .giveUpHandover:
        handover?.decide(.givenUp("a rollback was asked for"))
        return .gaveUp
      case .done(let next):
        if request == .pause || request == .resume { return .done }
        if next.generation == before.generation {
          beginWatch(next)
          trialWentOn(from: before, report)
          return .done
        }
        // A ramp that is taken back leaves the color that it led to.
        let left = before.onTrial == from.other ? from.other : from
        let receipt = conclude(next, from: left == next.active ? from : left, report, timing, terms)
        beginWatch(next)
        // A disk that does not take the state will not take the record either.
        if receipt.persisted { await historyIsWritten() }
        return .switched(receipt)
      case .unchanged: return .unchanged
      case .refused(let refusal):
        if case .givenUp(let reason) = refusal { recordGivenUp(reason, from: from, terms, held: timing.held) }
        return .refused(refusal)
      }
    }
  }

  private struct Timing {
    /// For people and for the state file.
    var at: String
    var storedAt = Instant(nanoseconds: 0)
    var flip: Int64 = 0
    var confirm: Int64 = 0
    var persist: Int64 = 0
    var isPersisted = false
    /// Milliseconds.
    var held: Int64 = 0
  }

  /// The receipts after a switch: the one before ends here, since its old color is active again, and the new one begins.
  private func conclude(
    _ state: PairState, from: Color, _ report: WorkerReport, _ timing: Timing, _ terms: Terms
  ) -> Receipt {
    if let last = receipts.last, !last.settled {
      receipts[receipts.count - 1].record(report.closedTally)
      receipts[receipts.count - 1].returnRemaining()
      settleLast()
    }
    switchedAt = timing.at
    var receipt = Receipt(
      generation: state.generation, from: from, to: state.active, at: timing.at, by: terms.by, reason: terms.reason)
    receipt.flipMicroseconds = timing.flip
    receipt.confirmMicroseconds = timing.confirm
    receipt.persistMicroseconds = timing.persist
    receipt.persisted = timing.isPersisted
    receipt.heldMilliseconds = timing.held
    receipt.forced = terms.isForced
    receipt.automatic = terms.failure != nil
    let isRollback = state.previous == nil
    receipt.kind = receipt.automatic ? .automatic : isRollback ? .rollback : .switch
    receipt.cause = terms.failure
    receipt.record(report.tally)
    receipts.append(receipt)
    if receipts.count > StateStore.historyLimit { receipts.removeFirst() }
    audit(
      isRollback ? "rollback" : "switch", by: terms.by,
      [
        "reason": .string(terms.reason ?? ""), "generation": .count(receipt.generation),
        "from": .string(from.rawValue), "to": .string(state.active.rawValue),
        "open": .count(receipt.open), "held": .count(receipt.heldMilliseconds),
        "flipMicroseconds": .count(receipt.flipMicroseconds),
        "confirmMicroseconds": .count(receipt.confirmMicroseconds),
        "persistMicroseconds": .count(receipt.persistMicroseconds), "persisted": .bool(receipt.persisted),
        "automatic": .bool(receipt.automatic), "cause": .string(receipt.cause.map { "\($0)" } ?? ""),
      ])
    switchStoredAt = timing.storedAt
    tallies.count(receipt)
    remember(receipt)
    let kind = receipt.kind.map { $0 == .switch ? "" : " (\($0.rawValue))" } ?? ""
    let reason = terms.reason.map { ": " + $0 } ?? ""
    publish("switch", "\(from.rawValue) → \(state.active.rawValue)\(kind)\(reason)", receipt: receipt)
    if !receipt.persisted { publish("state-not-written", "this switch is not on disk: a restart could undo it") }
    if receipt.remaining == 0 {
      settleLast()
    } else if state.trial == nil {
      let timeout = terms.drainTimeout ?? settings.drain.timeout
      beginDrain(.idleColor, timeout: timeout, initial: receipt.open, since: timing.storedAt)
    }
    return receipts[receipts.count - 1]
  }

  // MARK: The state on disk

  /// Milliseconds that a write may take. A disk that hangs then counts as one that cannot be written.
  static let persistPatience: Int64 = 3000
  /// And at least, however little time a handover has left.
  private static let shortestPersist: Int64 = 100
  /// Milliseconds before held clients have waited too long: for the barrier, and for letting them go on.
  private static let releaseTime: Int64 = 300
  private static let rewritePause: Int64 = 1000

  /// Milliseconds that a write may take now: in a handover, no longer than held clients can wait, since where it fails
  /// the old color is to serve them.
  private var persistTime: Int64 {
    guard let holding, holding.handover != nil else { return Self.persistPatience }
    let left = settings.timeouts.hold - Instant.now().milliseconds(since: holding.since)
    return min(max(left - Self.releaseTime, Self.shortestPersist), Self.persistPatience)
  }

  /// nil: the state is on disk. Else the reason, for people.
  func persist(
    _ state: PairState, switchedAt: String?, within milliseconds: Int64 = FrontDoor.persistPatience
  ) async -> String? {
    let record = StateRecord(pair: state, switchedAt: switchedAt)
    let store = store
    writesUnderWay += 1
    return await bounded(milliseconds: milliseconds) { [self] in
      let failure: String?
      do {
        try await store.write(record)
        failure = nil
      } catch {
        failure = "\(error)"
      }
      await writeReturned()
      return failure
    } ?? "the disk did not answer within \(formatDuration(milliseconds))"
  }

  private func writeReturned() { writesUnderWay -= 1 }

  /// After a write that failed it is not known what is on disk: a switch that was refused must not come true with the
  /// next start, and a rollback that was not written must. So the state in force is written again: at once, if the disk
  /// answers at all.
  private func isRestored() async -> Bool {
    guard writesUnderWay == 0 else { return false }
    return await persist(machine.state, switchedAt: switchedAt, within: persistTime) == nil
  }

  /// Writes the state in force until it is on disk.
  func keepRewriting() {
    guard !isRewriting else { return }
    isRewriting = true
    rewriteLater()
  }

  private func rewriteLater() {
    reactor.after(milliseconds: Self.rewritePause) { [self] in start { await $0.rewrite() } }
  }

  /// Takes no turn: a rollback must not wait for a disk that hangs. Where a transaction is under way, or an earlier
  /// write has not come back, the next try is soon enough.
  private func rewrite() async {
    guard machine.isIdle, writesUnderWay == 0 else { return rewriteLater() }
    let state = machine.state
    let failure = await persist(state, switchedAt: switchedAt)
    if failure == nil, machine.state == state, writesUnderWay == 0 { isRewriting = false }
    if let failure {
      log.error("state-not-written", ["file": .string(settings.stateFile), "reason": .string(failure)])
      if isNews("state \(failure)") { publish("state-not-written", "\(settings.stateFile): \(failure)", lasts: true) }
    }
    guard !isRewriting else { return rewriteLater() }
    log.info("state-written", ["file": .string(settings.stateFile)])
    publish("state-written", "what is in force is on disk again")
    if let last = receipts.last, last.generation == state.generation, !last.persisted {
      receipts[receipts.count - 1].persisted = true
      remember(receipts[receipts.count - 1])
    }
  }

  /// Runs something that may take long, and stops waiting for it after a while (nil); it goes on by itself.
  private func bounded<Value: Sendable>(
    milliseconds: Int64, _ work: @escaping @Sendable () async -> Value
  ) async -> Value? {
    await withCheckedContinuation { continuation in
      let oneShot = OneShot<Value?>(continuation)
      let timer = reactor.after(milliseconds: milliseconds) { oneShot.resume(nil) }
      start {
        let value = await work()
        $0.reactor.cancel(timer)
        oneShot.resume(value)
      }
    }
  }
}

import Admin
import LinuxIO
import Relay
import Switching

/// The switch transaction.
extension FrontDoor {
  /// What an operator wants of a switch beside its color.
  struct Terms: Sendable {
    var by: Requester
    var reason: String?
    /// Milliseconds; nil: as configured.
    var drainTimeout: Int64?
  }

  enum SwitchOutcome: Sendable {
    case switched(Receipt)
    case unchanged
    case refused(SwitchMachine.Refusal)
  }

  /// Write state → store the word → barrier → acknowledge → drain → receipt. (The way back stores first and writes
  /// then: a full disk never pins a bad release.) Transactions are one after another, in the order of their arrival;
  /// each is judged by the state it finds when its turn comes.
  func transact(_ request: SwitchMachine.Request, _ terms: Terms) async -> SwitchOutcome {
    await turn.take()
    defer { turn.give() }
    let from = machine.state.active
    var timing = Timing(at: WallTime.now().description)
    var report = WorkerReport.empty
    var step = machine.begin(request)
    while true {
      switch step {
      case .persist(let next):
        let start = Instant.now()
        let failure = await persist(next, switchedAt: timing.at)
        timing.persist = Instant.now().microseconds(since: start)
        timing.isPersisted = failure == nil
        if failure != nil {
          if await isRestored() { timing.isPersisted = machine.state == next } else { keepRewriting() }
        }
        step = machine.advance(failure.map { .notPersisted($0) } ?? .persisted)
      case .store(let next):
        timing.storedAt = .now()
        word.store(next.assignment)
        // Rounded up: a store takes nanoseconds.
        timing.flip = Instant.now().microseconds(since: timing.storedAt) + 1
        // What was draining is what the barrier will find; whoever changes the drain now finds none.
        if drain?.scope == .idleColor { drain = nil }
        step = machine.advance(.stored)
      case .barrier:
        report = await workers.confirm(machine.state.assignment)
        timing.confirm = Instant.now().microseconds(since: timing.storedAt)
        step = machine.advance(.confirmed)
      case .done(let next):
        let receipt = conclude(next, from: from, report, timing, terms, isRollback: request == .rollback)
        // A disk that does not take the state will not take the record either.
        if receipt.persisted { await historyIsWritten() }
        return .switched(receipt)
      case .unchanged: return .unchanged
      case .refused(let refusal): return .refused(refusal)
      }
    }
  }

  private struct Timing {
    /// For people and for the state file.
    let at: String
    var storedAt = Instant(nanoseconds: 0)
    var flip: Int64 = 0
    var confirm: Int64 = 0
    var persist: Int64 = 0
    var isPersisted = false
  }

  /// The receipts after a switch: the one before ends here, since its old color is active again, and the new one begins.
  private func conclude(
    _ state: PairState, from: Color, _ report: WorkerReport, _ timing: Timing, _ terms: Terms, isRollback: Bool
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
    receipt.record(report.tally)
    receipts.append(receipt)
    if receipts.count > StateStore.historyLimit { receipts.removeFirst() }
    log.info(
      isRollback ? "rollback" : "switch",
      [
        "generation": .count(receipt.generation), "from": .string(from.rawValue), "to": .string(state.active.rawValue),
        "uid": .count(terms.by.uid), "pid": .count(terms.by.pid), "reason": .string(terms.reason ?? ""),
        "open": .count(receipt.open), "flipMicroseconds": .count(receipt.flipMicroseconds),
        "confirmMicroseconds": .count(receipt.confirmMicroseconds),
        "persistMicroseconds": .count(receipt.persistMicroseconds), "persisted": .bool(receipt.persisted),
      ])
    remember(receipt)
    publish("switch", "\(from.rawValue) → \(state.active.rawValue)", receipt: receipt)
    if receipt.remaining == 0 {
      settleLast()
    } else {
      let timeout = terms.drainTimeout ?? settings.drain.timeout
      beginDrain(.idleColor, timeout: timeout, initial: receipt.open, since: timing.storedAt)
    }
    return receipts[receipts.count - 1]
  }

  // MARK: The state on disk

  /// Milliseconds that a write may take. A disk that hangs then counts as one that cannot be written.
  private static let persistPatience: Int64 = 3000
  private static let rewritePause: Int64 = 1000

  /// nil: the state is on disk. Else the reason, for people.
  func persist(_ state: PairState, switchedAt: String?) async -> String? {
    let record = StateRecord(pair: state, switchedAt: switchedAt)
    let store = store
    writesUnderWay += 1
    return await bounded(milliseconds: Self.persistPatience) { [self] in
      let failure: String?
      do {
        try await store.write(record)
        failure = nil
      } catch {
        failure = "\(error)"
      }
      await writeReturned()
      return failure
    } ?? "the disk did not answer within \(Self.persistPatience / 1000) s"
  }

  private func writeReturned() { writesUnderWay -= 1 }

  /// After a write that failed it is not known what is on disk: a switch that was refused must not come true with the
  /// next start, and a rollback that was not written must. So the state in force is written again: at once, if the disk
  /// answers at all.
  private func isRestored() async -> Bool {
    guard writesUnderWay == 0 else { return false }
    return await persist(machine.state, switchedAt: switchedAt) == nil
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
    }
    guard !isRewriting else { return rewriteLater() }
    log.info("state-written", ["file": .string(settings.stateFile)])
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

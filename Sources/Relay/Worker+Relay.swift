import EventCore
import LinuxIO
import Switching

/// Relaying and closing: what happens to a session that has a backend.
extension Worker {
  /// Milliseconds between two looks at whether the kernel has delivered what precedes a reset.
  private static let resetPoll: Int64 = 10
  /// Milliseconds without progress after which the reset no longer waits.
  private static let resetPatience: Int64 = 1000

  mutating func socketReady(_ token: Token, _ readiness: Readiness) {
    guard sessions.contains(token) else { return }
    let isClient = token.lane == 0
    switch sessions[token].phase {
    case .relaying, .resetting:
      if isClient { sessions[token].client.absorb(readiness) } else { sessions[token].backend.absorb(readiness) }
      relay(token)
    case .connecting:
      if isClient {
        sessions[token].client.absorb(readiness)
        if sessions[token].client.isBroken { requestClose(token, .ended, resets: true) }
      } else {
        connectProgressed(token, readiness)
      }
    case .parked, .held, .lingering:
      // There is no backend: an event of one was told in the tick in which it was let go of.
      guard isClient else { return }
      sessions[token].client.absorb(readiness)
      if sessions[token].client.isBroken {
        requestClose(token, .ended, resets: true)
      } else if sessions[token].phase == .held {
        // It has asked for nothing: a check that connects and hangs up, say. Behind bytes FIN may be a half-close.
        if readiness.contains(.readHangUp), sessions[token].client.socket.peek() == .endOfFile,
          !sessions[token].inbound.hasHeldBytes
        {
          requestClose(token, .ended, resets: false)
        }
      } else if sessions[token].phase == .parked {
        wake(token)
      } else if sessions[token].phase == .lingering {
        discardInput(token)
      }
    case .closing: break
    }
  }

  /// The byte path: moves what can be moved and acts on what the session makes of it. For sessions that are relaying or
  /// resetting.
  mutating func relay(_ token: Token) {
    let before = (sessions[token].inbound.bytes, sessions[token].outbound.bytes)
    let wasAnswering = sessions[token].exchange.tracker.hasAnswerBegun
    let verdict = sessions[token].relay(&lane)
    let bytesIn = sessions[token].inbound.bytes &- before.0
    let bytesOut = sessions[token].outbound.bytes &- before.1
    if bytesIn | bytesOut != 0 {
      sessions[token].lastActivity = loop.now
      count(token) { counters in
        counters.bytesIn &+= bytesIn
        counters.bytesOut &+= bytesOut
      }
    }
    if sessions[token].exchange.isHTTP {
      watchExchange(token, wasAnswering)
    } else if bytesOut != 0, sessions[token].askedAt != .distantFuture {
      firstByteOfSession(token)
    }
    switch verdict {
    case .wait: if sessions[token].phase == .resetting { awaitReset(token, firstLook: Self.resetPatience) }
    case .deferred: postpone(token)
    case .halfClosed:
      if sessions[token].outbound.hasEnded, sessions[token].exchange.isWatched, sessions[token].isUnanswered {
        brokeOff(token)
      }
      sessions[token].lastActivity = loop.now
      schedule(token, at: idleDeadline(token))
    case .close:
      if sessions[token].phase == .relaying, sessions[token].exchange.isWatched, sessions[token].isUnanswered {
        brokeOff(token)
      }
      if sessions[token].phase == .relaying { sessions[token].spareThePort() }
      requestClose(token, .ended, resets: sessions[token].phase == .resetting)
    case .reset: awaitReset(token, firstLook: 0)
    case .letGo:
      // While the front door stops, the backend stays for a request that is on its way.
      if lane.isStopping, endAtBoundary(token) || !sessions[token].inbound.hasHeldBytes { break }
      park(token)
    case .backendLeft:
      count(token) { $0.idleCloses += 1 }
      if lane.isStopping, endAtBoundary(token) { break }
      park(token)
    case .sendAgain: sendAgain(token)
    case .finish: finish(token)
    }
  }

  /// Has the session looked at again in the next tick.
  mutating func postpone(_ token: Token) {
    guard !sessions[token].isDeferred else { return }
    sessions[token].isDeferred = true
    deferred.append(token.lane(0))
  }

  // MARK: Resetting

  /// A reset throws away what the kernel has not delivered yet (`close` with SO_LINGER 0, socket(7)), so it waits until
  /// the queue is empty, at most a second without progress.
  private mutating func awaitReset(_ token: Token, firstLook: Int64) {
    if firstLook == 0, unsentBeforeReset(token) == 0 {
      finishReset(token)
    } else if sessions[token].unsentBefore < 0 {
      sessions[token].unsentBefore = Int32(clamping: unsentBeforeReset(token))
      sessions[token].lastActivity = loop.now
      schedule(token, at: loop.now.advanced(milliseconds: firstLook == 0 ? Self.resetPoll : firstLook))
    } else if firstLook == 0 {
      schedule(token, at: loop.now.advanced(milliseconds: Self.resetPoll))
    }
  }

  private func unsentBeforeReset(_ token: Token) -> Int {
    sessions[token].resetSide == .client
      ? sessions[token].client.socket.unsentBytes : sessions[token].backend.socket.unsentBytes
  }

  private mutating func resetTimerFired(_ token: Token) {
    let unsent = Int32(clamping: unsentBeforeReset(token))
    if unsent != sessions[token].unsentBefore {
      sessions[token].unsentBefore = unsent
      sessions[token].lastActivity = loop.now
    }
    let isStuck = loop.now.milliseconds(since: sessions[token].lastActivity) >= Self.resetPatience
    let isHolding =
      sessions[token].inbound.hasHeldBytes || sessions[token].outbound.hasHeldBytes || sessions[token].isDeferred
    if isStuck || (unsent == 0 && !isHolding) {
      finishReset(token)
    } else {
      schedule(token, at: loop.now.advanced(milliseconds: Self.resetPoll))
    }
  }

  private mutating func finishReset(_ token: Token) { requestClose(token, .ended, resets: true) }

  // MARK: Timers

  /// Makes the session's timer fire not after `deadline`.
  mutating func schedule(_ token: Token, at deadline: Instant) {
    if sessions[token].timer == .none {
      sessions[token].timer = loop.timers.arm(at: deadline, token.lane(0))
    } else {
      loop.timers.move(sessions[token].timer, to: deadline)
    }
    sessions[token].timerDeadline = deadline
  }

  func idleDeadline(_ token: Token) -> Instant {
    let timeout = sessions[token].isHalfClosed ? settings.halfClosedTimeout : settings.idleTimeout
    return sessions[token].lastActivity.advanced(milliseconds: timeout)
  }

  mutating func sessionTimerFired(_ token: Token) {
    guard sessions.contains(token) else { return }
    sessions[token].timer = .none
    switch sessions[token].phase {
    case .connecting: connectTimerFired(token)
    case .relaying, .parked: idleTimerFired(token)
    case .held: holdTimerFired(token)
    case .resetting: resetTimerFired(token)
    case .lingering: requestClose(token, .ended, resets: false)
    case .closing: break
    }
  }

  private mutating func idleTimerFired(_ token: Token) {
    guard loop.now >= idleDeadline(token) else {
      schedule(token, at: idleDeadline(token))
      return
    }
    if sessions[token].phase == .parked {
      requestClose(token, .ended, resets: false)
      return
    }
    // A slow reader may still be taking what the kernel holds for it.
    let unsent = Int32(
      clamping: sessions[token].client.socket.unsentBytes + sessions[token].backend.socket.unsentBytes)
    if unsent > 0 && unsent != sessions[token].unsentBefore {
      sessions[token].unsentBefore = unsent
      sessions[token].lastActivity = loop.now
      schedule(token, at: idleDeadline(token))
      return
    }
    if sessions[token].exchange.tracker.outstanding > 0, sessions[token].exchange.canBeAnswered {
      refuse(token, .gatewayTimeout)
    } else {
      requestClose(token, .ended, resets: !sessions[token].canEndWithFIN)
    }
  }

  // MARK: Closing

  /// Has the session closed at the end of this tick, with FIN or with RST, both sides alike. Only the first request
  /// counts.
  mutating func requestClose(_ token: Token, _ outcome: DrainOutcome, resets: Bool) {
    guard sessions[token].phase != .closing else { return }
    if sessions[token].phase == .resetting && sessions[token].brokeAtBackend {
      count(token) { $0.resets += 1 }
      countAtListener(token, sessions[token].account) { $0.resets &+= 1 }
      if sessions[token].isUnanswered { brokeOff(token) }
    }
    setPhase(token, .closing)
    closes.append(Closing(token: token.lane(0), outcome: outcome, resets: resets))
  }

  mutating func performCloses() {
    for closing in closes {
      leaveTarget(closing.token)
      var session = sessions.remove(closing.token)
      loop.timers.cancel(session.timer)
      if !session.exchange.isPreview {
        ledger.sessionEnded(
          of: session.assignment?.color, microseconds: UInt64(loop.now.microseconds(since: session.startedAt)))
      }
      session.inbound.discard(&lane)
      session.outbound.discard(&lane)
      session.exchange.dropCopy(&lane)
      if closing.resets {
        session.client.socket.resetOnClose()
        if session.backend.socket.isOpen { session.backend.socket.resetOnClose() }
      }
      leave(session.account, session.assignment, closing.outcome)
      shared.gates[index].removeLoad()
      shared.budget.giveBack()
    }
    closes.removeAll(keepingCapacity: true)
    if acceptPause == .sessionLimit { resumeAccepting() }
    tellWhenDrained()
    tellWhenQuiet()
  }

  /// A session leaves its account. Where it was draining, the tally says what became of it.
  mutating func leave(_ account: Account, _ assignment: Assignment?, _ outcome: DrainOutcome) {
    sessionsByAccount[Int(account.rawValue)] -= 1
    if wasLeftBehind(account, assignment) {
      tally.count(outcome)
      return
    }
    if account == Account(confirmed.color) { handoverTally?.count(outcome) }
    guard outcome == .moved else { return }
    let present = shared.word.load().assignment
    if present.generation != confirmed.generation, account == Account(present.color.other) { movedEarly += 1 }
  }
}

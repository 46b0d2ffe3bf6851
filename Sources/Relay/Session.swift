import EventCore
import LinuxIO
import Switching

/// One client connection and the backend connection it is relayed to. All of it is plain data.
struct Session: ~Copyable {
  enum Phase: UInt8 {
    /// Without a backend, and nothing to do: protocol http, between two requests.
    case parked
    /// Without a backend until a hold ends.
    case held
    /// No backend yet: a connect is under way or is to be tried again soon.
    case connecting
    case relaying
    /// One side was reset. What it had sent goes to the other side first, then that one is reset too.
    case resetting
    /// The client has its last answer, FIN included; what it still sends is thrown away until it hangs up.
    case lingering
    /// To be closed at the end of this tick.
    case closing
  }

  /// What a session asks its worker to do.
  enum Verdict: Equatable {
    case wait
    /// Come back in the next tick.
    case deferred
    /// One direction has ended: the half-closed timeout rules now.
    case halfClosed
    /// Both directions ended in order, or there is nobody left to tell.
    case close
    /// The named side is to be reset as soon as the kernel has delivered what it was sent.
    case reset(Side)
    /// Between two requests, and the backend is not the right one for the next: let go of it.
    case letGo
    /// Between two requests, and the backend has closed: let go of it.
    case backendLeft
    /// The backend has closed before any byte of an answer, and the requests can be sent again.
    case sendAgain
    /// The last answer has ended, and the backend need not be kept until the client has hung up.
    case finish
  }

  enum Side: UInt8 { case client, backend }

  var client: Endpoint
  var backend: Endpoint = .absent
  /// From the client to the backend.
  var inbound = Flow()
  /// From the backend to the client.
  var outbound = Flow()
  var phase = Phase.parked
  var exchange: Exchange
  var account: Account
  var isDeferred = false
  var isHalfClosed = false
  /// The side that a reset goes on to; with `resetting`.
  var resetSide = Side.client
  /// The backend, and not the client, broke the connection.
  var brokeAtBackend = false
  /// What its last claim said; nil before the first.
  var assignment: Assignment?
  var listener: ListenerID
  /// The target it is connected or connecting to; -1 where there is none.
  var target: Int32 = -1
  var attempt = ConnectAttempt()
  var timer = TimerQueue.Handle.none
  /// When the timer fires.
  var timerDeadline = Instant.distantFuture
  let startedAt: Instant
  /// The last byte or FIN in either direction.
  var lastActivity: Instant
  /// Since when the first byte of an answer is waited for. Protocol http: since the backend got the request or, with those
  /// that are pipelined, since the answer before it has ended; tcp: since the connection to the backend. `distantFuture`
  /// where none is waited for.
  var askedAt = Instant.distantFuture
  /// Since when it is kept waiting without a backend; `distantFuture` where it is not.
  var heldSince = Instant.distantFuture
  /// With `resetting`: what the kernel still had to deliver when last seen. -1: not looked at yet.
  var unsentBefore: Int32 = -1

  init(
    client: consuming Descriptor, family: SocketAddress.Family, hash: UInt32, door: Door, now: Instant
  ) {
    self.client = Endpoint(client, family: family)
    exchange = Exchange(isHTTP: door.isHTTP, isPreview: door.isPreview, client: hash)
    account = door.isPreview ? .preview : .waiting
    listener = door.listener
    startedAt = now
    lastActivity = now
  }

  /// Moves bytes both ways as far as readiness allows, and decides what becomes of the session.
  mutating func relay(_ lane: inout Lane) -> Verdict {
    let wasWatched = exchange.isWatched
    if wasWatched, backend.isReadable, exchange.tracker.isIdle { lookAtIdleBackend(&lane) }
    let inboundOutcome = pumpInbound(&lane)
    var outboundOutcome = pumpOutbound(&lane)
    if wasWatched {
      // What is gated is the backend's now.
      guard exchange.isWatched else { return .deferred }
      if backend.isBroken && outboundOutcome == .waiting && !outbound.hasHeldBytes {
        // What it has sent before counts, an answer above all.
        backend.isReadable = true
        outboundOutcome = pumpOutbound(&lane)
      }
      if let verdict = verdictAtBoundary(inboundOutcome, outboundOutcome, &lane) { return verdict }
    }
    if client.isBroken || backend.isBroken { return relayAfterReset(&lane) }
    let isBusy = inboundOutcome == .moreToDo || outboundOutcome == .moreToDo
    switch (inbound.hasEnded, outbound.hasEnded) {
    case (true, true): return .close
    case (false, false): return isBusy ? .deferred : .wait
    case (true, false), (false, true):
      if !isHalfClosed {
        isHalfClosed = true
        return isBusy ? .deferred : .halfClosed
      }
      return isBusy ? .deferred : .wait
    }
  }

  @inline(__always)
  private mutating func pumpInbound(_ lane: inout Lane) -> Flow.Outcome {
    exchange.isWatched
      ? inbound.pump(Requests.self, from: &client, to: &backend, &lane, &exchange)
      : inbound.pump(Unwatched.self, from: &client, to: &backend, &lane, &exchange)
  }

  @inline(__always)
  private mutating func pumpOutbound(_ lane: inout Lane) -> Flow.Outcome {
    exchange.isWatched
      ? outbound.pump(Answers.self, from: &backend, to: &client, &lane, &exchange)
      : outbound.pump(Unwatched.self, from: &backend, to: &client, &lane, &exchange)
  }

  /// What an idle backend has done is to be known before anything is asked of it; also while the client has not taken all
  /// of the last answer yet, so that what comes behind that can not be read.
  private mutating func lookAtIdleBackend(_ lane: inout Lane) {
    switch pumpOutbound(&lane) {
    case .surplus, .sourceEnded, .sourceBroken: exchange.backendIsSpent()
    case .waiting where outbound.hasHeldBytes && backend.isReadable:
      if backend.socket.peek() == .wouldBlock { backend.isReadable = false } else { exchange.backendIsSpent() }
    case .waiting, .moreToDo, .ended, .sinkBroken, .gated: break
    }
  }

  /// Protocol http: what is to be done where messages end, and where the backend has. nil: nothing in particular.
  private mutating func verdictAtBoundary(
    _ requests: Flow.Outcome, _ answers: Flow.Outcome, _ lane: inout Lane
  ) -> Verdict? {
    if client.isBroken { return nil }
    let isFlushed = !inbound.hasAdmittedBytes && !outbound.hasHeldBytes
    // The client has had its last answer, and asks for nothing more.
    if inbound.hasEnded, exchange.tracker.outstanding == 0, isFlushed { return .close }
    let hasBackendLeft = backend.isBroken || answers == .sourceEnded || answers == .surplus || exchange.isSpent
    if hasBackendLeft {
      // What it has not taken of a request that it has answered, it never will.
      if exchange.tracker.isIdle {
        exchange.backendIsSpent()
        return outbound.hasHeldBytes ? .wait : .backendLeft
      }
      if exchange.canSendAgain(after: inbound) { return .sendAgain }
      switch answers {
      case .sourceEnded: return .close
      // Behind the last answer: FIN is still to come.
      case .surplus: return .deferred
      default: return nil
      }
    }
    if exchange.tracker.outstanding == 0, isFlushed, exchange.tracker.isBetweenRequests {
      let isElsewhere = lane.isStopping || exchange.pointsElsewhere(lane)
      if exchange.tracker.isIdle, isElsewhere { return .letGo }
      // Also where the client goes on asking: nobody will answer that.
      if exchange.tracker.isLast, isElsewhere || requests == .gated { return .finish }
    }
    // Answers that came in this round may have made room.
    if requests == .gated, exchange.gate == .behindOthers, exchange.tracker.mayBegin { return .deferred }
    return nil
  }

  /// At least one side is broken.
  ///
  /// | client | backend | then |
  /// | --- | --- | --- |
  /// | broken | broken | close: nobody is left |
  /// | broken | whole | hand on what the client sent before, then reset the backend |
  /// | whole | broken | hand on what the backend sent before, then reset the client |
  private mutating func relayAfterReset(_ lane: inout Lane) -> Verdict {
    if phase != .resetting {
      phase = .resetting
      unsentBefore = -1
      brokeAtBackend = backend.isBroken && !client.isBroken
    }
    // The pumps may both have run before either side was known to be broken: ask again.
    let outcome: Flow.Outcome
    switch (client.isBroken, backend.isBroken) {
    case (true, true), (false, false): return .close
    case (true, false):
      resetSide = .backend
      client.isReadable = true
      outcome = pumpInbound(&lane)
    case (false, true):
      resetSide = .client
      backend.isReadable = true
      outcome = pumpOutbound(&lane)
    }
    switch outcome {
    // A request whose claim is still to be made goes nowhere any more.
    case .sourceBroken, .ended, .gated, .surplus, .sourceEnded: return .reset(resetSide)
    case .sinkBroken: return .close
    case .moreToDo: return .deferred
    // The broken side answers every call at once, so this waits for the other one to take bytes.
    case .waiting: return .wait
    }
  }

  /// Whether no byte has moved for a second, and closing it with FIN harms nothing. Where boundaries are known, an
  /// exchange that is under way is never quiet: its answer may take its time.
  func isQuiet(at now: Instant) -> Bool {
    now.milliseconds(since: lastActivity) >= 1000 && !exchange.isWatched && canEndWithFIN
  }

  /// Whether nothing is queued anywhere and both directions are open. Where one has ended, or an exchange is under way,
  /// an answer may be, and an answer that was cut must not look complete.
  var canEndWithFIN: Bool {
    phase == .relaying && !isHalfClosed && !inbound.hasHeldBytes && !outbound.hasHeldBytes
      && (!exchange.isWatched || exchange.tracker.isIdle) && client.socket.unreadBytes == 0
      && backend.socket.unreadBytes == 0 && client.socket.unsentBytes == 0 && backend.socket.unsentBytes == 0
  }

  /// Protocol http, when the client has hung up after its last answer: who closes first keeps the port in TIME_WAIT for a
  /// minute, and here that would be this machine's port towards the target. The backend has been told (FIN), has answered
  /// everything, and has acknowledged all bytes but FIN at most, so that a reset takes nothing from anybody. A backend
  /// that closes before it comes is too fast for it.
  mutating func spareThePort() {
    if exchange.isWatched, exchange.tracker.isIdle, inbound.hasEnded, !outbound.hasEnded, !client.isBroken,
      backend.socket.unsentBytes <= 1
    {
      backend.socket.resetOnClose()
      // Now, and not at the end of the tick: the backend may be answering the FIN already.
      backend = .absent
    }
  }

  /// The backend has got something to do, has sent nothing in answer yet, and the client still waits for it.
  var isUnanswered: Bool {
    if inbound.hasEnded || client.isBroken { return false }
    return exchange.isWatched
      ? exchange.tracker.outstanding > 0 && !exchange.tracker.hasAnswerBegun : outbound.bytes == 0
  }

  /// It has a backend, or is about to.
  var backendIsWanted: Bool {
    switch phase {
    case .connecting, .relaying, .resetting, .closing: true
    case .parked, .held, .lingering: false
    }
  }

  /// Why its boundaries are not known, with protocol http; for people.
  var opacity: String? { exchange.isHTTP ? exchange.tracker.opacity.map { "\($0)" } : nil }

  /// What it is doing, for people.
  var state: SessionState {
    switch phase {
    case .parked: .parked
    case .held: .held
    case .connecting: .connecting
    case .relaying where exchange.isWatched: exchange.tracker.isIdle && !outbound.hasHeldBytes ? .idle : .busy
    case .relaying where exchange.isHTTP: .opaque
    case .relaying: isHalfClosed ? .halfClosed : .open
    case .resetting: .resetting
    case .lingering, .closing: .closing
    }
  }
}

/// What a session is doing. With protocol http: parked, held, connecting, idle, busy, opaque, resetting, closing; with tcp
/// open and halfClosed instead of what needs boundaries.
public enum SessionState: String, Sendable {
  case parked, held, connecting, idle, busy, opaque, open, halfClosed, resetting, closing
}

/// Which targets a session has tried already.
struct ConnectAttempt {
  /// Positions in the color's list of targets; at most 64.
  var triedTargets: UInt64 = 0
  /// Where in that list the present target stands.
  var position: UInt8 = 0
  /// The next of the target's addresses.
  var nextAddress: UInt8 = 0
  /// When the present address was first tried.
  var began = Instant(nanoseconds: 0)
  /// The connect in progress, or the wait before trying again, must be over by then.
  var deadline = Instant.distantFuture
  /// Waiting to try the same address again: this machine, not the target, could not connect.
  var isRetrying = false
  /// The last address did not answer in time.
  var hasTimedOut = false
  /// While a release is on trial and no target takes it, it waits until then for the way back.
  var patience = Instant(nanoseconds: 0)
  /// That no target took it is counted.
  var isCounted = false
}

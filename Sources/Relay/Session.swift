import EventCore
import LinuxIO
import Switching

/// Who a session is counted for.
public enum Account: UInt8, Sendable, CaseIterable {
  case blue, green
  /// Preview listeners: outside drains and receipts.
  case preview

  init(_ color: Color) { self = color == .blue ? .blue : .green }
}

/// One client connection and the backend connection it is relayed to. All of it is plain data.
struct Session: ~Copyable {
  enum Phase: UInt8 {
    /// No backend yet: a connect is under way or is to be tried again soon.
    case connecting
    case relaying
    /// One side was reset. What it had sent goes to the other side first, then that one is reset too.
    case resetting
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
  }

  enum Side: UInt8 { case client, backend }

  var client: Endpoint
  var backend: Endpoint = .absent
  /// From the client to the backend.
  var inbound = Flow()
  /// From the backend to the client.
  var outbound = Flow()
  var phase = Phase.connecting
  var account: Account
  var isDeferred = false
  var isHalfClosed = false
  /// The side that a reset goes on to; with `resetting`.
  var resetSide = Side.client
  /// The backend, and not the client, broke the connection.
  var brokeAtBackend = false
  var assignment: Assignment
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
  /// With `resetting`: what the kernel still had to deliver when last seen. -1: not looked at yet.
  var unsentBefore: Int32 = -1

  init(
    client: consuming Descriptor, family: SocketAddress.Family, account: Account, assignment: Assignment,
    listener: ListenerID, now: Instant
  ) {
    self.client = Endpoint(client, family: family)
    self.account = account
    self.assignment = assignment
    self.listener = listener
    startedAt = now
    lastActivity = now
  }

  /// Moves bytes both ways as far as readiness allows, and decides what becomes of the session.
  mutating func relay(_ lane: inout Lane) -> Verdict {
    let inboundOutcome = inbound.pump(from: &client, to: &backend, &lane)
    let outboundOutcome = outbound.pump(from: &backend, to: &client, &lane)
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
      brokeAtBackend = backend.isBroken && !client.isBroken
    }
    // The pumps may both have run before either side was known to be broken: ask again.
    let outcome: Flow.Outcome
    switch (client.isBroken, backend.isBroken) {
    case (true, true), (false, false): return .close
    case (true, false):
      resetSide = .backend
      client.isReadable = true
      outcome = inbound.pump(from: &client, to: &backend, &lane)
    case (false, true):
      resetSide = .client
      backend.isReadable = true
      outcome = outbound.pump(from: &backend, to: &client, &lane)
    }
    switch outcome {
    case .sourceBroken, .ended: return .reset(resetSide)
    case .sinkBroken: return .close
    case .moreToDo: return .deferred
    // The broken side answers every call at once, so this waits for the other one to take bytes.
    case .waiting: return .wait
    }
  }

  /// Whether no byte has moved for a second, and closing it with FIN harms nothing.
  func isQuiet(at now: Instant) -> Bool { now.milliseconds(since: lastActivity) >= 1000 && canEndWithFIN }

  /// Whether nothing is queued anywhere and both directions are open. Where one has ended, the other may be in the
  /// middle of an answer, and an answer that was cut must not look complete.
  var canEndWithFIN: Bool {
    phase == .relaying && !isHalfClosed && !inbound.hasHeldBytes && !outbound.hasHeldBytes
      && client.socket.unreadBytes == 0 && backend.socket.unreadBytes == 0
      && client.socket.unsentBytes == 0 && backend.socket.unsentBytes == 0
  }

  /// For people: connecting, open, halfClosed, resetting.
  var stateName: String {
    switch phase {
    case .connecting: "connecting"
    case .relaying: isHalfClosed ? "halfClosed" : "open"
    case .resetting, .closing: "resetting"
    }
  }
}

/// Which targets a session has tried already.
struct ConnectAttempt {
  /// Positions in the color's list of targets; at most 64.
  var triedTargets: UInt64 = 0
  /// Where in that list the present target stands.
  var position: UInt8 = 0
  /// The next of the target's addresses.
  var nextAddress: UInt8 = 0
  /// The connect in progress, or the wait before trying again, must be over by then.
  var deadline = Instant.distantFuture
  /// Waiting to try the same address again: this machine, not the target, could not connect.
  var isRetrying = false
}

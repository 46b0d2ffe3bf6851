import EventCore
import LinuxIO
import Switching

/// Connecting: from a claim to a backend.
extension Worker {
  /// Milliseconds before a connect that this machine could not make is tried again.
  private static let retryPause: Int64 = 10
  /// Milliseconds for which a target that could not be reached is asked last.
  private static let avoidTime: Int64 = 1000
  /// Milliseconds between two looks at whether a release that takes no connections was taken back.
  private static let wayBackPause: Int64 = 50

  /// Tries targets until a connect succeeds or is under way; the client notices nothing of those that fail at once.
  mutating func connect(_ token: Token) {
    while sessions[token].phase == .connecting {
      guard let (address, approach) = nextAddress(token) else {
        allTargetsFailed(token)
        return
      }
      switch start(token, address, approach) {
      case .connected:
        established(token)
        return
      case .inProgress:
        schedule(token, at: sessions[token].attempt.deadline)
        return
      case .failed(.wouldBlock):
        // AF_UNIX says so where the backlog is full: the target is there, and busy.
        retryLater(token)
        return
      case .failed(.addressNotAvailable):
        tell(.ports)
        retryLater(token)
        return
      case .failed(let errno) where errno.isShortage:
        tell(.descriptors(errno))
        retryLater(token)
        return
      case .failed(let errno):
        addressFailed(token, errno)
      }
    }
  }

  /// The backend socket became ready, or has failed, while its connect was under way.
  mutating func connectProgressed(_ token: Token, _ readiness: Readiness) {
    // Without either there is no error to ask for: epoll(7) tells of one always, and every connection would pay for asking.
    if !readiness.isDisjoint(with: [.error, .hangUp]) {
      addressFailed(token, sessions[token].backend.socket.takeError() ?? .connectionReset)
      connect(token)
    } else if readiness.contains(.writable) {
      established(token)
      sessions[token].backend.absorb(readiness)
      relay(token)
    }
  }

  mutating func connectTimerFired(_ token: Token) {
    let attempt = sessions[token].attempt
    if loop.now >= attempt.deadline {
      addressFailed(token, .timedOut)
      sessions[token].attempt.hasTimedOut = true
    } else if !attempt.isRetrying {
      schedule(token, at: attempt.deadline)
      return
    }
    connect(token)
  }

  /// Where the listener has source addresses, it is the turn of one of them; if that has no free port towards the target,
  /// or is gone from this machine, the others are tried before this counts as a shortage.
  private mutating func start(
    _ token: Token, _ address: SocketAddress, _ approach: Approach?
  ) -> Descriptor.ConnectStart {
    guard let approach else { return start(token, address, options: nil, from: nil) }
    switch address.family {
    case .ipv4: return start(token, address, approach.options, from: approach.ipv4)
    case .ipv6: return start(token, address, approach.options, from: approach.ipv6)
    case .local: return start(token, address, options: nil, from: nil)
    }
  }

  private mutating func start(
    _ token: Token, _ address: SocketAddress, _ options: TCPOptions, from sources: borrowing Approach.Sources
  ) -> Descriptor.ConnectStart {
    let count = sources.addresses.count
    guard count > 0 else { return start(token, address, options: options, from: nil) }
    let first = sources.takeTurn()
    for offset in 0..<count {
      let source = sources.addresses[(first + offset) % count]
      let result = start(token, address, options: options, from: source)
      guard result == .failed(.addressNotAvailable) else { return result }
    }
    return .failed(.addressNotAvailable)
  }

  private mutating func start(
    _ token: Token, _ address: SocketAddress, options: TCPOptions?, from source: SocketAddress?
  ) -> Descriptor.ConnectStart {
    do {
      let socket = try Descriptor.streamSocket(for: address)
      if address.family != .local { socket.setNoDelay() }
      if let options { socket.set(options) }
      if let source, let errno = socket.bindSource(source) {
        tell(.source(source, errno))
        return .failed(errno)
      }
      let result = socket.connect(to: address)
      if case .failed = result { return result }
      try loop.watch(socket, for: Self.interest, token.lane(1))
      sessions[token].attempt.isRetrying = false
      // An earlier attempt's socket was closed by `addressFailed`. None of its events is still to come: it is told at
      // most once a tick, and either that event or a timer, which comes after all events, has led here.
      sessions[token].backend = Endpoint(socket, family: address.family)
      return result
    } catch {
      return .failed(error)
    }
  }

  private mutating func established(_ token: Token) {
    setPhase(token, .relaying)
    sessions[token].lastActivity = loop.now
    let isHTTP = sessions[token].exchange.isHTTP
    count(token) { counters in
      counters.established &+= 1
      if !isHTTP { counters.begun &+= 1 }
    }
    if !isHTTP { sessions[token].askedAt = loop.now }
    // For the color they were counted when they came.
    let resent = sessions[token].exchange.takeResent()
    if resent.requests > 0 {
      ledger.count(target: sessions[token].target, isPreview: sessions[token].exchange.isPreview) { counters in
        counters.requests &+= UInt64(resent.requests)
        counters.bytesIn &+= UInt64(resent.bytes)
      }
    }
    if !sessions[token].exchange.isPreview {
      let time = UInt64(loop.now.microseconds(since: sessions[token].attempt.began))
      ledger.connected(sessions[token].listener, sessions[token].exchange.color, microseconds: time)
    }
    // The connect timer usually stays armed: when it fires it finds the idle deadline. That is cheaper than moving it.
    if sessions[token].timer == .none || idleDeadline(token) < sessions[token].timerDeadline {
      schedule(token, at: idleDeadline(token))
    }
  }

  // MARK: Choosing

  /// The address to try next: the same again after a local shortage, the present target's next one, or that of the next
  /// target.
  private mutating func nextAddress(_ token: Token) -> (address: SocketAddress, approach: Approach?)? {
    guard let targets = routes.targets[sessions[token].listener]?[sessions[token].exchange.color] else { return nil }
    let attempt = sessions[token].attempt
    if sessions[token].target >= 0, Int(attempt.position) < targets.count,
      targets[Int(attempt.position)].slot == sessions[token].target,
      Int(attempt.nextAddress) < targets[Int(attempt.position)].addresses.count
    {
      if !attempt.isRetrying { beginAttempt(token) }
      let target = targets[Int(attempt.position)]
      return (target.addresses[Int(attempt.nextAddress)], target.approach)
    }
    leaveTarget(token)
    guard let position = choose(among: targets, tried: attempt.triedTargets) else { return nil }
    sessions[token].attempt.triedTargets |= 1 << UInt64(position)
    sessions[token].attempt.position = UInt8(position)
    sessions[token].attempt.nextAddress = 0
    sessions[token].target = targets[position].slot
    shared.board.addSession(targets[position].slot, isPreview: sessions[token].exchange.isPreview)
    beginAttempt(token)
    return (targets[position].addresses[0], targets[position].approach)
  }

  private mutating func beginAttempt(_ token: Token) {
    sessions[token].attempt.isRetrying = false
    sessions[token].attempt.began = loop.now
    sessions[token].attempt.deadline = loop.now.advanced(milliseconds: settings.connectTimeout)
  }

  /// The fewest sessions win; among equals, each in turn. A target that failed a moment ago comes behind the others, and one
  /// whose probes fail last.
  private mutating func choose(among targets: [Target], tried: UInt64) -> Int? {
    var best: Int?
    var bestRank = TargetRank.last
    nextTarget &+= 1
    for offset in targets.indices {
      let position = Int((UInt(bitPattern: nextTarget) &+ UInt(offset)) % UInt(targets.count))
      // A name that has no address at present counts as tried.
      if tried & 1 << UInt64(position) != 0 || targets[position].addresses.isEmpty { continue }
      let slot = targets[position].slot
      let rank = TargetRank(
        isUnhealthy: shared.board.isUnhealthy(slot), isAvoided: shared.board.isAvoided(slot, at: loop.now),
        sessions: shared.board.sessions(slot))
      if best == nil || rank < bestRank { (best, bestRank) = (position, rank) }
    }
    return best
  }

  mutating func leaveTarget(_ token: Token) {
    let slot = sessions[token].target
    guard slot >= 0 else { return }
    shared.board.removeSession(slot, isPreview: sessions[token].exchange.isPreview)
    sessions[token].target = -1
  }

  // MARK: Failing

  private mutating func addressFailed(_ token: Token, _ errno: Errno) {
    let target = sessions[token].target
    if target >= 0 {
      count(token) { $0.failedAttempts &+= 1 }
      // Told once, not for each session that finds the same.
      if !shared.board.isAvoided(target, at: loop.now) { shared.news(.connectFailed(target: target, errno)) }
      shared.board.avoid(target, until: loop.now.advanced(milliseconds: Self.avoidTime))
    }
    // A connect that is still under way must not end as that of the next target.
    sessions[token].backend = .absent
    sessions[token].attempt.nextAddress += 1
    sessions[token].attempt.isRetrying = false
    sessions[token].attempt.hasTimedOut = false
  }

  private mutating func retryLater(_ token: Token) {
    sessions[token].attempt.isRetrying = true
    let next = loop.now.advanced(milliseconds: Self.retryPause)
    schedule(token, at: min(next, sessions[token].attempt.deadline))
  }

  /// No target of the session's color took it. Where the color is not the active one any more, it was claimed just
  /// before a switch, has not reached anybody, and is claimed again; else the client is told, or reset.
  private mutating func allTargetsFailed(_ token: Token) {
    leaveTarget(token)
    let account = sessions[token].account
    let claim = lane.claim(isPreview: account == .preview, client: sessions[token].exchange.client)
    if account != .preview, claim.assignment.color != sessions[token].exchange.color {
      leaveColor(token, .moved)
      admit(token)
      return
    }
    if !sessions[token].attempt.isCounted {
      sessions[token].attempt.isCounted = true
      counters[Int(account.rawValue)].connectFailures += 1
      countAtListener(token, account) { $0.connectFailures &+= 1 }
      if wasLeftBehind(account, sessions[token].assignment) { tally.connectFailures += 1 }
    }
    let patience = sessions[token].attempt.patience
    if watch?.account == account, loop.now < patience {
      awaitTheWayBack(token, until: patience)
      return
    }
    refuse(token, sessions[token].attempt.hasTimedOut ? .gatewayTimeout : .badGateway)
  }

  /// A release that is on trial takes no connections: it will be taken back in a moment, or its target comes back. The
  /// client need not know.
  private mutating func awaitTheWayBack(_ token: Token, until patience: Instant) {
    if sessions[token].heldSince == .distantFuture { sessions[token].heldSince = loop.now }
    sessions[token].attempt = ConnectAttempt()
    sessions[token].attempt.patience = patience
    sessions[token].attempt.isCounted = true
    sessions[token].attempt.deadline = patience
    sessions[token].attempt.isRetrying = true
    schedule(token, at: min(loop.now.advanced(milliseconds: Self.wayBackPause), patience))
  }
}

/// In which order targets are asked.
private struct TargetRank: Comparable {
  let isUnhealthy: Bool
  let isAvoided: Bool
  let sessions: Int

  static let last = TargetRank(isUnhealthy: true, isAvoided: true, sessions: .max)

  static func < (a: TargetRank, b: TargetRank) -> Bool {
    if a.isUnhealthy != b.isUnhealthy { return b.isUnhealthy }
    if a.isAvoided != b.isAvoided { return b.isAvoided }
    return a.sessions < b.sessions
  }
}

import EventCore
import LinuxIO
import Switching

/// Accepting: from a listening socket to a session with a claim.
extension Worker {
  enum AcceptPause: Equatable {
    case none
    /// The session limit is reached. A slot that this worker frees ends the pause at once; one that another worker
    /// frees, at the next look.
    case sessionLimit
    /// The process or the system is out of descriptors.
    case descriptors
  }

  /// Connections taken at one wake-up, before other work has its turn. Small, since all workers are woken from the
  /// same queue and a worker that empties it alone would only have to hand connections on.
  private static let acceptBudget = 16
  /// Milliseconds until accepting is tried again.
  private static let pauseTime: Int64 = 50

  mutating func open(_ door: Door) {
    let index = doors.firstIndex { $0 == nil } ?? doors.count
    if index == doors.count { doors.append(door) } else { doors[index] = door }
    if acceptPause == .none, !watchDoor(index) { pauseAccepting(.descriptors) }
  }

  /// Stops watching a listening socket. Connections that wait in its queue are taken first: closing it would reset them.
  mutating func close(_ door: Door) {
    guard let index = doors.firstIndex(where: { $0 === door }) else { return }
    if acceptPause == .none { unwatchDoor(index) }
    while acceptOne(from: door) {}
    doors[index] = nil
  }

  mutating func accept(from index: Int) {
    guard index < doors.count, let door = doors[index] else { return }
    for _ in 0..<Self.acceptBudget where acceptPause == .none {
      guard acceptOne(from: door) else { return }
    }
  }

  /// Takes one connection; false where there is none, or none can be taken now.
  private mutating func acceptOne(from door: Door) -> Bool {
    guard shared.budget.take() else {
      pauseAccepting(.sessionLimit)
      return false
    }
    var client: UInt32 = 0
    switch door.socket.descriptor.accept(client: &client) {
    case .connection(let socket):
      if let other = lessLoadedWorker() {
        shared.gates[other].addLoad()
        shared.gates[other].mailbox.post(.adopt(number: socket.release(), client: client, door))
      } else {
        shared.gates[index].addLoad()
        begin(socket, client: client, from: door)
      }
      return true
    case .wouldBlock:
      shared.budget.giveBack()
      return false
    case .failed(let errno):
      shared.budget.giveBack()
      // Else the client has left before it was accepted, or its network has an error: accept(2) says to go on.
      guard errno.isShortage else { return true }
      pauseAccepting(.descriptors)
      tell(.descriptors(errno))
      return false
    }
  }

  /// The worker that should rather have the next connection: one with at least two sessions fewer.
  private func lessLoadedWorker() -> Int? {
    let gates = shared.gates
    guard gates.count > 1 else { return nil }
    var best = index
    var least = gates[index].load - 1
    for other in gates.indices where gates[other].load < least {
      (best, least) = (other, gates[other].load)
    }
    return best == index ? nil : best
  }

  /// Starts a session. Its place in the budget and in this worker's load is taken already.
  mutating func begin(_ socket: consuming Descriptor, client: UInt32, from door: Door) {
    let number = socket.number
    let session = Session(
      client: socket, family: door.socket.address.family, hash: client, door: door, now: loop.now)
    guard let token = sessions.insert(session) else {
      // The slab holds as many as the descriptor limit allows; beyond that there is nothing to relay with.
      shared.gates[index].removeLoad()
      shared.budget.giveBack()
      return
    }
    sessionsByAccount[Int(sessions[token].account.rawValue)] += 1
    parkedSessions += 1
    countAtListener(token, sessions[token].account) { $0.connections &+= 1 }
    do {
      try loop.watch(number: number, for: Self.interest, token.lane(0))
    } catch {
      requestClose(token, .ended, resets: true)
      return
    }
    // With protocol http the first byte of a request decides, and no backend waits for it.
    if sessions[token].exchange.isHTTP { schedule(token, at: idleDeadline(token)) } else { admit(token) }
  }

  /// Everything, told once for each change: the one registration that a socket ever gets.
  static var interest: Readiness { [.readable, .writable, .readHangUp, .urgent, .edgeTriggered] }

  /// Gives a session that has something to send a color, and begins to connect; or has it wait for the end of a hold, and
  /// for those who waited before it.
  mutating func admit(_ token: Token, isItsTurn: Bool = false) {
    let isPreview = sessions[token].exchange.isPreview
    let claim = lane.claim(isPreview: isPreview, client: sessions[token].exchange.client)
    if claim.holds || !isItsTurn && !isPreview && othersWait {
      hold(token)
      return
    }
    let color = claim.assignment.color
    if sessions[token].assignment?.color != color {
      counters[Int(claim.account.rawValue)].accepted += 1
      countAtListener(token, isPreview ? .preview : Account(color)) { $0.assigned &+= 1 }
    }
    join(token, claim.account)
    if claim.account == Account(confirmed.color) { handoverTally?.open += 1 }
    sessions[token].assignment = claim.assignment
    sessions[token].exchange.color = color
    sessions[token].attempt = ConnectAttempt()
    sessions[token].attempt.patience = loop.now.advanced(milliseconds: settings.connectTimeout)
    counters[Int(claim.account.rawValue)].connects &+= 1
    setPhase(token, .connecting)
    connect(token)
  }

  /// Has a session counted for another account.
  private mutating func join(_ token: Token, _ account: Account) {
    sessionsByAccount[Int(sessions[token].account.rawValue)] -= 1
    sessionsByAccount[Int(account.rawValue)] += 1
    sessions[token].account = account
  }

  /// A session leaves its color; what became of it there is counted where somebody asks.
  mutating func leaveColor(_ token: Token, _ outcome: DrainOutcome) {
    let account = sessions[token].account
    guard account != .preview, account != .waiting else { return }
    leave(account, sessions[token].assignment, outcome)
    sessionsByAccount[Int(Account.waiting.rawValue)] += 1
    sessions[token].account = .waiting
    tellWhenDrained()
    tellWhenQuiet()
  }

  mutating func setPhase(_ token: Token, _ phase: Session.Phase) {
    if sessions[token].heldSince != .distantFuture { holdEnded(token) }
    count(sessions[token].phase, -1)
    count(phase, 1)
    sessions[token].phase = phase
  }

  private mutating func count(_ phase: Session.Phase, _ difference: Int) {
    switch phase {
    case .parked: parkedSessions += difference
    case .held: heldSessions += difference
    case .connecting, .relaying, .resetting, .lingering, .closing: break
    }
  }

  // MARK: Pausing

  private mutating func pauseAccepting(_ reason: AcceptPause) {
    guard acceptPause == .none else { return }
    acceptPause = reason
    // EPOLLEXCLUSIVE cannot be modified, so pausing is removing.
    for index in doors.indices where doors[index] != nil { unwatchDoor(index) }
    acceptTimer = loop.timers.arm(at: loop.now.advanced(milliseconds: Self.pauseTime), Fixture.acceptTimer)
    if reason == .sessionLimit { tell(.sessions) }
  }

  /// At a limit every session meets it: one word a second is enough.
  mutating func tell(_ limit: WorkerNews.Limit) {
    let kind =
      switch limit {
      case .sessions: 0
      case .descriptors: 1
      case .ports: 2
      case .source: 3
      }
    guard loop.now >= nextLimitNews[kind] else { return }
    nextLimitNews[kind] = loop.now.advanced(milliseconds: 1000)
    shared.news(.limitReached(limit))
  }

  mutating func resumeAccepting() {
    guard acceptPause != .none else { return }
    acceptPause = .none
    loop.timers.cancel(acceptTimer)
    acceptTimer = .none
    var isComplete = true
    for index in doors.indices where doors[index] != nil { isComplete = watchDoor(index) && isComplete }
    if !isComplete { pauseAccepting(.descriptors) }
  }

  /// False: the kernel has no room for another watch at present.
  private func watchDoor(_ index: Int) -> Bool {
    guard let door = doors[index] else { return true }
    return (try? loop.watch(door.socket.descriptor, for: [.readable, .exclusive], Fixture.door(index))) != nil
  }

  private func unwatchDoor(_ index: Int) {
    guard let door = doors[index] else { return }
    try? loop.unwatch(number: door.socket.descriptor.number)
  }
}

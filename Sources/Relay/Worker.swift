import EventCore
import LinuxIO
import Switching
import Telemetry

/// What the workers of one front door share.
final class WorkerShared: Sendable {
  let word: ActiveWord
  let board: TargetBoard
  let budget: SessionBudget
  let pipes: PipeBudget
  let gates: [WorkerGate]
  let news: @Sendable (WorkerNews) -> Void

  init(
    word: ActiveWord, board: TargetBoard, budget: SessionBudget, pipes: PipeBudget, gates: [WorkerGate],
    news: @escaping @Sendable (WorkerNews) -> Void
  ) {
    (self.word, self.board, self.budget, self.pipes) = (word, board, budget, pipes)
    (self.gates, self.news) = (gates, news)
  }
}

/// One thread of the data plane: an event loop and the sessions it relays. It shares nothing with the others but the
/// active word, the target board, the session budget and the listening sockets.
struct Worker: ~Copyable {
  /// Sources of events and timers that are no session; their tokens have generation 0, which no session has.
  enum Fixture {
    static let mailbox = Token(slot: 0, generation: 0)
    static let acceptTimer = Token(slot: 1, generation: 0)
    static let drainTimer = Token(slot: 2, generation: 0)
    static let releaseTimer = Token(slot: 3, generation: 0)
    static let firstDoor = 16
    static func door(_ index: Int) -> Token { Token(slot: firstDoor + index, generation: 0) }
  }

  /// Events handled in one tick: enough to make a wake-up worth its cost, few enough that orders are not kept waiting.
  static let eventBudget = 256

  let index: Int
  let shared: WorkerShared
  let mailbox: Mailbox<WorkerOrder>
  var loop: EventLoop
  var sessions: Slab<Session>
  var lane: Lane
  var routes = Routes(targets: [:])
  var settings: RelaySettings

  var sessionsByAccount = InlineArray<4, Int>(repeating: 0)
  var counters = InlineArray<4, TrafficCounters>(repeating: TrafficCounters())
  var ledger = Ledger()
  var parkedSessions = 0
  var heldSessions = 0

  // Accepting
  var doors: [Door?] = []
  var acceptPause = AcceptPause.none
  var acceptTimer = TimerQueue.Handle.none
  /// By kind of limit.
  var nextLimitNews = InlineArray<4, Instant>(repeating: Instant(nanoseconds: 0))
  /// Where the choice among equally loaded targets starts.
  var nextTarget = 0

  // Draining
  /// The assignment that the last barrier confirmed: sessions of the other color are the ones that drain.
  var confirmed: Assignment
  var tally = DrainTally()
  /// Sessions that moved between the store and its barrier: a request may be faster than the order to count.
  var movedEarly = 0
  var drainOrder: DrainOrder?
  var drainTimer = TimerQueue.Handle.none
  var drainCursor = 0
  /// Sessions to drain when the spread began; nil before.
  var spreadInitial: Int?
  var hasToldDrained = false

  // Holding
  var holdOrder: HoldOrder?
  /// What became of the sessions that a handover's hold found.
  var handoverTally: DrainTally?
  var hasToldQuiet = false
  /// In order of arrival; entries whose session does not wait any more are passed over.
  var heldQueue: [Token] = []
  var heldQueueStart = 0
  /// Those that have gone on a moment ago.
  var released: [Released] = []
  var releaseTimer = TimerQueue.Handle.none
  /// The next slot that is looked at for sessions to let go of; nil while nobody looks.
  var sweepCursor: Int?

  // Watching
  var firstByte = ByColor(both: LatencyHistogram())
  var firstByteOfSessions = ByColor(both: LatencyHistogram())
  /// The release on trial.
  var watch: Watch?

  // Work for the phases of a tick
  var deferred: [Token] = []
  var deferredBefore: [Token] = []
  var closes: [Closing] = []
  var hasMail = false
  var mail: [WorkerOrder] = []
  var replies: [(closed: DrainTally, reply: @Sendable (WorkerReport) -> Void)] = []
  var measuring: [@Sendable (Measures) -> Void] = []

  /// A session to close at the end of the tick.
  struct Closing {
    let token: Token
    let outcome: DrainOutcome
    let resets: Bool
  }

  init(index: Int, shared: WorkerShared, capacity: Int, settings: RelaySettings) throws(Errno) {
    let loop = try EventLoop(eventBudget: Self.eventBudget)
    let mailbox = shared.gates[index].mailbox
    try loop.watch(number: mailbox.descriptor, for: .readable, Fixture.mailbox)
    self.index = index
    self.shared = shared
    self.settings = settings
    self.mailbox = mailbox
    self.loop = loop
    lane = Lane(word: shared.word, pipes: shared.pipes)
    sessions = Slab(capacity: capacity)
    confirmed = shared.word.load().assignment
  }

  /// Serves until the process ends. Throws only what epoll_wait(2) fails with, which is a programming error.
  mutating func run() throws(Errno) {
    while true { try tick() }
  }

  /// One round. Nothing is closed before its end, so a token stays valid for as long as its events are handled; orders
  /// come after events, so that a barrier counts all claims of the round.
  private mutating func tick() throws(Errno) {
    runDeferred()
    let count = try loop.wait(hasDeferredWork: !deferred.isEmpty || sweepCursor != nil)
    for index in 0..<count {
      let (token, readiness) = loop.event(at: index)
      loop.polling.saw(token)
      handle(token, readiness)
    }
    // As many as there are now: one that arms another for this very moment must not keep the tick from ending.
    for _ in 0..<loop.timers.count {
      guard let (_, token) = loop.popExpired() else { break }
      timerFired(token)
    }
    if hasMail { readMail() }
    if !closes.isEmpty { performCloses() }
    if !replies.isEmpty { answerReplies() }
    if !measuring.isEmpty {
      let measures = measures()
      for reply in measuring { reply(measures) }
      measuring.removeAll()
    }
  }

  private mutating func handle(_ token: Token, _ readiness: Readiness) {
    if token.generation != 0 {
      socketReady(token, readiness)
    } else if token == Fixture.mailbox {
      hasMail = true
    } else {
      accept(from: token.slot - Fixture.firstDoor)
    }
  }

  private mutating func timerFired(_ token: Token) {
    switch token {
    case Fixture.acceptTimer:
      acceptTimer = .none
      resumeAccepting()
    case Fixture.drainTimer:
      drainTimer = .none
      advanceDrain()
    case Fixture.releaseTimer:
      releaseTimer = .none
      releaseHeld()
    default: sessionTimerFired(token)
    }
  }

  private mutating func runDeferred() {
    if !deferred.isEmpty {
      swap(&deferred, &deferredBefore)
      for token in deferredBefore where sessions.contains(token) {
        sessions[token].isDeferred = false
        switch sessions[token].phase {
        case .relaying, .resetting: relay(token)
        case .parked: wake(token)
        case .lingering: discardInput(token)
        case .held, .connecting, .closing: break
        }
      }
      deferredBefore.removeAll(keepingCapacity: true)
    }
    if sweepCursor != nil { sweep() }
  }

  // MARK: Orders

  private mutating func readMail() {
    hasMail = false
    mailbox.takeAll(into: &mail)
    for order in mail {
      switch order {
      case .adopt(let number, let client, let door):
        begin(Descriptor(owning: number), client: client, from: door)
      case .open(let door): open(door)
      case .close(let door, let done):
        close(door)
        done()
      case .apply(let routes, let settings): apply(routes, settings)
      case .confirm(let assignment, let reply): replies.append((confirm(assignment), reply))
      // What the tick's events have counted is there already: orders come after them.
      case .countListeners(let reply): reply(ledger.listenerCounts)
      case .measure(let reply): measuring.append(reply)
      case .report(let reply): replies.append((DrainTally(), reply))
      case .drain(let order): beginDrain(order)
      case .hold(let order): changeHold(order)
      case .watch(let order): change(watchingTo: order)
      case .list(let reply): reply(snapshots())
      }
    }
    // What closures hold is let go of now, not with the next mail.
    mail.removeAll(keepingCapacity: true)
  }

  private mutating func apply(_ routes: Routes, _ settings: RelaySettings) {
    self.routes = routes
    ledger.prepare(for: routes)
    self.settings = settings
    loop.polling.mode = settings.busyPoll
    lane.pipes.isUsed = settings.splices
  }

  private mutating func answerReplies() {
    var report = WorkerReport(
      sessions: sessionsByAccount.indices.map { sessionsByAccount[$0] },
      counters: counters.indices.map { counters[$0] }, tally: tally, closedTally: DrainTally(), held: heldSessions,
      parked: parkedSessions, census: census(), splicedBytes: lane.pipes.bytes, firstByte: firstByte,
      firstByteOfSessions: firstByteOfSessions, watch: watchFindings())
    for (closed, reply) in replies {
      report.closedTally = closed
      reply(report)
    }
    replies.removeAll()
  }

  /// How many sessions of each color are idle, busy and opaque. Looks at all of them: some ten microseconds a thousand.
  private func census() -> ByColor<StateCensus> {
    var census = ByColor<StateCensus>(both: StateCensus())
    for slot in 0..<sessions.highWater {
      guard let token = sessions.token(at: slot), sessions[token].exchange.isHTTP else { continue }
      switch sessions[token].account {
      case .blue: census.blue.count(sessions[token].state)
      case .green: census.green.count(sessions[token].state)
      case .preview, .waiting: break
      }
    }
    return census
  }

  private func snapshots() -> [SessionSnapshot] {
    (0..<sessions.highWater).compactMap { slot in
      guard let token = sessions.token(at: slot) else { return nil }
      let hasColor = sessions[token].account != .waiting && sessions[token].backendIsWanted
      return SessionSnapshot(
        listener: sessions[token].listener, isPreview: sessions[token].account == .preview,
        assignment: hasColor ? sessions[token].assignment : nil,
        client: sessions[token].client.socket.peerAddress, target: sessions[token].target,
        state: sessions[token].state, opacity: sessions[token].opacity,
        ageMilliseconds: loop.now.milliseconds(since: sessions[token].startedAt),
        idleMilliseconds: loop.now.milliseconds(since: sessions[token].lastActivity),
        bytesIn: sessions[token].inbound.bytes, bytesOut: sessions[token].outbound.bytes)
    }
  }
}

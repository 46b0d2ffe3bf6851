import Admin
import Arguments
import EventCore
import LinuxIO
import Relay
import Switching
import Telemetry

/// A hold that is in force: a pause, or a handover that waits for the work in flight.
struct Holding {
  let since: Instant
  let sinceOnWall: WallTime
  /// When traffic resumes by itself.
  var until: Instant
  var untilOnWall: WallTime
  let by: Requester
  /// Where a handover leads; nil for a pause.
  let handover: Color?
  var timer: Reactor.TimerID?
  /// Clients that asked for a pause and wait: the end of the last is the pause's end, unless somebody else has asked for
  /// it.
  var waitingClients: Set<UInt64> = []
  /// Somebody has asked for a pause without waiting, or has waited long enough: it lasts whoever leaves.
  var isStanding = false
  /// Told when nothing is in flight any more (true), or when the hold has ended before (false).
  var quietWaiters: [OneShot<Bool>] = []

  init(by: Requester, milliseconds: Int64, handover: Color?) {
    self.by = by
    self.handover = handover
    since = .now()
    sinceOnWall = .now()
    until = since
    untilOnWall = sinceOnWall
    last(milliseconds)
  }

  /// From now on.
  mutating func last(_ milliseconds: Int64) {
    until = Instant.now().advanced(milliseconds: milliseconds)
    untilOnWall = WallTime(microseconds: WallTime.now().microseconds + milliseconds * 1000)
  }
}

/// Why traffic resumes though nobody asks for it.
enum ResumeCause {
  case timeIsUp
  case clientsHaveGone
  case theFrontDoorStops
}

/// The hold, pause and resume.
extension FrontDoor {
  // MARK: The hold

  /// Stores the hold, tells the workers, and returns when no claim that was made before is under way.
  func beginHold(by: Requester, milliseconds: Int64, handover: Color?) async {
    if handover != nil {
      // From here on the workers count what becomes of the sessions; http sessions leave as soon as the word is stored.
      workers.hold(HoldOrder(isHandover: true))
      _ = await workers.report()
    }
    holding = Holding(by: by, milliseconds: milliseconds, handover: handover)
    word.store(Signpost(machine.state.assignment, holds: true))
    workers.hold(HoldOrder(isHandover: handover != nil))
    armHoldTimer()
    _ = await workers.report()
  }

  /// Lets the traffic go on; answers for how many milliseconds it was held.
  func endHold() -> Int64 {
    word.store(Signpost(machine.state.assignment))
    workers.hold(nil)
    guard let ended = holding else { return 0 }
    holding = nil
    if let timer = ended.timer { reactor.cancel(timer) }
    for waiter in ended.quietWaiters { waiter.resume(false) }
    return Instant.now().milliseconds(since: ended.since)
  }

  private func armHoldTimer() {
    if let timer = holding?.timer { reactor.cancel(timer) }
    guard let until = holding?.until else { return }
    let left = max(0, until.milliseconds(since: .now()) + 1)
    holding?.timer = reactor.after(milliseconds: left) { [self] in start { await $0.holdTimeIsUp() } }
  }

  private func holdTimeIsUp() async {
    guard let current = holding else { return }
    // A timer counts whole milliseconds, and a second pause may have moved the end.
    guard Instant.now() >= current.until else { return armHoldTimer() }
    guard current.handover != nil else {
      _ = await resume(by: current.by, because: .timeIsUp)
      return
    }
    guard let handover, handover.outcome == nil else { return }
    handover.decide(.givenUp(await reasonToGiveUp(after: current)))
  }

  /// A worker, or whoever waits, believes that nothing is in flight. Only a report that was asked for after the hold's
  /// own barrier proves it: before that, claims may have been under way.
  func isQuietNow() async {
    guard machine.holds, let since = holding?.since else { return }
    let report = await workers.report()
    guard report.inFlight == 0, let current = holding, current.since == since else { return }
    for waiter in current.quietWaiters { waiter.resume(true) }
    holding?.quietWaiters = []
    handover?.becameQuiet()
  }

  /// True: nothing is in flight. False: the hold has ended before.
  private func quiet() async -> Bool {
    guard holding != nil else { return false }
    return await withCheckedContinuation { continuation in
      holding?.quietWaiters.append(OneShot(continuation))
      // What was quiet already tells nobody any more.
      start { await $0.isQuietNow() }
    }
  }

  // MARK: Pause and resume

  /// Milliseconds that a pause lasts where nobody says otherwise.
  private static let defaultPause: Int64 = 30_000

  /// The answer to `POST /v1/pause`.
  func answer(_ request: PauseRequest, by: Requester, client: UInt64) async -> Result<StatusReport, ErrorReport> {
    var longest = Self.defaultPause
    if let text = request.max {
      guard let milliseconds = parseDuration(text) else { return .failure(.badDuration("max", text)) }
      guard milliseconds > 0 else {
        return .failure(ErrorReport(code: "bad-request", message: "max: expected more than 0, found \(text)"))
      }
      longest = milliseconds
    }
    var terms = Terms(by: by)
    terms.holdTime = longest
    switch await transact(.pause, terms) {
    case .refused(let refusal): return .failure(ErrorReport(refusal))
    case .unchanged:
      // A second pause decides how long it lasts.
      holding?.last(longest)
      armHoldTimer()
    case .done, .gaveUp, .switched: break
    }
    audit("pause", by: by, ["max": .string(formatDuration(longest))])
    publish("pause", "traffic is held, for \(formatDuration(longest)) at most")
    guard request.wait == true else {
      holding?.isStanding = true
      return .success(await status())
    }
    holding?.waitingClients.insert(client)
    // It may have gone while the pause waited for its turn.
    if admin?.isConnected(client) != true { clientEnded(client) }
    let isQuiet = await quiet()
    if isQuiet, holding?.waitingClients.remove(client) != nil { holding?.isStanding = true }
    guard isQuiet else {
      return .failure(
        ErrorReport(
          code: "resumed", message: "traffic resumed before all work was done: \(await whatRuns())"))
    }
    return .success(await status())
  }

  /// The answer to `POST /v1/resume`; with a cause, what nobody asked for.
  func resume(by: Requester, because cause: ResumeCause? = nil) async -> Result<StatusReport, ErrorReport> {
    let held = await workers.report().held
    var terms = Terms(by: by)
    terms.cause = cause
    switch await transact(.resume, terms) {
    case .refused(let refusal): return .failure(ErrorReport(refusal))
    case .done:
      let cause = cause.map { text(of: $0) }
      audit("resume", by: by, ["held": .count(held), "cause": .string(cause ?? "")])
      publish("resume", "traffic resumes\(cause.map { ": " + $0 } ?? "")")
    case .unchanged, .gaveUp, .switched: break
    }
    return .success(await status())
  }

  private func text(of cause: ResumeCause) -> String {
    switch cause {
    case .timeIsUp: "its time is up"
    case .clientsHaveGone: Self.clientHasGone
    case .theFrontDoorStops: "the front door stops"
    }
  }

  /// Whether a pause that was to end for this reason still is.
  func isStill(_ cause: ResumeCause) -> Bool {
    guard let holding, holding.handover == nil else { return false }
    switch cause {
    case .timeIsUp:
      if Instant.now() >= holding.until { return true }
      armHoldTimer()
      return false
    case .clientsHaveGone: return holding.waitingClients.isEmpty && !holding.isStanding
    case .theFrontDoorStops: return true
    }
  }

  /// The line that each change leaves.
  func audit(_ event: String, by: Requester, _ fields: KeyValuePairs<String, LogValue> = [:]) {
    log.always(event, [(key: "uid", value: .count(by.uid)), (key: "pid", value: .count(by.pid))] + fields)
  }

  // MARK: Who asked, and what runs

  static let clientHasGone = "the client that asked for it has gone"

  /// The front door's connection to a client has ended; the client may have waited for something.
  func clientEnded(_ client: UInt64) {
    if let handover, handover.client == client {
      handover.decide(.givenUp(Self.clientHasGone))
    }
    guard let current = holding, current.waitingClients.contains(client) else { return }
    holding?.waitingClients.remove(client)
    if isStill(.clientsHaveGone) { start { _ = await $0.resume(by: current.by, because: .clientsHaveGone) } }
  }

  /// The sessions that still have a backend, for people.
  func whatRuns() async -> String {
    let running = await workers.sessions().filter { !$0.isPreview && $0.assignment != nil }
    guard !running.isEmpty else { return "no session" }
    let named = running.prefix(3).map { session in
      let listener = listenerNames[session.listener] ?? ""
      let client = session.client.map { "\($0)" } ?? "a client that has left"
      return "\(listener) \(client) → \(targetBook.name(of: session.target)), \(session.state.rawValue) for "
        + "\(formatDuration(session.idleMilliseconds / 100 * 100))"
    }
    let more = running.count > named.count ? " and \(running.count - named.count) more" : ""
    return "\(running.count) session\(running.count == 1 ? "" : "s") (\(named.joined(separator: "; "))\(more))"
  }
}

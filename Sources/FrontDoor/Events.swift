import Admin
import EventCore
import LinuxIO
import Switching

/// Where somebody is heard: operators at the admin socket, whoever only looks at the address of the metrics.
enum Entrance: String { case admin, metrics }

/// A reader of events.
struct Watcher: Hashable {
  let entrance: Entrance
  let id: ResponseID
}

/// The operators' side of the control room: the admin server, its calls and the streams of events.
extension FrontDoor {
  /// Milliseconds for answers to leave when the front door ends.
  static let farewellTime: Int64 = 1000

  func beginAdmin() throws {
    let policy = adminSocket.policy
    let server = try HTTPServer(
      reactor: reactor, listener: adminSocket.takeListener(), admit: { policy.admit($0) },
      handler: { [self] request, id in handle(request, id) })
    server.onNotice = { [self] in received($0) }
    admin = server
  }

  private func handle(_ request: HTTPRequest, _ id: ResponseID) {
    let call: AdminCall
    do {
      call = try AdminCall.decode(request)
    } catch {
      admin?.respond(to: id, HTTPResponse(error))
      return
    }
    let by = Requester(uid: request.peer?.uid ?? UInt32.max, pid: request.peer?.pid ?? 0)
    start { await $0.answer(call, id, by: by) }
  }

  private func answer(_ call: AdminCall, _ id: ResponseID, by: Requester) async {
    let answer: HTTPResponse
    switch call {
    case .status(let recent): answer = HTTPResponse(json: await status(recent: recent))
    case .sessions(let color): answer = HTTPResponse(json: await sessionsReport(color: color))
    case .history: answer = HTTPResponse(json: await historyReport())
    case .health: answer = HTTPResponse(json: healthReport())
    case .config: answer = HTTPResponse(json: settings)
    case .switchColor(let request): answer = response(await self.answer(request, by: by, client: id.connection))
    case .rollback(let request): answer = response(await self.answer(request, by: by))
    case .drain(let request): answer = response(await self.answer(request, by: by))
    case .pause(let request): answer = response(await self.answer(request, by: by, client: id.connection))
    case .resume: answer = response(await resume(by: by))
    case .reload: answer = response(await reload(by: by))
    case .stop: answer = await answerStop(by: by)
    case .metrics: answer = await metrics()
    case .events: return beginEvents(for: Watcher(entrance: .admin, id: id))
    }
    admin?.respond(to: id, answer)
  }

  func beginEvents(for watcher: Watcher) {
    let server = server(watcher.entrance)
    guard server?.respond(streaming: watcher.id, contentType: AdminJSON.linesContentType) == true else { return }
    watchers.insert(watcher)
    // Whoever hears of it takes the end of the events for what it is.
    guard isStopping, let last = pastEvents.reports.last(where: { $0.event == EventReport.stopping }) else { return }
    send(last, to: [watcher])
  }

  private func server(_ entrance: Entrance) -> HTTPServer? { entrance == .admin ? admin : publicServer }

  func historyReport() async -> HistoryReport {
    recordTally(await workers.report())
    return HistoryReport(history: receipts)
  }

  /// The stop goes on after the answer.
  private func answerStop(by: Requester) async -> HTTPResponse {
    audit("stop", by: by)
    start { await $0.stop() }
    return HTTPResponse(json: await status())
  }

  private func response(_ outcome: Result<some Encodable, ErrorReport>) -> HTTPResponse {
    switch outcome {
    case .success(let value): HTTPResponse(json: value)
    case .failure(let report): HTTPResponse(status: report.error.code == "bad-request" ? 400 : 409, json: report)
    }
  }

  private func received(_ notice: HTTPServer.Notice) {
    if case .connectionEnded(let client) = notice { return clientEnded(client) }
    received(notice, from: .admin)
  }

  func received(_ notice: HTTPServer.Notice, from entrance: Entrance) {
    switch notice {
    case .streamEnded(let id, let end):
      watchers.remove(Watcher(entrance: entrance, id: id))
      switch end {
      case .clientLeft: log.debug("events-reader-left")
      case .vanished: dropped("events-reader-dropped", "its machine does not answer", entrance)
      case .tooSlow: dropped("events-reader-dropped", "it does not read", entrance)
      case .madeRoom: dropped("events-reader-dropped", "too many connections", entrance)
      }
    case .dropped(let loss):
      switch loss {
      case .stalled: dropped("answer-dropped", "its reader does not read", entrance)
      case .madeRoom(owed: true): dropped("answer-dropped", "too many connections", entrance)
      case .madeRoom(owed: false): dropped("reader-dropped", "too many connections", entrance)
      case .noRoom: dropped("reader-turned-away", "too many connections", entrance)
      case .tooMuchWaits: dropped("reader-turned-away", "too many answers wait for their readers", entrance)
      }
    case .connectionEnded: break
    case .acceptPaused(let errno): tell("limit", "no descriptor for an admin client: \(errno)")
    case .refused(let message): log.warning("admin-refused", ["reason": .string(message)])
    }
  }

  /// Everybody can have this happen as often as they like: at most one line about the same thing in ten seconds. The metrics
  /// count each.
  private func dropped(_ event: String, _ reason: String, _ entrance: Entrance) {
    tallies.readersDropped += 1
    guard isNews("\(event) \(reason) \(entrance)") else { return }
    log.warning(event, ["reason": .string(reason), "at": .string(entrance.rawValue)])
  }

  /// Tells everybody who watches, and remembers it for those who come later.
  ///
  /// - Parameter lasts: a trouble that is told again while it lasts.
  func publish(
    _ event: String, _ message: String, receipt: Receipt? = nil, drain: DrainReport? = nil, lasts: Bool = false
  ) {
    var report = EventReport(at: WallTime.now().description, event: event, message: message)
    if drain == nil { pastEvents.add(report, lasts: lasts) }
    (report.receipt, report.drain) = (receipt, drain)
    send(report, to: watchers)
  }

  private func send(_ report: EventReport, to watchers: Set<Watcher>) {
    guard !watchers.isEmpty else { return }
    // Only a number that is no number cannot be written, and there is none in an event.
    guard let line = try? AdminJSON.line(report) else { return }
    for watcher in watchers { server(watcher.entrance)?.send(line, to: watcher.id) }
  }
}

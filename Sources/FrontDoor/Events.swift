import Admin
import EventCore
import LinuxIO
import Switching

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
      var response = HTTPResponse(status: error.status, json: error.report)
      if let allow = error.allow { response.fields.append((name: "Allow", value: allow)) }
      admin?.respond(to: id, response)
      return
    }
    let by = Requester(uid: request.peer?.uid ?? UInt32.max, pid: request.peer?.pid ?? 0)
    start { await $0.answer(call, id, by: by) }
  }

  private func answer(_ call: AdminCall, _ id: ResponseID, by: Requester) async {
    let answer: HTTPResponse
    switch call {
    case .status: answer = HTTPResponse(json: await status())
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
    case .events:
      if admin?.respond(streaming: id, contentType: AdminJSON.linesContentType) == true { watchers.insert(id) }
      return
    }
    admin?.respond(to: id, answer)
  }

  private func historyReport() async -> HistoryReport {
    recordTally(await workers.report())
    return HistoryReport(history: receipts)
  }

  /// The stop goes on after the answer.
  private func answerStop(by: Requester) async -> HTTPResponse {
    log.info("stop", ["uid": .count(by.uid), "pid": .count(by.pid)])
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
    switch notice {
    case .streamEnded(let id, let end):
      watchers.remove(id)
      switch end {
      case .clientLeft: log.debug("events-reader-left")
      case .tooSlow: log.warning("events-reader-dropped", ["reason": "it does not read"])
      case .madeRoom: log.warning("events-reader-dropped", ["reason": "too many admin connections"])
      }
    case .connectionEnded(let client): clientEnded(client)
    case .acceptPaused(let errno): tell("limit", "no descriptor for an admin client: \(errno)")
    case .refused(let message): log.warning("admin-refused", ["reason": .string(message)])
    }
  }

  /// Tells everybody who watches.
  func publish(_ event: String, _ message: String, receipt: Receipt? = nil, drain: DrainReport? = nil) {
    guard !watchers.isEmpty else { return }
    let report = EventReport(
      at: WallTime.now().description, event: event, message: message, receipt: receipt, drain: drain)
    // Only a number that is no number cannot be written, and there is none in an event.
    guard let line = try? AdminJSON.line(report) else { return }
    for watcher in watchers { admin?.send(line, to: watcher) }
  }
}

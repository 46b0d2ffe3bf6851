import EventCore
import HTTPFraming
import LinuxIO

/// One client of an `HTTPServer`: its requests are read, handed over and answered one after another.
///
/// While a request is being worked on nothing is read, so what one client can make the server hold is bounded by a
/// head or body, one receive, and one answer.
final class HTTPConnection: ReactorHandler, TurnTaker {
  private enum Phase {
    /// No byte of the next request has come.
    case idle
    case head, body
    /// The handler has the request.
    case working
    /// An answer is leaving.
    case answering
    case streaming
    /// The last answer has left, and FIN with it. What the client still sends is thrown away until it closes: closing
    /// first could make its system discard the answer (RFC 9112 §9.6).
    case lingering
    case closed
  }

  /// What closing the connection would take from its client.
  enum Burden { case waits, streams, answers, works }

  /// Sent in one go before other descriptors have their turn.
  private static let sendBudget = 1024 * 1024
  /// The same where turns are taken.
  private static let sendBudgetOfTurn = 64 * 1024

  private let server: HTTPServer
  private let serial: UInt64
  /// A hash of its address.
  let client: UInt32
  private let peer: PeerCredentials?
  private var descriptor: Descriptor
  private var registration: Reactor.RegistrationID?
  private var interest: Readiness = .readable
  /// Whether it stands in the line of those who wait for a turn, and what the reactor has said meanwhile.
  private var awaitsTurn = false
  private var news: Readiness = []

  private var phase = Phase.idle
  private var lastRequest: UInt64 = 0
  /// The client has sent FIN.
  private var hasEnded = false
  private var closesAfterAnswer = false
  private var isAdvancing = false
  /// How long the client may be silent before its next request, where that was granted.
  private var allowedSilence: Int64?

  private var input: [UInt8] = []
  /// What of `input` has been used up.
  private var inputStart = 0
  private var scanner: HeadScanner
  private var request: RequestHead?
  private var body: BodyCollector?

  private var output = Outgoing()
  /// When the answer that leaves has to be gone.
  private var answerDeadline = Instant.distantFuture

  /// When the present phase has lasted too long; nil where it may last.
  private var deadline: Instant?
  /// The timer that is armed, which may be for an earlier deadline than the present one.
  private var timer: (id: Reactor.TimerID, fires: Instant)?

  init(
    _ descriptor: consuming Descriptor, serial: UInt64, client: UInt32, peer: PeerCredentials?, of server: HTTPServer
  ) throws(Errno) {
    self.server = server
    self.serial = serial
    self.client = client
    self.peer = peer
    self.descriptor = descriptor
    scanner = HeadScanner(limit: server.limits.headBytes)
    self.descriptor.setNoDelay()
    registration = try server.reactor.register(self.descriptor, for: interest, self)
    expect(within: server.limits.idleMilliseconds)
    settle()
  }

  var burden: Burden {
    switch phase {
    case .idle, .head, .body: allowedSilence == nil ? .waits : .works
    case .lingering, .closed: .waits
    case .working: .works
    case .answering: .answers
    case .streaming: .streams
    }
  }

  /// Of its own.
  var waitingBytes: Int { output.ownBytes }

  var waitingBody: (identity: UInt, size: Int)? { output.sharedBody }

  // MARK: What the reactor says

  func ready(_ readiness: Readiness) {
    if server.turns == nil { return act(on: readiness) }
    // Told again and again until the descriptor is closed (epoll_ctl(2): no mask keeps them away), and nothing that is in
    // the buffers can be answered any more.
    if !readiness.isDisjoint(with: [.hangUp, .error]) { return closeForHangUp() }
    news.formUnion(readiness)
    awaitTurn()
  }

  private func awaitTurn() {
    guard let turns = server.turns, !awaitsTurn, phase != .closed else { return }
    awaitsTurn = true
    turns.await(self)
    settle()
  }

  func takeTurn() {
    awaitsTurn = false
    let heard = news
    news = []
    if heard.isEmpty {
      advance()
    } else {
      act(on: heard)
      // Meanwhile it may have been refused, and its interest was taken away while it waited.
      if phase == .answering { advance() } else { settle() }
    }
    if phase == .head || phase == .body, let deadline, deadline <= server.reactor.now { expire() }
  }

  private func closeForHangUp() { close(descriptor.takeError() == .timedOut ? .vanished : .clientLeft) }

  private func act(on readiness: Readiness) {
    switch phase {
    case .idle, .head, .body, .lingering:
      if !readiness.isDisjoint(with: [.readable, .hangUp, .error]) { receive() }
    case .working, .answering, .streaming:
      // Half-closed clients still get their answers; only one that is gone for both directions is told like this.
      if !readiness.isDisjoint(with: [.hangUp, .error]) { return closeForHangUp() }
      if phase == .streaming, readiness.contains(.readHangUp) { return close(.clientLeft) }
    case .closed: return
    }
    if readiness.contains(.writable) { advance() }
  }

  private func receive() {
    switch descriptor.receive(into: &server.scratch) {
    case .bytes(let count):
      if phase == .lingering { return }
      input.append(contentsOf: server.scratch[..<count])
      advance()
    case .wouldBlock: break
    case .endOfFile:
      hasEnded = true
      if phase == .head || phase == .body {
        refuse(status: 400, "the request ended early")
      } else {
        close(.clientLeft)
      }
    case .failed: close(.clientLeft)
    }
  }

  private func timeIsUp() {
    timer = nil
    guard let deadline else { return }
    if server.reactor.now < deadline { return settle() }
    // What has come in time may not have been looked at: its turn decides.
    if awaitsTurn, phase == .head || phase == .body { return }
    expire()
  }

  private func expire() {
    switch phase {
    case .head, .body: refuse(status: 408, "the request took too long to arrive")
    case .streaming, .answering: close(.tooSlow)
    case .idle, .working, .lingering, .closed: close()
    }
  }

  // MARK: The life of a request

  /// Goes on as far as possible. A handler that answers at once comes back in here while a step is being taken: it
  /// changes the phase, and the loop below sees to it, however many requests the client has pipelined; where turns are
  /// taken, one request is a turn.
  private func advance() {
    guard !isAdvancing else { return }
    isAdvancing = true
    while step() {}
    isAdvancing = false
    if phase == .body || phase == .streaming { flush() }
    if phase == .idle, inputStart < input.count { awaitTurn() }
    settle()
  }

  /// What somebody else has to say is sent at once, or with the next turn.
  private func proceed() {
    if server.turns == nil || isAdvancing { advance() } else { awaitTurn() }
  }

  /// Does what can be done in the present phase; answers whether to look again.
  private func step() -> Bool {
    switch phase {
    case .idle:
      guard inputStart < input.count else { return false }
      phase = .head
      scanner = HeadScanner(limit: server.limits.headBytes)
      expect(within: server.limits.requestMilliseconds)
      return true
    case .head: return readHead()
    case .body: return readBody()
    case .answering:
      flush()
      guard phase == .answering, output.isEmpty else { return false }
      if closesAfterAnswer {
        linger()
        return false
      }
      phase = .idle
      expect(within: allowedSilence ?? server.limits.idleMilliseconds)
      return server.turns == nil
    case .working, .streaming, .lingering, .closed: return false
    }
  }

  private func readHead() -> Bool {
    let head: RequestHead
    do throws(HeadError) {
      guard let found = try scanHead() else { return false }
      head = found
    } catch {
      refuse(status: error.status, error.description)
      return true
    }
    return begin(head)
  }

  private func scanHead() throws(HeadError) -> RequestHead? {
    let input = input
    let bytes = input.span.extracting(inputStart..<input.count)
    switch scanner.scan(bytes) {
    case .incomplete: return nil
    case .refused(let error): throw error
    case .complete(let length):
      inputStart += length
      return try RequestHead(bytes.extracting(0..<length))
    }
  }

  private func begin(_ head: RequestHead) -> Bool {
    do throws(BodyCollector.Failure) {
      body = try BodyCollector(head.body, limit: server.limits.bodyBytes)
    } catch {
      refuse(error)
      return true
    }
    request = head
    phase = .body
    // RFC 9110 §10.1.1: not for HTTP/1.0, and not once the body is on its way.
    if head.version == .http11, let expectation = head.fields.all("expect").first {
      guard expectation.lowercased() == "100-continue" else {
        refuse(status: 417, "the only expectation understood is 100-continue")
        return true
      }
      if head.body != .bytes(0), inputStart == input.count { output += Array("HTTP/1.1 100 Continue\r\n\r\n".utf8) }
    }
    return true
  }

  private func readBody() -> Bool {
    do throws(BodyCollector.Failure) {
      guard try body?.take(input.span, from: &inputStart) == true else { return false }
    } catch {
      refuse(error)
      return true
    }
    guard let request, let bytes = body?.bytes else { return false }
    body = nil
    phase = .working
    deadline = nil
    lastRequest += 1
    allowedSilence = nil
    server.handle(
      HTTPRequest(request, body: bytes, peer: peer), ResponseID(connection: serial, request: lastRequest))
    return true
  }

  /// Before the answer, so that it counts from there.
  func allowSilence(milliseconds: Int64) { allowedSilence = milliseconds }

  // MARK: Answers

  func respond(to id: UInt64, _ response: HTTPResponse) {
    guard phase == .working, id == lastRequest, let request else { return }
    guard response.body.count <= server.limits.answerBytes else {
      return respond(to: id, HTTPResponse(status: 500, code: "internal", message: "the answer is too large"))
    }
    closesAfterAnswer = !request.keepsAlive || server.isClosing
    let waiting = server.waitingBytes
    if waiting > 0, waiting + response.body.count > server.limits.waitingBytes {
      server.onNotice(.dropped(.tooMuchWaits))
      return answer(
        HTTPResponse(status: 503, code: "busy", message: "too many answers wait for readers that do not read"),
        to: request)
    }
    answer(response, to: request)
  }

  private func answer(_ response: HTTPResponse, to request: RequestHead?) {
    output += ResponseHeadWriter.bytes(
      status: response.status, contentType: response.contentType, fields: response.fields + server.fields,
      ending: .length(response.body.count), keepsAlive: !closesAfterAnswer, version: request?.version ?? .http11,
      at: .now())
    // RFC 9110 §9.3.2: HEAD is answered as GET is, without the body.
    if request?.method != "HEAD" { output.add(body: response.body) }
    self.request = nil
    phase = .answering
    answerDeadline = server.reactor.now.advanced(milliseconds: server.limits.answerMilliseconds)
    expect(within: server.limits.stallMilliseconds)
    proceed()
  }

  /// Answers something that is no request, or one that is not allowed, and ends the connection: what follows on it
  /// cannot be trusted to be where a request begins.
  func refuse(status: Int, _ message: String) {
    let code =
      switch status {
      case 403: "forbidden"
      case 408: "timeout"
      case 413, 431: "too-large"
      default: "bad-request"
      }
    closesAfterAnswer = true
    body = nil
    // The method is known only where the head was read.
    let head = request
    answer(HTTPResponse(status: status, code: code, message: message), to: head)
  }

  private func refuse(_ failure: BodyCollector.Failure) {
    switch failure {
    case .tooLarge: refuse(status: 413, "the body is over \(server.limits.bodyBytes) bytes")
    case .chunks(let error): refuse(status: 400, error.description)
    }
  }

  func startStream(_ id: UInt64, contentType: String) -> Bool {
    guard phase == .working, id == lastRequest, let request else { return false }
    closesAfterAnswer = true
    output += ResponseHeadWriter.bytes(
      status: 200, contentType: contentType, fields: server.fields, ending: .close, keepsAlive: false,
      version: request.version, at: .now())
    self.request = nil
    phase = .streaming
    if request.method == "HEAD" || server.isClosing { endStream(id) }
    proceed()
    return phase == .streaming
  }

  func send(_ bytes: [UInt8], toStream id: UInt64) -> Bool {
    guard phase == .streaming, id == lastRequest else { return false }
    guard output.ownBytes + bytes.count <= server.limits.streamBytes else {
      close(.tooSlow)
      return false
    }
    output += bytes
    proceed()
    return phase == .streaming
  }

  func endStream(_ id: UInt64) {
    guard phase == .streaming, id == lastRequest else { return }
    phase = .answering
    expect(within: server.limits.stallMilliseconds)
    proceed()
  }

  private func flush() {
    var budget = server.turns == nil ? Self.sendBudget : Self.sendBudgetOfTurn
    while !output.isEmpty, budget > 0 {
      switch output.send(over: descriptor, atMost: budget) {
      case .bytes(let count):
        budget -= count
        if phase == .answering || phase == .streaming { expect(within: server.limits.stallMilliseconds) }
      case .wouldBlock: budget = 0
      case .endOfFile, .failed: return close(.clientLeft)
      }
    }
    if phase == .streaming {
      if output.isEmpty {
        deadline = nil
      } else if deadline == nil {
        expect(within: server.limits.stallMilliseconds)
      }
    }
    output.trim()
  }

  // MARK: The end

  func serverIsClosing() {
    switch phase {
    case .idle, .head, .body, .lingering: close()
    case .answering: closesAfterAnswer = true
    case .streaming: endStream(lastRequest)
    case .working, .closed: break
    }
  }

  private func linger() {
    if hasEnded { return close() }
    descriptor.shutdownWrite()
    phase = .lingering
    input = []
    inputStart = 0
    expect(within: server.limits.lingerMilliseconds)
  }

  func close(_ reason: HTTPServer.StreamEnd = .clientLeft) {
    guard phase != .closed else { return }
    let (last, owed) = (phase, burden == .works || burden == .answers)
    phase = .closed
    if awaitsTurn { server.turns?.forgo(self) }
    deadline = nil
    if let timer { server.reactor.cancel(timer.id) }
    timer = nil
    if let registration { server.reactor.unregister(registration) }
    registration = nil
    descriptor = .none
    (input, inputStart, output) = ([], 0, Outgoing())
    server.connectionEnded(serial)
    switch (last, reason) {
    case (.streaming, _):
      server.onNotice(.streamEnded(ResponseID(connection: serial, request: lastRequest), reason))
    // It has had its answer.
    case (.lingering, _): break
    case (_, .tooSlow): server.onNotice(.dropped(.stalled))
    case (_, .madeRoom): server.onNotice(.dropped(.madeRoom(owed: owed)))
    case (_, .clientLeft), (_, .vanished): break
    }
  }

  // MARK: After each step

  private func expect(within milliseconds: Int64) {
    let limit = server.reactor.now.advanced(milliseconds: milliseconds)
    deadline = phase == .answering ? min(limit, answerDeadline) : limit
  }

  /// Brings what the reactor watches, the timer and the buffers in line with the phase.
  private func settle() {
    guard phase != .closed, !isAdvancing else { return }
    if inputStart == input.count {
      input.removeAll(keepingCapacity: false)
      inputStart = 0
    } else if inputStart >= 16_384 {
      input.removeFirst(inputStart)
      inputStart = 0
    }
    var wanted: Readiness = output.isEmpty ? [] : .writable
    switch phase {
    case .idle, .head, .body, .lingering: wanted.insert(.readable)
    case .streaming: if !server.limits.streamsToHalfClosed { wanted.insert(.readHangUp) }
    case .working, .answering, .closed: break
    }
    if awaitsTurn { wanted = [] }
    if wanted != interest, let registration {
      interest = wanted
      server.reactor.change(registration, to: wanted)
    }
    guard let deadline else { return }
    if let timer {
      if timer.fires <= deadline { return }
      server.reactor.cancel(timer.id)
    }
    // Rounded up, or it would fire just before the deadline and have to be armed again.
    let milliseconds = deadline.milliseconds(since: server.reactor.now) + 1
    timer = (server.reactor.after(milliseconds: milliseconds) { [self] in timeIsUp() }, deadline)
  }
}

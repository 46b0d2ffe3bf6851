public import EventCore
public import LinuxIO

/// A small HTTP/1.1 server for a `Reactor`: for operators, not for traffic.
///
/// Everything belongs to the reactor's thread: making it, calling it, and the closures it calls. Nothing in it waits.
/// It lives until `close`, whoever else holds it.
public final class HTTPServer: ReactorHandler, TurnTaker {
  /// What one client, and all of them together, may cost.
  public struct Limits: Sendable {
    /// Of one head. curl and browsers stay below 2 KiB; nginx and Apache allow 8.
    public var headBytes = 16 * 1024
    /// Of one request's body. The largest that means something is a switch with a long reason.
    public var bodyBytes = 64 * 1024
    /// Of one answer: the sessions of a busy front door, some 300 bytes each.
    public var answerBytes = 64 * 1024 * 1024
    /// Of all answers that wait for their readers; one that several wait for counts once.
    public var waitingBytes = 256 * 1024 * 1024
    /// From the first byte of a request to its last.
    public var requestMilliseconds: Int64 = 10_000
    /// Of silence between requests. Longer than the intervals at which scripts and dashboards ask.
    public var idleMilliseconds: Int64 = 60_000
    /// Without the client taking a byte of its answer.
    public var stallMilliseconds: Int64 = 10_000
    /// For a whole answer: a client that takes a byte now and then is as good as one that takes none.
    public var answerMilliseconds: Int64 = 60_000
    /// For the client to notice that the connection ends after its answer: RFC 9112 §9.6.
    public var lingerMilliseconds: Int64 = 2_000
    /// Queued for the reader of a stream: about a thousand events.
    public var streamBytes = 256 * 1024
    /// Whether a reader of a stream who has sent FIN is still there. On AF_UNIX one who has left is told apart (EPOLLHUP); with TCP
    /// that is known only when something is sent, which may take long.
    public var streamsToHalfClosed = true
    /// At a time. An operator, a pipeline, dashboards; each may cost its limits in memory.
    public var connections = 64
    /// Of these, from one address (IPv6: one /64). AF_UNIX has no addresses: there all are one client.
    public var connectionsOfOne = Int.max
    /// Whether all that clients cause, accepting included, is done in turns that take a fifth of the thread's time at
    /// the most: where everybody may connect. Otherwise each is served at once.
    public var takesTurns = false

    public init() {}
  }

  /// What `admit` says of a new connection.
  public enum Admission: Sendable {
    case allowed(PeerCredentials?)
    /// Answered with 403 and this message.
    case refused(String)
  }

  /// What the owner may want to log or count.
  public enum Notice: Sendable {
    /// A stream ended, and not because its owner ended it. Once for each.
    case streamEnded(ResponseID, StreamEnd)
    /// A client did not get what it came for. Of a stream: `streamEnded`.
    case dropped(Loss)
    /// Accepting failed for want of descriptors or memory and rests for a moment.
    case acceptPaused(Errno)
    /// A connection was refused by `admit`.
    case refused(String)
    /// A connection has ended, for whatever reason: nobody is there to be answered any more.
    case connectionEnded(UInt64)
  }

  public enum StreamEnd: Equatable, Sendable {
    case clientLeft
    /// The client did not read: too much was queued, or nothing of it was taken for too long.
    case tooSlow
    /// Its machine has acknowledged nothing for as long as the kernel waits: tcp(7), keepalive and TCP_USER_TIMEOUT.
    case vanished
    /// Closed to let another client in.
    case madeRoom
  }

  public enum Loss: Equatable, Sendable {
    /// It did not take its answer.
    case stalled
    /// Its connection was closed to let another client in; whether an answer was owed or under way.
    case madeRoom(owed: Bool)
    /// It was turned away: there were too many connections.
    case noRoom
    /// It was turned away: too many answers waited for others.
    case tooMuchWaits
  }

  /// How long accepting rests after EMFILE and the like, instead of spinning: long enough to cost nothing, short enough
  /// for an operator not to notice.
  private static let acceptPauseMilliseconds: Int64 = 100
  /// Accepted in one go before other descriptors have their turn.
  private static let acceptBudget = 16

  let reactor: Reactor
  let limits: Limits
  private let admit: (borrowing Descriptor) -> Admission
  private let handler: (HTTPRequest, ResponseID) -> Void
  /// Called on the reactor's thread, also from within `send` and `respond`.
  public var onNotice: (Notice) -> Void = { _ in }
  /// Of every answer, besides its own.
  public var fields: [(name: String, value: String)] = []
  /// nil: each is served at once.
  let turns: Turns?

  private var listener: Descriptor
  private var registration: Reactor.RegistrationID?
  private var acceptPause: Reactor.TimerID?
  private var awaitsTurn = false
  private var connections: [UInt64: HTTPConnection] = [:]
  private var lastConnection: UInt64 = 0
  private(set) var isClosing = false
  private var closingDeadline: Reactor.TimerID?
  private var onClosed: (() -> Void)?
  /// What every connection receives into; nothing stays here.
  var scratch = [UInt8](repeating: 0, count: 16 * 1024)

  /// Starts serving.
  /// - Parameters:
  ///   - listener: listens already and is non-blocking; of any family.
  ///   - admit: asked once for each connection, before anything is read from it.
  ///   - handler: gets one whole request at a time of each connection. It answers with `respond`, at once or later;
  ///     until then the connection waits, without a time limit of its own.
  public init(
    reactor: Reactor, listener: consuming Descriptor, limits: Limits = Limits(),
    admit: @escaping (borrowing Descriptor) -> Admission = { _ in .allowed(nil) },
    handler: @escaping (HTTPRequest, ResponseID) -> Void
  ) throws(Errno) {
    self.reactor = reactor
    self.listener = listener
    self.limits = limits
    self.admit = admit
    self.handler = handler
    turns = limits.takesTurns ? Turns(on: reactor) : nil
    registration = try reactor.register(self.listener, for: .readable, self)
  }

  /// Connections at present.
  public var connectionCount: Int { connections.count }

  // MARK: Answers

  /// Answers a request. Does nothing where the client has gone or the request was answered before.
  public func respond(to id: ResponseID, _ response: HTTPResponse) {
    connections[id.connection]?.respond(to: id.request, response)
  }

  /// Answers 200 with a body that goes on until `end`, or until the client leaves. Answers whether there is a stream
  /// to send to: not where the client has gone, or asked with HEAD.
  public func respond(streaming id: ResponseID, contentType: String) -> Bool {
    connections[id.connection]?.startStream(id.request, contentType: contentType) ?? false
  }

  /// Queues bytes for a stream. false where the stream is gone, or goes with this for being too slow.
  @discardableResult
  public func send(_ bytes: [UInt8], to id: ResponseID) -> Bool {
    connections[id.connection]?.send(bytes, toStream: id.request) ?? false
  }

  /// Ends a stream: its connection closes once what is queued has been taken.
  public func end(_ id: ResponseID) { connections[id.connection]?.endStream(id.request) }

  /// Counts work for clients that the owner has done by now, where turns are taken. Answers the milliseconds of rest that
  /// are due.
  public func count(nanoseconds worked: UInt64) -> Int64 { turns?.count(nanoseconds: worked) ?? 0 }

  /// Whether a connection has not ended: its end was, or will be, told by `connectionEnded`.
  public func isConnected(_ connection: UInt64) -> Bool { connections[connection] != nil }

  /// Lets a connection be silent between two requests for so long. Until then it is not closed to make room either: its
  /// client is at work, and something waits for it.
  public func allowSilence(on connection: UInt64, milliseconds: Int64) {
    connections[connection]?.allowSilence(milliseconds: milliseconds)
  }

  // MARK: The end

  /// Stops accepting, closes what has no request that is being worked on, ends streams, lets answers leave, and
  /// closes everything at the latest after `milliseconds`. Calls `then` once, when all is closed.
  public func closeWhenFlushed(milliseconds: Int64, then: @escaping () -> Void = {}) {
    guard !isClosing else { return }
    isClosing = true
    stopListening()
    onClosed = then
    closingDeadline = reactor.after(milliseconds: milliseconds) { [self] in close() }
    for connection in connections.values { connection.serverIsClosing() }
    finishClosing()
  }

  /// Closes everything at once.
  public func close() {
    isClosing = true
    stopListening()
    for connection in connections.values { connection.close() }
    finishClosing()
  }

  private func stopListening() {
    if let registration { reactor.unregister(registration) }
    registration = nil
    if let acceptPause { reactor.cancel(acceptPause) }
    acceptPause = nil
    turns?.forgo(self)
    listener = .none
  }

  private func finishClosing() {
    guard isClosing, connections.isEmpty else { return }
    if let closingDeadline { reactor.cancel(closingDeadline) }
    closingDeadline = nil
    let then = onClosed
    onClosed = nil
    then?()
  }

  // MARK: Connections

  /// Of answers that wait for their readers.
  var waitingBytes: Int {
    var bytes = 0
    var shared: [UInt: Int] = [:]
    for connection in connections.values {
      bytes += connection.waitingBytes
      if let body = connection.waitingBody { shared[body.identity] = body.size }
    }
    return shared.values.reduce(bytes, +)
  }

  func handle(_ request: HTTPRequest, _ id: ResponseID) { handler(request, id) }

  func connectionEnded(_ serial: UInt64) {
    connections[serial] = nil
    onNotice(.connectionEnded(serial))
    finishClosing()
  }

  public func ready(_ readiness: Readiness) {
    guard let turns, let registration else { return accept() }
    // Errors are told in spite of it: epoll_ctl(2).
    reactor.change(registration, to: [])
    guard !awaitsTurn else { return }
    awaitsTurn = true
    turns.await(self)
  }

  func takeTurn() {
    awaitsTurn = false
    accept()
    if acceptPause == nil, let registration { reactor.change(registration, to: .readable) }
  }

  private func accept() {
    var client: UInt32 = 0
    for _ in 0..<Self.acceptBudget where acceptPause == nil {
      switch listener.accept(client: &client) {
      case .connection(let descriptor): welcome(descriptor, from: client)
      case .wouldBlock: return
      case .failed(let error):
        // Else of one connection that is gone already: accept(2), "Error handling".
        guard error.isShortage else { continue }
        pauseAccepting(error)
        return
      }
    }
  }

  private func pauseAccepting(_ error: Errno) {
    guard let registration else { return }
    reactor.change(registration, to: [])
    acceptPause = reactor.after(milliseconds: Self.acceptPauseMilliseconds) { [self] in
      acceptPause = nil
      if let registration = self.registration { reactor.change(registration, to: .readable) }
    }
    onNotice(.acceptPaused(error))
  }

  private func welcome(_ descriptor: consuming Descriptor, from client: UInt32) {
    switch verdict(on: client) {
    case .fits: break
    case .instead(of: let serial): connections[serial]?.close(.madeRoom)
    case .noRoom:
      turnAway(descriptor)
      return
    }
    let admission = admit(descriptor)
    lastConnection += 1
    let peer: PeerCredentials?
    if case .allowed(let known) = admission { peer = known } else { peer = nil }
    do throws(Errno) {
      let connection = try HTTPConnection(descriptor, serial: lastConnection, client: client, peer: peer, of: self)
      connections[lastConnection] = connection
      if case .refused(let message) = admission {
        connection.refuse(status: 403, message)
        onNotice(.refused(message))
      }
    } catch {
      // epoll_ctl(2): no memory, or too many watches of this user. The connection is closed already.
      pauseAccepting(error)
    }
  }

  private func verdict(on client: UInt32) -> Crowd.Verdict {
    if connections.count < min(limits.connections, limits.connectionsOfOne) { return .fits }
    let members = connections.map { Crowd.Member(serial: $0.key, client: $0.value.client, burden: $0.value.burden) }
    return Crowd(members: members, limit: limits.connections, limitOfOne: limits.connectionsOfOne).verdict(on: client)
  }

  private static let busy = HTTPResponse(
    status: 503, code: "busy", message: "too many connections are being served")

  /// Tells a client, if it can be told at once, that there is no room for it.
  private func turnAway(_ descriptor: consuming Descriptor) {
    let head = ResponseHeadWriter.bytes(
      status: 503, contentType: Self.busy.contentType, fields: fields, ending: .length(Self.busy.body.count),
      keepsAlive: false, version: .http11, at: .now())
    _ = descriptor.send((head + Self.busy.body)[...])
    onNotice(.dropped(.noRoom))
  }
}

import EventCore
import LinuxIO

/// One probe of one target, from the first connect to the verdict, and a little longer where that is kind to it.
///
/// **How it takes its leave.** A TCP probe holds the handshake's last packet back and resets the connection as soon as
/// the target's kernel has answered (as HAProxy does, too): there is nothing to accept, nothing in a log, no process
/// started for it, and no TIME_WAIT on either side. An HTTP probe has asked for `Connection: close` and waits, after its
/// verdict, for the target to do that: a reset would be an error in many a server's log, and TIME_WAIT stays with the
/// target's listening port, where it costs nothing. Only a target that does not close in time, or that goes on talking,
/// is reset.
final class Probe: ReactorHandler {
  enum Outcome {
    case found(ProbeResult)
    /// This machine could not ask: no descriptor, no free port, no memory. It says nothing of the target.
    case shortage(Errno)
  }

  private enum Stage: Equatable {
    case idle, connecting, sending, receiving
    /// The verdict is known, and the target's FIN is not here yet.
    case leaving
    case ended
  }

  /// Milliseconds before a full AF_UNIX backlog is tried again.
  private static let retryPause: Int64 = 10
  /// For a target to close after its answer.
  private static let leaveTime: Int64 = 1000
  private static let leaveBytes = 256 * 1024
  private static let pieceBytes = 16 * 1024

  private let reactor: Reactor
  private let clock: () -> Instant
  private let addresses: [SocketAddress]
  private let sources: [SocketAddress]
  private let settings: ProbeSettings
  private var request: ArraySlice<UInt8> = []
  private var answer: AnswerReader?
  private let report: (Outcome) -> Void

  private var stage = Stage.idle
  private var socket = Descriptor.none
  private var registration: Reactor.RegistrationID?
  private var timer: Reactor.TimerID?
  private let begin: Instant
  private let deadline: Instant
  private var nextAddress = 0
  private var lastFailure: Finding?
  private var lastShortage: Errno?
  private var bytesToLeave = leaveBytes

  /// - Parameter report: called once, at the earliest in `start`; not after `abandon`.
  init<ID>(
    _ target: ProbeTarget<ID>, on reactor: Reactor, clock: @escaping () -> Instant,
    report: @escaping (Outcome) -> Void
  ) {
    (self.reactor, self.clock, self.report) = (reactor, clock, report)
    (addresses, sources, settings) = (target.addresses, target.sources, target.settings)
    begin = clock()
    deadline = begin.advanced(milliseconds: target.settings.timeout)
    if case .http(let expectation) = target.settings.kind {
      request = Self.request(expectation, name: target.name)[...]
      answer = AnswerReader(expectation)
    }
  }

  func start() { connect() }

  /// Ends it, without a report.
  func abandon() {
    if stage != .ended { close(reset: true) }
  }

  private static func request(_ expectation: HTTPExpectation, name: String) -> [UInt8] {
    // A path, or an address with a zone, is no host.
    let isHost = !name.hasPrefix("unix:") && !name.utf8.contains(UInt8(ascii: "%"))
    let host = expectation.host ?? (isHost ? name : "localhost")
    return Array(
      """
      GET \(expectation.path) HTTP/1.1\r
      Host: \(host)\r
      User-Agent: bgproxy-health\r
      Accept: */*\r
      Connection: close\r
      \r\n
      """.utf8)
  }

  // MARK: Connecting

  /// Tries one address after another until a connect succeeds or is under way.
  private func connect() {
    while nextAddress < addresses.count {
      let address = addresses[nextAddress]
      nextAddress += 1
      switch attempt(address) {
      case .connected:
        connected()
        return
      case .inProgress:
        stage = .connecting
        // An address that keeps silent leaves a fair part of the time to those behind it.
        let share = timeLeft / Int64(addresses.count - nextAddress + 1)
        wait(max(1, share)) { $0.addressFailed(.noAnswer($0.settings.timeout)) }
        return
      case .failed(.wouldBlock) where address.family == .local:
        if waitForBacklog() { return }
      // EAGAIN: no room for another connection in the kernel's tables, connect(2).
      case .failed(let errno) where errno == .addressNotAvailable || errno == .wouldBlock || errno.isShortage:
        lastShortage = errno
      case .failed(let errno): lastFailure = .failed(errno)
      }
    }
    // An address that could be asked says more than one that could not.
    if let lastFailure {
      finish(lastFailure)
    } else if let lastShortage {
      close(reset: true)
      report(.shortage(lastShortage))
    } else {
      finish(.noAddress)
    }
  }

  private func attempt(_ address: SocketAddress) -> Descriptor.ConnectStart {
    let sources = sources.filter { $0.family == address.family }
    guard !sources.isEmpty else { return attempt(address, from: nil) }
    for source in sources {
      let result = attempt(address, from: source)
      if result != .failed(.addressNotAvailable) { return result }
    }
    return .failed(.addressNotAvailable)
  }

  private func attempt(_ address: SocketAddress, from source: SocketAddress?) -> Descriptor.ConnectStart {
    do {
      let socket = try Descriptor.streamSocket(for: address)
      if let source, let errno = socket.bindSource(source) { return .failed(errno) }
      if answer == nil { socket.holdBackAcknowledgment() } else { socket.setNoDelay() }
      let result = socket.connect(to: address)
      if case .failed = result { return result }
      registration = try reactor.register(socket, for: .writable, self)
      self.socket = socket
      return result
    } catch {
      return .failed(error)
    }
  }

  /// AF_UNIX: the backlog is full. The target is there, and busy; one that is busy for the whole time has failed.
  /// - Returns: whether there is time left.
  private func waitForBacklog() -> Bool {
    if timeLeft == 0 {
      lastFailure = .backlogFull(settings.timeout)
      return false
    }
    nextAddress -= 1
    wait(min(Self.retryPause, timeLeft)) { $0.connect() }
    return true
  }

  private func addressFailed(_ finding: Finding) {
    lastFailure = finding
    letGo()
    connect()
  }

  private func connected() {
    if answer == nil {
      finish(.connected)
      return
    }
    wait(max(1, timeLeft)) { probe in
      let limit = probe.settings.timeout
      probe.finish(probe.answer?.isBegun == true ? .noWholeAnswer(limit) : .noAnswer(limit))
    }
    stage = .sending
    send()
  }

  // MARK: Asking

  func ready(_ readiness: Readiness) {
    switch stage {
    case .connecting:
      if let errno = socket.takeError() {
        addressFailed(.failed(errno))
      } else if readiness.contains(.writable) {
        connected()
      }
    case .sending: send()
    case .receiving: receive()
    case .leaving: leave()
    case .idle, .ended: break
    }
  }

  private func send() {
    switch socket.send(request) {
    case .bytes(let count):
      request = request.dropFirst(count)
      if request.isEmpty { awaitAnswer() }
    case .wouldBlock: break
    // The target may have answered before it closed.
    case .endOfFile, .failed: awaitAnswer()
    }
  }

  private func awaitAnswer() {
    stage = .receiving
    if let registration { reactor.change(registration, to: .readable) }
  }

  private func receive() {
    var piece = [UInt8](repeating: 0, count: Self.pieceBytes)
    switch socket.receive(into: &piece) {
    case .bytes(let count):
      if let finding = answer?.take(piece[..<count]) { finish(finding) }
    case .wouldBlock: break
    case .endOfFile: finish(answer?.end() ?? .closedEarly, atEnd: true)
    case .failed(let errno): finish(.failed(errno), atEnd: true)
    }
  }

  // MARK: Ending

  /// - Parameter atEnd: the target has closed already.
  private func finish(_ finding: Finding, atEnd: Bool = false) {
    let result = ProbeResult(finding: finding, latencyMicroseconds: clock().microseconds(since: begin))
    if finding.isOfAnswer && !atEnd { stayForTheEnd() } else { close(reset: !atEnd) }
    report(.found(result))
  }

  private func stayForTheEnd() {
    stage = .leaving
    wait(Self.leaveTime) { $0.close(reset: true) }
  }

  private func leave() {
    var piece = [UInt8](repeating: 0, count: Self.pieceBytes)
    switch socket.receive(into: &piece) {
    case .bytes(let count):
      bytesToLeave -= count
      if bytesToLeave <= 0 { close(reset: true) }
    case .wouldBlock: break
    case .endOfFile, .failed: close(reset: false)
    }
  }

  private func close(reset: Bool) {
    if reset && socket.isOpen { socket.resetOnClose() }
    letGo()
    stage = .ended
  }

  /// Closes the socket and stops waiting.
  private func letGo() {
    if let timer { reactor.cancel(timer) }
    timer = nil
    if let registration { reactor.unregister(registration) }
    registration = nil
    socket = .none
  }

  /// In place of what was waited for before. Nothing keeps a probe alive but its owner and the reactor.
  private func wait(_ milliseconds: Int64, then body: @escaping (Probe) -> Void) {
    if let timer { reactor.cancel(timer) }
    timer = reactor.after(milliseconds: milliseconds) { [weak self] in
      guard let self else { return }
      timer = nil
      body(self)
    }
  }

  private var timeLeft: Int64 { deadline.milliseconds(since: clock()) }
}

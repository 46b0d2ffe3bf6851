import Admin
import Configuration
import LinuxIO
import StatusPage

/// The address for whoever only looks: Prometheus, people with a browser. Nothing that is asked there changes anything.
final class PublicSocket {
  /// Smaller than an operator's: everybody may connect.
  static let limits = {
    var limits = HTTPServer.Limits()
    limits.bodyBytes = 1024
    limits.connections = 32
    limits.answerMilliseconds = 30_000
    limits.waitingBytes = 64 * 1024 * 1024
    limits.streamsToHalfClosed = false
    return limits
  }()
  /// A reader whose machine has gone is found by the kernel: 15 s of silence and five probes without an answer, or 20 s
  /// in which it acknowledges nothing.
  private static let options = TCPOptions(congestion: nil, keepaliveSeconds: 15, userTimeoutMilliseconds: 20_000)

  /// With the port that the kernel chose.
  let address: SocketAddress
  private var listener: Descriptor

  init(at address: Address, _ resolved: [Address: [SocketAddress]]) throws(StartFailure) {
    let opened = try Listening.open(address, resolved: resolved, options: Self.options)
    self.address = opened.address
    listener = opened.takeDescriptor()
  }

  /// For an `HTTPServer` to own. Only the first call gets it.
  func takeListener() -> Descriptor {
    var taken = Descriptor.none
    swap(&taken, &listener)
    return taken
  }

  func removeFile() { Listening.removeFile(at: address) }
}

/// Who has asked for what, and waits. As many as the server has connections, at the most.
struct PublicQueue {
  private var waiting: [(call: AdminCall, readers: [ResponseID])] = []
  private var isBeingServed = false

  /// True: nobody serves the queue at present, and the caller has to.
  mutating func add(_ reader: ResponseID, for call: AdminCall) -> Bool {
    if let index = waiting.firstIndex(where: { $0.call == call }) {
      waiting[index].readers.append(reader)
    } else {
      waiting.append((call, [reader]))
    }
    defer { isBeingServed = true }
    return !isBeingServed
  }

  /// nil: nobody waits any more, and whoever served the queue does not.
  mutating func next() -> (call: AdminCall, readers: [ResponseID])? {
    guard !waiting.isEmpty else {
      isBeingServed = false
      return nil
    }
    return waiting.removeFirst()
  }
}

extension FrontDoor {
  func beginPublic() throws {
    guard let listener = publicSocket?.takeListener() else { return }
    let server = try HTTPServer(
      reactor: reactor, listener: listener, limits: PublicSocket.limits,
      handler: { [self] request, id in look(request, id) })
    server.onNotice = { [self] in received($0, from: .metrics) }
    publicServer = server
  }

  private func look(_ request: HTTPRequest, _ id: ResponseID) {
    if request.path == "/" {
      publicServer?.respond(to: id, page(request))
      return
    }
    do {
      let call = try AdminCall.decode(request, onlyLooking: true)
      if call == .events { return beginEvents(for: Watcher(entrance: .metrics, id: id)) }
      if publicQueue.add(id, for: call) { start { await $0.answerLookers() } }
    } catch {
      publicServer?.respond(to: id, HTTPResponse(error))
    }
  }

  /// Makes one answer after the other, each for all who had asked for it by then, with a rest of four times as long as it took
  /// in between: whoever may connect here, and however often they ask, has a fifth of the control thread at the most.
  private func answerLookers() async {
    while let (call, readers) = publicQueue.next() {
      let begun = Instant.now()
      if let answer = await answer(toLookers: call) {
        for reader in readers { publicServer?.respond(to: reader, answer) }
      }
      let rest = min(Instant.now().milliseconds(since: begun) * 4, Self.longestRest)
      if rest > 0 {
        await withCheckedContinuation { continuation in
          reactor.after(milliseconds: rest) { continuation.resume() }
        }
      }
    }
  }

  private static let longestRest: Int64 = 2000

  private func answer(toLookers call: AdminCall) async -> HTTPResponse? {
    switch call {
    case .status(let recent): HTTPResponse(json: await status(recent: recent))
    case .history: HTTPResponse(json: await historyReport())
    case .metrics: await metrics()
    // What `decode` does not let through, and what is no answer but a stream.
    case .events, .sessions, .health, .config, .switchColor, .rollback, .drain, .reload, .stop, .pause, .resume: nil
    }
  }

  private func page(_ request: HTTPRequest) -> HTTPResponse {
    guard request.method == "GET" || request.method == "HEAD" else {
      return HTTPResponse(
        AdminRefusal(status: 405, code: "method-not-allowed", message: "/ is asked with GET", allow: "GET, HEAD"))
    }
    // 128 bits, so that nobody guesses it: CSP Level 3, §7.1.
    let nonce = (0..<2).map { _ in String(UInt64.random(in: 0 ... .max), radix: 36) }.joined()
    let document = StatusPage.document(nonce: nonce)
    var response = HTTPResponse(status: 200, contentType: "text/html; charset=utf-8", body: document.body)
    response.fields = [
      ("Content-Security-Policy", document.policy), ("X-Content-Type-Options", "nosniff"),
      ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store"),
    ]
    return response
  }
}

extension HTTPResponse {
  init(_ refusal: AdminRefusal) {
    self.init(status: refusal.status, json: refusal.report)
    if let allow = refusal.allow { fields.append((name: "Allow", value: allow)) }
  }
}

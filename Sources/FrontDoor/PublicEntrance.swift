import Admin
import Configuration
import EventCore
import LinuxIO
import StatusPage

/// The address for whoever only looks: Prometheus, people with a browser. Nothing that is asked there changes anything.
final class PublicSocket {
  /// Smaller than an operator's: everybody may connect.
  static let limits = {
    var limits = HTTPServer.Limits()
    limits.bodyBytes = 1024
    limits.connections = 64
    limits.takesTurns = true
    limits.answerMilliseconds = 30_000
    limits.waitingBytes = 64 * 1024 * 1024
    limits.streamsToHalfClosed = false
    return limits
  }()
  /// Of the connections, for one address. What is left is for others.
  private static let connectionsOfOne = 32
  /// Nothing here is for a browser to guess at or to keep: what an error repeats of a request is a text, and what is true now
  /// is not true later.
  private static let fields = [("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")]
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

  /// Starts serving. Only the first call can.
  func serve(
    on reactor: Reactor, handler: @escaping (HTTPRequest, ResponseID) -> Void
  ) throws(Errno) -> HTTPServer {
    var taken = Descriptor.none
    swap(&taken, &listener)
    var limits = Self.limits
    if address.family != .local { limits.connectionsOfOne = Self.connectionsOfOne }
    let server = try HTTPServer(reactor: reactor, listener: taken, limits: limits, handler: handler)
    server.fields = Self.fields
    return server
  }

  /// Why a request is not answered, where that is so.
  ///
  /// At a loopback address a browser may be asked to read for a page from elsewhere, whose owner lets the page's own name lead
  /// to this machine (DNS rebinding); the name is then still in Host. An IP address cannot be led anywhere.
  func refusal(of request: HTTPRequest) -> AdminRefusal? {
    guard address.isLoopback, let host = request.fields.all("host").first, !PublicHost.isTrusted(host) else {
      return nil
    }
    return AdminRefusal(
      status: 421, code: "misdirected", message: "this address is asked by its IP address or as localhost")
  }

  func removeFile() { Listening.removeFile(at: address) }
}

/// The value of a Host field: RFC 9110 §7.2.
enum PublicHost {
  /// Whether it is an IP address or localhost, with or without a port.
  static func isTrusted(_ text: String) -> Bool {
    let hasPort = text.last.map { $0 != "]" } == true && text.contains(":")
    guard case .host(let host, _) = try? Address(hasPort ? text : text + ":80", for: .connecting) else { return false }
    return host.lowercased() == "localhost" || host.contains(":")
      || host.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E }
  }
}

/// Who has asked for what, and waits. As many as the server has connections, at the most.
struct PublicQueue {
  private var waiting: [(call: AdminCall, readers: [ResponseID])] = []
  private var isBeingServed = false

  /// Milliseconds. Recent traffic is given as far back as the first of these that reaches as far as was asked for, or the last:
  /// else nobody would share an answer with readers who each ask for another time.
  private static let reaches: [Int64] = [20_000, 60_000, 300_000, 600_000]

  /// True: nobody serves the queue at present, and the caller has to.
  mutating func add(_ reader: ResponseID, for asked: AdminCall) -> Bool {
    var call = asked
    if case .status(let recent?) = asked {
      call = .status(recent: Self.reaches.first { $0 >= recent } ?? Self.reaches.last)
    }
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
    guard let server = try publicSocket?.serve(on: reactor, handler: { [self] in look($0, $1) }) else { return }
    server.onNotice = { [self] in received($0, from: .metrics) }
    publicServer = server
  }

  private func look(_ request: HTTPRequest, _ id: ResponseID) {
    if let refusal = publicSocket?.refusal(of: request) {
      publicServer?.respond(to: id, HTTPResponse(refusal))
      return
    }
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

  /// Makes one answer after the other, each for all who had asked for it by then, with a rest in between. The time that it takes
  /// counts with what the server does itself for its clients: whoever may connect here, and whatever they send, they have a
  /// fifth of the control thread at the most.
  private func answerLookers() async {
    while let (call, readers) = publicQueue.next() {
      // What is waited for meanwhile costs this thread nothing.
      let begun = ProcessFigures.threadNanoseconds()
      if let answer = await answer(toLookers: call) {
        for reader in readers { publicServer?.respond(to: reader, answer) }
      }
      if let rest = publicServer?.count(nanoseconds: ProcessFigures.threadNanoseconds() - begun), rest > 0 {
        await withCheckedContinuation { continuation in
          reactor.after(milliseconds: rest) { continuation.resume() }
        }
      }
    }
  }

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
    response.fields = [("Content-Security-Policy", document.policy), ("Referrer-Policy", "no-referrer")]
    return response
  }
}

extension SocketAddress {
  /// Whether only this machine reaches it over a network.
  var isLoopback: Bool {
    family == .ipv4 && host.hasPrefix("127.")
      || family == .ipv6 && (host == "::1" || host.hasPrefix("::ffff:127."))
  }
}

extension HTTPResponse {
  init(_ refusal: AdminRefusal) {
    self.init(status: refusal.status, json: refusal.report)
    if let allow = refusal.allow { fields.append((name: "Allow", value: allow)) }
  }
}

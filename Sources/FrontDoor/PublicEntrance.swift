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
      start { await $0.answer(call, toLooker: id) }
    } catch {
      publicServer?.respond(to: id, HTTPResponse(error))
    }
  }

  private func answer(_ call: AdminCall, toLooker id: ResponseID) async {
    let answer: HTTPResponse
    switch call {
    case .status(let recent): answer = HTTPResponse(json: await status(recent: recent))
    case .history: answer = HTTPResponse(json: await historyReport())
    case .metrics: answer = await metrics()
    case .events: return beginEvents(for: Watcher(entrance: .metrics, id: id))
    // What `decode` does not let through.
    case .sessions, .health, .config, .switchColor, .rollback, .drain, .reload, .stop, .pause, .resume: return
    }
    publicServer?.respond(to: id, answer)
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

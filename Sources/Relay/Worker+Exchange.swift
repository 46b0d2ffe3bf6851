import EventCore
import LinuxIO
import Switching

/// Protocol http, where messages end: letting go of a backend, going on with another, and answering in its place.
extension Worker {
  /// Milliseconds for a client that has its last answer to take it and hang up: RFC 9112 §9.6.
  private static let lingerTime: Int64 = 5000
  /// Reads that are thrown away at one wake-up.
  private static let discardBudget = 16

  /// Between two requests: keeps the client, and nothing else.
  ///
  /// The timer stays armed: it fires no later than the idle timeout ends.
  mutating func park(_ token: Token) {
    leaveTarget(token)
    sessions[token].backend = .absent
    sessions[token].exchange.leftBackend()
    sessions[token].dropAdmitted(&lane)
    setPhase(token, .parked)
    leaveColor(token, .moved)
    // A backend that is connected in this tick could be told of what befell the one before it.
    if sessions[token].client.isReadable || sessions[token].inbound.hasHeldBytes { postpone(token) }
  }

  /// A parked session's client did something: ask, most likely.
  mutating func wake(_ token: Token) {
    if sessions[token].inbound.hasHeldBytes {
      admit(token)
      return
    }
    guard sessions[token].client.isReadable else { return }
    switch sessions[token].client.socket.peek() {
    case .bytes: admit(token)
    case .wouldBlock: sessions[token].client.isReadable = false
    case .endOfFile: requestClose(token, .ended, resets: false)
    case .failed: requestClose(token, .ended, resets: true)
    }
  }

  /// The front door stops: the session ends where no request is cut by it. False: one has come, and is served first.
  mutating func endAtBoundary(_ token: Token) -> Bool {
    if sessions[token].inbound.hasHeldBytes { return false }
    if case .bytes = sessions[token].client.socket.peek() { return false }
    requestClose(token, .ended, resets: false)
    return true
  }

  /// Takes the requests that met a close to another connection.
  mutating func sendAgain(_ token: Token) {
    count(token) { $0.retries += 1 }
    park(token)
    sessions[token].sendAgain(&lane)
    postpone(token)
  }

  /// The client has been told that the connection ends. The backend is not needed for that.
  mutating func finish(_ token: Token) {
    leaveTarget(token)
    sessions[token].backend = .absent
    leaveColor(token, .ended)
    linger(token)
  }

  // MARK: Answering in a backend's place

  /// Gives the client the answer that no backend will give; a reset, where it is in the middle of one or does not speak
  /// HTTP.
  mutating func refuse(_ token: Token, _ refusal: Refusal) {
    countAtListener(token, sessions[token].account) { counters in
      switch refusal {
      case .badGateway: counters.unreachable &+= 1
      case .gatewayTimeout: counters.timedOut &+= 1
      case .held: counters.heldTooLong &+= 1
      }
    }
    leaveTarget(token)
    // Its bytes may not have been looked at yet: they tell whether it speaks HTTP at all.
    let hasNoBody = sessions[token].expectsNoBody(&lane)
    guard sessions[token].exchange.canBeAnswered, !sessions[token].outbound.hasHeldBytes,
      sendRefusal(token, refusal, withBody: !hasNoBody)
    else {
      requestClose(token, .ended, resets: refusal != .held)
      return
    }
    // What it has got of the request is not to be taken for a whole one.
    if sessions[token].backend.socket.isOpen { sessions[token].backend.socket.resetOnClose() }
    sessions[token].backend = .absent
    leaveColor(token, .ended)
    linger(token)
  }

  /// False: the client does not take it.
  private func sendRefusal(_ token: Token, _ refusal: Refusal, withBody: Bool) -> Bool {
    let answer = refusal.answer(withBody: withBody)
    let sent = unsafe answer.withUnsafeBytes { unsafe sessions[token].client.socket.send($0) }
    return sent == .bytes(answer.count)
  }

  /// Closing at once over bytes that the client still sends would reset the connection, and the client would lose the
  /// answer: RFC 9112 §9.6.
  private mutating func linger(_ token: Token) {
    sessions[token].client.socket.shutdownWrite()
    sessions[token].inbound.discard(&lane)
    sessions[token].exchange.dropCopy(&lane)
    setPhase(token, .lingering)
    schedule(token, at: loop.now.advanced(milliseconds: Self.lingerTime))
    discardInput(token)
  }

  mutating func discardInput(_ token: Token) {
    for _ in 0..<Self.discardBudget where sessions[token].client.isReadable {
      switch unsafe sessions[token].client.socket.receive(into: lane.scratch) {
      case .bytes: break
      case .wouldBlock: sessions[token].client.isReadable = false
      case .endOfFile:
        requestClose(token, .ended, resets: false)
        return
      case .failed:
        requestClose(token, .ended, resets: true)
        return
      }
    }
    if sessions[token].client.isReadable { postpone(token) }
  }
}

extension Session {
  mutating func dropAdmitted(_ lane: inout Lane) { inbound.dropAdmitted(&lane) }

  mutating func sendAgain(_ lane: inout Lane) { exchange.sendAgain(by: &inbound, &lane) }

  /// Whether the client waits for an answer without a body. Looks at what it has sent, where that was not done yet.
  mutating func expectsNoBody(_ lane: inout Lane) -> Bool {
    var result = exchange.tracker.expectsNoBody
    if exchange.tracker.outstanding > 0 { return result }
    if inbound.hasHeldBytes {
      unsafe inbound.peekHeld { unsafe result = exchange.expectsNoBody($0) }
    } else if client.isReadable, case .bytes(let count) = unsafe client.socket.receive(into: lane.scratch) {
      result = unsafe exchange.expectsNoBody(UnsafeRawBufferPointer(rebasing: lane.scratch[..<count]))
    }
    return result
  }
}

/// An answer in place of a backend's.
enum Refusal {
  /// RFC 9110 §15.6.3: no target could be reached.
  case badGateway
  /// RFC 9110 §15.6.4: a hold took longer than a client waits.
  case held
  /// RFC 9110 §15.6.5: a target did not answer in time.
  case gatewayTimeout

  /// Minimal, and the last on its connection.
  func answer(withBody: Bool) -> [UInt8] {
    let (status, reason, more): (String, String, String) =
      switch self {
      case .badGateway: ("502 Bad Gateway", "no backend could be reached", "")
      case .held: ("503 Service Unavailable", "traffic is held, and this took too long", "Retry-After: 1\r\n")
      case .gatewayTimeout: ("504 Gateway Timeout", "the backend did not answer in time", "")
      }
    let body = "bgproxy: \(reason)\n"
    let head =
      "HTTP/1.1 \(status)\r\nContent-Type: text/plain\r\nContent-Length: \(body.utf8.count)\r\n\(more)"
      + "Connection: close\r\n\r\n"
    return Array((withBody ? head + body : head).utf8)
  }
}

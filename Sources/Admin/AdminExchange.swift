import HTTPFraming
import LinuxIO

/// One request and its answer on a blocking socket. The clock is checked before each call that may wait, so that a
/// server that trickles bytes gets no more time than one that is silent.
final class AdminExchange {
  static let timeIsUp = "no answer in time"
  private static let mostHeadBytes = 16 * 1024

  private var socket: Descriptor
  private let path: String
  /// nil: waits for as long as it takes.
  var deadline: Instant?
  /// Received and not used up.
  private var input: [UInt8] = []
  private var scratch = [UInt8](repeating: 0, count: 16 * 1024)
  /// Whether no byte of an answer has come.
  private(set) var hasNothing = true

  init(_ socket: consuming Descriptor, path: String, deadline: Instant?) {
    self.socket = socket
    self.path = path
    self.deadline = deadline
  }

  var peerUser: UInt32? { try? PeerCredentials(of: socket).uid }

  func takeSocket() -> Descriptor {
    var taken = Descriptor.none
    swap(&taken, &socket)
    return taken
  }

  func send(_ method: String, _ target: String, _ body: [UInt8]) throws(AdminClientError) {
    var head = "\(method) \(target) HTTP/1.1\r\nHost: bgproxy\r\n"
    if method != "GET" { head += "Content-Type: \(AdminJSON.contentType)\r\nContent-Length: \(body.count)\r\n" }
    var rest = (Array((head + "\r\n").utf8) + body)[...]
    while !rest.isEmpty {
      try limitWait()
      switch socket.send(rest) {
      case .bytes(let count): rest = rest.dropFirst(count)
      case .wouldBlock: continue
      // A front door that refuses without reading on may have answered before it closed.
      case .failed(.brokenPipe), .failed(.connectionReset): return
      case .endOfFile: return
      case .failed(let error): throw .noAnswer(path: path, reason: "\(error)")
      }
    }
  }

  func readHead(answering method: String) throws(AdminClientError) -> ResponseHead {
    var scanner = HeadScanner(limit: Self.mostHeadBytes)
    while true {
      switch scanner.scan(input.span) {
      case .incomplete:
        guard try receive() else { throw .noAnswer(path: path, reason: "the connection ended without an answer") }
      case .refused(let error): throw notUnderstood("\(error)")
      case .complete(let length):
        let head: ResponseHead
        do { head = try ResponseHead(input.span.extracting(0..<length), answering: method) } catch {
          throw notUnderstood("\(error)")
        }
        input.removeFirst(length)
        // 1xx comes before the answer proper: RFC 9110 §15.2.
        if head.status >= 200 { return head }
        scanner = HeadScanner(limit: Self.mostHeadBytes)
      }
    }
  }

  func readBody(_ length: BodyLength, limit: Int) throws(AdminClientError) -> [UInt8] {
    do {
      var body = try BodyCollector(length, limit: limit)
      while true {
        var used = 0
        let isWhole = try body.take(input.span, from: &used)
        input.removeFirst(used)
        if isWhole { return body.bytes }
        if try !receive() {
          if body.endsWithConnection { return body.bytes }
          throw AdminClientError.noAnswer(path: path, reason: "the connection ended within the answer")
        }
      }
    } catch let error as AdminClientError {
      throw error
    } catch {
      throw notUnderstood("its body is too large or not framed as HTTP")
    }
  }

  /// The next line of a body that ends with the connection, without its LF; nil at the end.
  func readLine(limit: Int) throws(AdminClientError) -> String? {
    var searched = 0
    while true {
      if let end = input[searched...].firstIndex(of: 0x0A) {
        let line = String(decoding: input[..<end], as: UTF8.self)
        input.removeFirst(end + 1)
        return line
      }
      searched = input.count
      if searched > limit { throw notUnderstood("a line of over \(limit) bytes") }
      // What was begun and not ended is no line.
      guard try receive() else { return nil }
    }
  }

  /// Waits for bytes; false at the end of what the front door sends.
  private func receive() throws(AdminClientError) -> Bool {
    while true {
      try limitWait()
      switch socket.receive(into: &scratch) {
      case .bytes(let count):
        hasNothing = false
        input.append(contentsOf: scratch[..<count])
        return true
      // The time is up, which the check above finds; or a signal came.
      case .wouldBlock: continue
      case .endOfFile, .failed(.connectionReset), .failed(.brokenPipe): return false
      case .failed(let error): throw .noAnswer(path: path, reason: "\(error)")
      }
    }
  }

  private func limitWait() throws(AdminClientError) {
    var milliseconds: Int64 = 0
    if let deadline {
      let now = Instant.now()
      guard now < deadline else { throw .noAnswer(path: path, reason: Self.timeIsUp) }
      milliseconds = deadline.milliseconds(since: now) + 1
    }
    do { try socket.setTimeouts(milliseconds: milliseconds) } catch {
      throw .noAnswer(path: path, reason: "\(error)")
    }
  }

  private func notUnderstood(_ reason: String) -> AdminClientError { .notUnderstood(path: path, reason: reason) }
}

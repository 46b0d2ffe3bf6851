import FoundationEssentials
import HTTPFraming
import LinuxIO

/// Why a call to a front door has no result.
public enum AdminClientError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Nobody answers at the socket: it is missing, refuses, must not be opened, or says nothing in time.
  case noAnswer(path: String, reason: String)
  /// The front door answered with an error.
  case refused(status: Int, ErrorReport)
  /// What answered is no front door, or one of another version.
  case notUnderstood(path: String, reason: String)

  public var description: String {
    switch self {
    case .noAnswer(let path, let reason): "no front door answers at \(path): \(reason)"
    case .refused(_, let report): report.error.message
    case .notUnderstood(let path, let reason): "the answer from \(path) makes no sense: \(reason)"
    }
  }
}

/// Speaks to a front door over its admin socket; every call waits for its answer. For programs that have nothing else
/// to do.
public struct AdminClient: ~Copyable {
  /// A front door with very many sessions lists them in less.
  public static let mostAnswerBytes = 64 * 1024 * 1024
  /// Of one line of a stream: a receipt has about one KiB.
  static let mostLineBytes = 1024 * 1024

  public let path: String
  /// For a whole call, from connecting to the last byte of the answer; 1 or more.
  public let timeoutMilliseconds: Int64
  /// The connection of the last call, where it can be used again.
  private var kept = Descriptor.none
  /// The user of the process that gave the last answer, as the kernel knows it: of the one that listens at the socket.
  public private(set) var peerUser: UInt32?

  public init(path: String, timeoutMilliseconds: Int64 = 5000) {
    self.path = path
    self.timeoutMilliseconds = max(1, timeoutMilliseconds)
  }

  /// A whole answer of whatever status.
  public struct Answer: Equatable, Sendable {
    public var status: Int
    public var body: [UInt8]
  }

  /// Asks and decodes what a 2xx answer holds.
  public mutating func get<Value: Decodable>(_ target: String, as type: Value.Type) throws(AdminClientError) -> Value {
    try decode(type, try call("GET", target))
  }

  /// Orders and decodes what a 2xx answer holds.
  public mutating func post<Value: Decodable>(_ target: String, _ body: some Encodable, as type: Value.Type)
    throws(AdminClientError) -> Value
  {
    let bytes: [UInt8]
    do { bytes = try AdminJSON.line(body) } catch {
      throw .notUnderstood(path: path, reason: "the request cannot be written as JSON")
    }
    return try decode(type, try call("POST", target, body: bytes))
  }

  /// How a call is made.
  public enum Manner: Sendable {
    /// The answer comes within the timeout.
    case prompt
    /// The answer comes when something has come to its end, however long that takes.
    case patient
    /// As `patient`, and on the connection of the call before: the front door knows the client by it.
    case following
  }

  /// One request and its answer, which is not looked into: for `--json`.
  public mutating func call(
    _ method: String, _ target: String, body: [UInt8] = [], _ manner: Manner = .prompt
  ) throws(AdminClientError) -> Answer {
    let deadline = Instant.now().advanced(milliseconds: timeoutMilliseconds)
    var old = Descriptor.none
    swap(&old, &kept)
    if manner == .following {
      guard old.isOpen else { throw .noAnswer(path: path, reason: "the connection has ended") }
      return try run(AdminExchange(old, path: path, deadline: nil), method, target, body)
    }
    // A connection that was kept may have been closed by the front door meanwhile. Asking twice is harmless, ordering
    // twice is not: so orders get a connection of their own.
    if old.isOpen, method == "GET" {
      let exchange = AdminExchange(old, path: path, deadline: deadline)
      do throws(AdminClientError) {
        return try run(exchange, method, target, body)
      } catch {
        guard exchange.hasNothing else { throw error }
      }
    }
    let exchange = try connect(until: deadline)
    if manner == .patient { exchange.deadline = nil }
    return try run(exchange, method, target, body)
  }

  /// Reads a stream of lines, without a limit of time once it has begun, until it ends or `each` answers false.
  public func lines(of target: String, _ each: (String) -> Bool) throws(AdminClientError) {
    let exchange = try connect(until: Instant.now().advanced(milliseconds: timeoutMilliseconds))
    try exchange.send("GET", target, [])
    let head = try exchange.readHead(answering: "GET")
    guard head.status == 200 else {
      throw refusal(Answer(status: head.status, body: try exchange.readBody(head.body, limit: Self.mostAnswerBytes)))
    }
    exchange.deadline = nil
    while let line = try exchange.readLine(limit: Self.mostLineBytes) {
      if !each(line) { return }
    }
  }

  private func connect(until deadline: Instant) throws(AdminClientError) -> AdminExchange {
    do throws(Errno) {
      let left = max(1, deadline.milliseconds(since: .now()))
      let socket = try Descriptor.connectWaiting(path: path, timeoutMilliseconds: left)
      return AdminExchange(socket, path: path, deadline: deadline)
    } catch {
      // AF_UNIX: the front door's queue stayed full for the whole time.
      throw .noAnswer(path: path, reason: error == .wouldBlock ? AdminExchange.timeIsUp : "\(error)")
    }
  }

  private mutating func run(_ exchange: AdminExchange, _ method: String, _ target: String, _ body: [UInt8])
    throws(AdminClientError) -> Answer
  {
    peerUser = exchange.peerUser
    try exchange.send(method, target, body)
    let head = try exchange.readHead(answering: method)
    let answer = Answer(status: head.status, body: try exchange.readBody(head.body, limit: Self.mostAnswerBytes))
    if head.keepsAlive { kept = exchange.takeSocket() }
    return answer
  }

  private func decode<Value: Decodable>(_ type: Value.Type, _ answer: Answer) throws(AdminClientError) -> Value {
    guard (200..<300).contains(answer.status) else { throw refusal(answer) }
    do { return try AdminJSON.decode(type, from: answer.body) } catch {
      throw .notUnderstood(path: path, reason: "it is no \(type)")
    }
  }

  private func refusal(_ answer: Answer) -> AdminClientError {
    let report = try? AdminJSON.decode(ErrorReport.self, from: answer.body)
    return .refused(
      status: answer.status, report ?? ErrorReport(code: "unknown", message: "HTTP status \(answer.status)"))
  }
}

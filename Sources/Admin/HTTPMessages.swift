public import HTTPFraming
public import LinuxIO

/// One whole request, as the handler of an `HTTPServer` gets it.
public struct HTTPRequest: Sendable {
  public var method: String
  /// As sent, not decoded, without scheme and authority; `*` and what CONNECT names stay what they are.
  public var path: String
  /// What follows the first `?` of the target; nil where there is none.
  public var query: String?
  public var fields: Fields
  /// Never over the server's limit.
  public var body: [UInt8]
  /// Who sent it, where the socket is AF_UNIX and the server's `admit` asked.
  public var peer: PeerCredentials?

  init(_ head: RequestHead, body: [UInt8], peer: PeerCredentials?) {
    (method, fields) = (head.method, head.fields)
    (self.body, self.peer) = (body, peer)
    (path, query) = Self.parts(of: head.target)
  }

  /// Origin-form, and absolute-form, which a server must accept too: RFC 9112 §3.2.
  static func parts(of target: String) -> (path: String, query: String?) {
    var rest = Substring(target)
    for scheme in ["http://", "https://"] where rest.lowercased().hasPrefix(scheme) {
      rest = rest.dropFirst(scheme.count).drop { $0 != "/" && $0 != "?" }
      if !rest.hasPrefix("/") { rest = "/" + rest }
    }
    guard let mark = rest.firstIndex(of: "?") else { return (String(rest), nil) }
    return (String(rest[..<mark]), String(rest[rest.index(after: mark)...]))
  }
}

/// Names one request that waits for its answer, and the stream that the answer may be. A plain value: it can wait in
/// any task, and one whose client has gone names nothing any more, which is no error.
public struct ResponseID: Hashable, Sendable {
  public let connection: UInt64
  let request: UInt64
}

/// A whole answer.
public struct HTTPResponse: Sendable {
  /// 200 ... 599
  public var status: Int
  public var contentType: String
  public var body: [UInt8]
  /// Besides those that the server writes itself: Content-Type, Content-Length, Connection, Date, and its `fields`.
  public var fields: [(name: String, value: String)] = []

  public init(status: Int, contentType: String, body: [UInt8]) {
    (self.status, self.contentType, self.body) = (status, contentType, body)
  }

  /// A text for people or scripts.
  public init(status: Int = 200, text: String) {
    self.init(status: status, contentType: "text/plain; charset=utf-8", body: Array(text.utf8))
  }

  /// A value as JSON, one line.
  public init(status: Int = 200, json value: some Encodable) {
    do {
      self.init(status: status, contentType: AdminJSON.contentType, body: try AdminJSON.line(value))
    } catch {
      // A number that JSON cannot write: a fault in the program, which is no reason to leave the client without answer.
      self.init(
        status: 500, contentType: AdminJSON.contentType,
        body: Array(#"{"error":{"code":"internal","message":"the answer cannot be written as JSON"}}"#.utf8) + [0x0A])
    }
  }

  /// An error in the form that every error of the admin channel has.
  public init(status: Int, code: String, message: String) {
    self.init(status: status, json: ErrorReport(code: code, message: message))
  }
}

/// The bytes of an answer's head.
struct ResponseHeadWriter {
  enum Ending {
    case length(Int)
    /// The end of the connection is the end of the body.
    case close
  }

  /// - Parameters:
  ///   - version: of the request: a client of HTTP/1.0 must be told that the connection stays (RFC 9112 §9.3).
  ///   - clock: the time for the Date field (RFC 9110 §6.6.1).
  static func bytes(
    status: Int, contentType: String, fields: [(name: String, value: String)], ending: Ending, keepsAlive: Bool,
    version: Version, at clock: WallTime
  ) -> [UInt8] {
    var head = "HTTP/1.1 \(status) \(reason(status))\r\nDate: \(httpDate(clock))\r\n"
    head += "Content-Type: \(fieldValue(contentType))\r\n"
    // RFC 9110 §8.6: no Content-Length with 204.
    if case .length(let count) = ending, status != 204 { head += "Content-Length: \(count)\r\n" }
    for field in fields { head += "\(field.name): \(fieldValue(field.value))\r\n" }
    if !keepsAlive {
      head += "Connection: close\r\n"
    } else if version == .http10 {
      head += "Connection: keep-alive\r\n"
    }
    return Array((head + "\r\n").utf8)
  }

  /// Without what could end the line: a value may come from a file or a client.
  static func fieldValue(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
  }

  /// `Sun, 06 Nov 1994 08:49:37 GMT`: IMF-fixdate, RFC 9110 §5.6.7.
  static func httpDate(_ clock: WallTime) -> String {
    let seconds = clock.microseconds / 1_000_000
    let days = seconds / 86_400
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][Int((days % 7 + 7) % 7)]
    // "1994-11-06T08:49:37.000Z"
    let parts = clock.description.split { "-T:.Z".contains($0) }
    guard parts.count == 7, let month = Int(parts[1]), (1...12).contains(month) else { return "" }
    let name = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month - 1]
    return "\(weekday), \(parts[2]) \(name) \(parts[0]) \(parts[3]):\(parts[4]):\(parts[5]) GMT"
  }

  /// RFC 9110 §15; clients ignore it, people who read a trace do not.
  static func reason(_ status: Int) -> String {
    switch status {
    case 200: "OK"
    case 204: "No Content"
    case 400: "Bad Request"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 413: "Content Too Large"
    case 417: "Expectation Failed"
    case 421: "Misdirected Request"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"
    case 503: "Service Unavailable"
    case 505: "HTTP Version Not Supported"
    default: "Status \(status)"
    }
  }
}

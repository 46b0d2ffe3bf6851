import Arguments
public import Switching

/// One call of the admin channel, understood and checked as far as that is possible without knowing the front door.
public enum AdminCall: Equatable, Sendable {
  /// With the traffic of so many milliseconds; nil: without.
  case status(recent: Int64?)
  /// nil: of both colors.
  case sessions(Color?)
  case history, health, config, events, metrics
  case switchColor(SwitchRequest)
  case rollback(RollbackRequest)
  case drain(DrainRequest)
  case reload, stop
  case pause(PauseRequest)
  case resume
}

/// Why a request is no call, and how to answer it.
public struct AdminRefusal: Error, Equatable, Sendable {
  public var status: Int
  public var report: ErrorReport
  /// With 405: what the path can be asked with (RFC 9110 §15.5.6).
  public var allow: String?

  public init(status: Int, code: String, message: String, allow: String? = nil) {
    self.status = status
    report = ErrorReport(code: code, message: message)
    self.allow = allow
  }

  static func notFound(_ path: String) -> AdminRefusal {
    AdminRefusal(status: 404, code: "not-found", message: "there is no \(quoted(path))")
  }

  static func badRequest(_ message: String) -> AdminRefusal {
    AdminRefusal(status: 400, code: "bad-request", message: message)
  }
}

extension AdminCall {
  private enum Verb: String {
    case get = "GET"
    case post = "POST"
  }

  private static let paths: [String: Verb] = [
    "/v1/status": .get, "/v1/sessions": .get, "/v1/history": .get, "/v1/health": .get,
    "/v1/config": .get, "/v1/events": .get, "/metrics": .get,
    "/v1/switch": .post, "/v1/rollback": .post, "/v1/drain": .post, "/v1/reload": .post, "/v1/stop": .post,
    "/v1/pause": .post, "/v1/resume": .post,
  ]

  /// What a request asks for.
  /// - Parameters:
  ///   - query: what follows the `?`; nil where there is none.
  ///   - body: whole; an empty one counts as `{}`.
  public static func decode(method: String, path: String, query: String?, body: [UInt8]) throws(AdminRefusal)
    -> AdminCall
  {
    guard let verb = paths[path] else {
      throw .notFound(path)
    }
    // HEAD is GET whose answer has no body: RFC 9110 §9.3.2.
    guard method == verb.rawValue || verb == .get && method == "HEAD" else {
      let allow = verb == .get ? "GET, HEAD" : "POST"
      throw AdminRefusal(
        status: 405, code: "method-not-allowed", message: "\(path) is asked with \(verb.rawValue)", allow: allow)
    }
    var parameters = try Parameters(query)
    let call = verb == .get ? try ask(path, &parameters) : try order(path, AdminBody(body))
    try parameters.finish()
    return call
  }

  /// What can be asked where everybody may connect.
  private static let pathsToLookAt: Set<String> = ["/v1/status", "/v1/history", "/v1/events", "/metrics"]

  /// A call of a request that a server has received.
  /// - Parameter onlyLooking: whether there is nothing but what everybody may see.
  public static func decode(_ request: HTTPRequest, onlyLooking: Bool = false) throws(AdminRefusal) -> AdminCall {
    if onlyLooking, !pathsToLookAt.contains(request.path) { throw .notFound(request.path) }
    return try decode(method: request.method, path: request.path, query: request.query, body: request.body)
  }

  private static func ask(_ path: String, _ parameters: inout Parameters) throws(AdminRefusal) -> AdminCall {
    switch path {
    case "/v1/sessions":
      guard let name = parameters.take("color") else { return .sessions(nil) }
      guard let color = Color(rawValue: name) else { throw .badRequest("color: expected blue or green") }
      return .sessions(color)
    case "/v1/history": return .history
    case "/v1/health": return .health
    case "/v1/config": return .config
    case "/v1/events": return .events
    case "/metrics": return .metrics
    default:
      guard let text = parameters.take("recent") else { return .status(recent: nil) }
      guard let milliseconds = parseDuration(text) else {
        throw .badRequest("recent: expected a duration such as 30s or 5m")
      }
      return .status(recent: milliseconds)
    }
  }

  private static func order(_ path: String, _ body: AdminBody) throws(AdminRefusal) -> AdminCall {
    var body = body
    let call: AdminCall
    switch path {
    case "/v1/switch":
      guard let color = try body.color("to") else { throw .badRequest("to: missing; expected blue or green") }
      call = .switchColor(try switchRequest(to: color, &body))
    case "/v1/pause": call = .pause(PauseRequest(wait: try body.flag("wait"), max: try body.text("max")))
    case "/v1/resume": call = .resume
    case "/v1/rollback":
      call = .rollback(
        RollbackRequest(
          drain: try body.text("drain"), reason: try body.text("reason"), force: try body.flag("force")))
    case "/v1/drain":
      let request = DrainRequest(extend: try body.text("extend"), now: try body.flag("now"))
      if request.extend != nil, request.now == true { throw .badRequest("extend and now exclude each other") }
      call = .drain(request)
    case "/v1/reload": call = .reload
    default: call = .stop
    }
    try body.finish()
    return call
  }

  private static func switchRequest(to color: Color, _ body: inout AdminBody) throws(AdminRefusal) -> SwitchRequest {
    var request = SwitchRequest(
      to: color, drain: try body.text("drain"), expect: try body.color("expect"), dryRun: try body.flag("dryRun"),
      reason: try body.text("reason"))
    request.handover = try body.flag("handover")
    request.during = try body.flag("during")
    request.proceed = try body.flag("proceed")
    request.force = try body.flag("force")
    request.bake = try body.text("bake")
    request.ramp = try body.steps("ramp")
    if let bake = request.bake, let problem = SwitchRequest.problem(withBake: bake) {
      throw .badRequest("bake: \(problem)")
    }
    if let ramp = request.ramp, let problem = RampStep.problem(with: ramp) { throw .badRequest("ramp: \(problem)") }
    if request.handover != true, request.during == true || request.proceed != nil {
      throw .badRequest("during and proceed belong to a handover")
    }
    if request.during == true, request.proceed != nil { throw .badRequest("during and proceed exclude each other") }
    if request.handover == true, request.ramp != nil { throw .badRequest("ramp and handover exclude each other") }
    return request
  }

  /// The parameters of a query. Nothing the channel asks for needs percent-encoding, so none is understood.
  private struct Parameters {
    private var left: [(name: Substring, value: Substring)] = []

    init(_ query: String?) throws(AdminRefusal) {
      for part in (query ?? "").split(separator: "&") {
        let pieces = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = pieces[0]
        if left.contains(where: { $0.name == name }) {
          throw .badRequest("the parameter \(quoted(name)) is there twice")
        }
        left.append((name, pieces.count > 1 ? pieces[1] : ""))
      }
    }

    mutating func take(_ name: String) -> String? {
      guard let index = left.firstIndex(where: { $0.name == name }) else { return nil }
      return String(left.remove(at: index).value)
    }

    func finish() throws(AdminRefusal) {
      if let first = left.first { throw .badRequest("unknown parameter \(quoted(first.name))") }
    }
  }
}

/// A client's text in a message: short, and nothing in it can pass for something else.
func quoted(_ text: some StringProtocol) -> String {
  let scalars = text.unicodeScalars.prefix(60).map { scalar in
    isPrintable(scalar) && scalar != "\n" && scalar != "\t" ? Character(scalar) : "?"
  }
  return "\"" + String(scalars) + (text.unicodeScalars.count > 60 ? "…\"" : "\"")
}

/// Whether a scalar may stand in a text for people: line ends and tabs may, what controls a terminal (C0, DEL, C1) and
/// what reorders a line (the bidirectional controls) may not.
func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.value {
  case 0x09, 0x0A: true
  case 0..<0x20, 0x7F..<0xA0, 0x202A...0x202E, 0x2066...0x2069: false
  default: true
  }
}

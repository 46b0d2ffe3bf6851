import Admin

/// Any bytes as the target and body of an admin request: each is understood or refused, nothing traps, and what was
/// understood survives being written and read again.

private let paths = [
  "/v1/status", "/v1/sessions", "/v1/history", "/v1/config", "/v1/events", "/v1/switch", "/v1/rollback", "/v1/drain",
  "/v1/reload", "/v1/stop", "/v1/pause", "/v1/resume", "/v1/health", "/metrics",
]

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzAdminRequest(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count >= 2 else { return 0 }
  let bytes = Array(UnsafeBufferPointer(start: data, count: count))
  let method = ["GET", "POST", "HEAD", "PUT"][Int(bytes[0] >> 6)]
  let choice = Int(bytes[0] & 63)
  let rest = Array(bytes[2...])
  if choice < paths.count {
    // The second byte: how much of the rest is the query.
    let query = rest.prefix(Int(bytes[1]) / 4)
    let text = query.isEmpty ? nil : String(decoding: query, as: UTF8.self)
    check(method, paths[choice], text, Array(rest.dropFirst(query.count)))
  } else {
    check(method, String(decoding: rest, as: UTF8.self), nil, [])
  }
  return 0
}

private func check(_ method: String, _ path: String, _ query: String?, _ body: [UInt8]) {
  do throws(AdminRefusal) {
    let call = try AdminCall.decode(method: method, path: path, query: query, body: body)
    let again: [UInt8]?
    switch call {
    case .switchColor(let request): again = try? AdminJSON.line(request)
    case .rollback(let request): again = try? AdminJSON.line(request)
    case .drain(let request): again = try? AdminJSON.line(request)
    case .pause(let request): again = try? AdminJSON.line(request)
    case .status, .sessions, .history, .health, .config, .events, .metrics, .resume, .reload, .stop: return
    }
    guard let again else { preconditionFailure("a call that cannot be written: \(call)") }
    let reread = try? AdminCall.decode(method: method, path: path, query: nil, body: again)
    precondition(reread == call, "\(call) became \(reread as Any)")
  } catch {
    precondition((400...499).contains(error.status) && !error.report.error.message.isEmpty)
    precondition(error.report.error.message.utf8.count < 1000)
    precondition((error.status == 405) == (error.allow != nil))
  }
}

import Admin

/// The admin channel over the Unix socket.
final class FrontDoorChannel: Channel {
  private var client: AdminClient

  var peerUser: UInt32? { client.peerUser }

  init(socket: String, timeoutMilliseconds: Int64) {
    client = AdminClient(path: socket, timeoutMilliseconds: timeoutMilliseconds)
  }

  func call(
    _ method: String, _ path: String, _ body: [UInt8], _ manner: AdminClient.Manner
  ) throws(Failure) -> [UInt8] {
    let answer: AdminClient.Answer
    do { answer = try client.call(method, path, body: body, manner) } catch { throw Failure(error, path) }
    if (200..<300).contains(answer.status) { return answer.body }
    guard let report = try? AdminJSON.decode(ErrorReport.self, from: answer.body) else {
      throw Failure(exitCode: .refused, message: "\(path) answered with HTTP status \(answer.status)")
    }
    throw .refused(report, json: answer.body)
  }

  func stream(_ path: String, _ take: (String) throws(Failure) -> Bool) throws(Failure) {
    var failure: Failure?
    do throws(AdminClientError) {
      try client.lines(of: path) { line in
        do throws(Failure) { return try take(line) } catch {
          failure = error
          return false
        }
      }
    } catch { throw Failure(error, path) }
    if let failure { throw failure }
  }
}

extension Failure {
  fileprivate init(_ error: AdminClientError, _ path: String) {
    switch error {
    case .noAnswer: self = .unreachable("\(error)")
    case .refused(status: _, let report): self = .refused(report, json: [])
    case .notUnderstood: self = .incomprehensible(path)
    }
  }
}

import Admin
import LinuxIO

/// Asks the front door for its status each second. On a thread of its own, so that the keys work while it does not
/// answer.
final class TopFeed: Sendable {
  struct Answer: Sendable {
    let result: Result<StatusReport, Failure>
    /// Seconds since 1970.
    let at: Double
  }

  /// With all that live views begin with.
  static let wholePath = "/v1/status?recent=10m"
  /// Enough where the answer before was a moment ago.
  private static let briefPath = "/v1/status?recent=10s"
  private static let briefSeconds: Int64 = 8
  private static let period: Int64 = 1000

  /// Told when there are answers.
  let wakeUp: WakeUp
  private let answers = Protected<[Answer]>([])

  init() throws(Errno) { wakeUp = try WakeUp() }

  /// Until the process ends.
  func start(socket: String, timeoutMilliseconds: Int64) throws(Errno) {
    _ = try LoopThread(name: "status") { [self] in
      let channel = FrontDoorChannel(socket: socket, timeoutMilliseconds: timeoutMilliseconds)
      // The caller has had an answer just now.
      var lastAnswer = Instant.now()
      pause(since: lastAnswer)
      while true {
        let asked = Instant.now()
        let isBrief = asked.milliseconds(since: lastAnswer) < Self.briefSeconds * 1000
        let result: Result<StatusReport, Failure>
        do throws(Failure) {
          result = .success(try channel.get(isBrief ? Self.briefPath : Self.wholePath, StatusReport.self).content)
          lastAnswer = .now()
        } catch { result = .failure(error) }
        answers.withLock { $0.append(Answer(result: result, at: Double(WallTime.now().microseconds) / 1e6)) }
        wakeUp.signal()
        pause(since: asked)
      }
    }
  }

  private func pause(since start: Instant) {
    Process.pause(milliseconds: UInt32(max(50, Self.period - Instant.now().milliseconds(since: start))))
  }

  /// What has come since the last time, in its order.
  func take() -> [Answer] {
    wakeUp.drain()
    return answers.withLock { answers in
      defer { answers = [] }
      return answers
    }
  }
}

public import LinuxIO

/// What a probe, or a connection of real traffic, has found a target to be like.
public enum Finding: Equatable, Sendable {
  case connected
  case status(Int)

  case noAddress
  /// The system call's word: connecting, sending or receiving.
  case failed(Errno)
  /// In so many milliseconds.
  case noAnswer(Int64)
  /// An answer that was begun has not ended in so many milliseconds.
  case noWholeAnswer(Int64)
  /// AF_UNIX: for so many milliseconds.
  case backlogFull(Int64)
  /// The connection ended before an answer, or in the middle of its head.
  case closedEarly
  case notHTTP
  case headTooLong
  case unexpectedStatus(Int, expected: [ClosedRange<Int>])
  /// The body, or as much of it as is looked at, has ended without the text.
  case textMissing(String)
  case brokenBody

  public var passed: Bool {
    switch self {
    case .connected, .status: true
    case .noAddress, .failed, .noAnswer, .noWholeAnswer, .backlogFull, .closedEarly, .notHTTP, .headTooLong,
      .unexpectedStatus, .textMissing, .brokenBody:
      false
    }
  }

  /// The target has spoken HTTP, whatever it said.
  var isOfAnswer: Bool {
    switch self {
    case .status, .unexpectedStatus, .textMissing: true
    case .connected, .noAddress, .failed, .noAnswer, .noWholeAnswer, .backlogFull, .closedEarly, .notHTTP,
      .headTooLong, .brokenBody:
      false
    }
  }

  /// For people, on one line: `connected`, `200`, `connection refused`.
  public var text: String {
    switch self {
    case .connected: "connected"
    case .status(let status): "\(status)"
    case .noAddress: "has no address at present"
    case .failed(let errno): lowercasedStart(errno.description)
    case .noAnswer(let limit): "no answer within \(duration(limit))"
    case .noWholeAnswer(let limit): "no whole answer within \(duration(limit))"
    case .backlogFull(let limit): "the backlog was full for \(duration(limit))"
    case .closedEarly: "the connection was closed before an answer"
    case .notHTTP: "the answer is not HTTP/1"
    case .headTooLong: "the head of the answer is longer than \(AnswerReader.headLimit / 1024) KiB"
    case .unexpectedStatus(let status, let expected): "expected status \(ranges(expected)), got \(status)"
    case .textMissing(let text): "the body does not contain \"\(text)\""
    case .brokenBody: "the chunks of the body are broken"
    }
  }

  /// For people, about a target: `10.0.0.3:80 refused the connection`.
  public func sentence(about name: String) -> String {
    switch self {
    case .failed(.connectionRefused): "\(name) refused the connection"
    case .noAddress: "\(name) \(text)"
    case .connected, .status, .failed, .noAnswer, .noWholeAnswer, .backlogFull, .closedEarly, .notHTTP, .headTooLong,
      .unexpectedStatus, .textMissing, .brokenBody:
      "\(name): \(text)"
    }
  }
}

/// `1s` or `1500ms`, as in the configuration.
private func duration(_ milliseconds: Int64) -> String {
  milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms"
}

/// `200,204,300-399`, as in the configuration.
private func ranges(_ statuses: [ClosedRange<Int>]) -> String {
  statuses.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
}

private func lowercasedStart(_ text: String) -> String { text.prefix(1).lowercased() + text.dropFirst() }

/// A finding and how long it took.
public struct ProbeResult: Equatable, Sendable {
  public let finding: Finding
  /// From the start of the probe; nil where it was none, but real traffic.
  public let latencyMicroseconds: Int64?

  public init(finding: Finding, latencyMicroseconds: Int64?) {
    (self.finding, self.latencyMicroseconds) = (finding, latencyMicroseconds)
  }

  public var passed: Bool { finding.passed }
  public var text: String { finding.text }
}

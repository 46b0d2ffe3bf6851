import LinuxIO

public enum LogLevel: Int, Sendable, Comparable, CaseIterable {
  case error, warning, info, debug
  public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }

  public var name: String {
    switch self {
    case .error: "error"
    case .warning: "warning"
    case .info: "info"
    case .debug: "debug"
    }
  }

  public init?(name: String) {
    guard let level = LogLevel.allCases.first(where: { $0.name == name }) else { return nil }
    self = level
  }
}

public enum LogFormat: String, Sendable, CaseIterable { case text, json }

/// One structured line an event, to a descriptor (standard error), from any thread.
///
/// A caller never waits for the reader of the log: lines go through a bounded queue to a thread of their own. What does
/// not fit is dropped and counted, and a line says so once there is room again.
public final class Log: Sendable {
  private struct Queue {
    var lines: [String] = []
    var dropped = 0
    var allDropped: UInt64 = 0
    var isWriting = false
  }

  /// Enough for a burst, little enough memory that a reader that hangs harms nobody.
  private static let capacity = 4096

  private let level: LogLevel
  private let format: LogFormat
  private let queue = Protected(Queue())
  private let wakeUp: WakeUp

  /// - Parameter descriptor: where lines go; it stays the caller's and must stay open.
  public init(level: LogLevel, format: LogFormat, descriptor: Int32 = 2) throws(Errno) {
    self.level = level
    self.format = format
    wakeUp = try WakeUp()
    let epoll = try Epoll(capacity: 1)
    try epoll.add(wakeUp.descriptor.number, .readable, token: 0)
    // Moved into the thread's closure as a number: the epoll lives as long as the log, which is the process.
    let waiter = LogWaiter(epoll)
    _ = try LoopThread(name: "log") { [self] in
      while true {
        waiter.wait()
        wakeUp.drain()
        writeAll(to: descriptor)
      }
    }
  }

  public func error(_ event: String, _ fields: KeyValuePairs<String, LogValue> = [:]) { write(.error, event, fields) }
  public func warning(_ event: String, _ fields: KeyValuePairs<String, LogValue> = [:]) {
    write(.warning, event, fields)
  }
  public func info(_ event: String, _ fields: KeyValuePairs<String, LogValue> = [:]) { write(.info, event, fields) }
  public func debug(_ event: String, _ fields: KeyValuePairs<String, LogValue> = [:]) { write(.debug, event, fields) }

  /// Written whatever the level is: who has changed what, and what others wait for.
  public func always(_ event: String, _ fields: some Sequence<(key: String, value: LogValue)>) {
    put(.info, event, fields)
  }

  public func write(_ level: LogLevel, _ event: String, _ fields: some Sequence<(key: String, value: LogValue)>) {
    guard level <= self.level else { return }
    put(level, event, fields)
  }

  private func put(_ level: LogLevel, _ event: String, _ fields: some Sequence<(key: String, value: LogValue)>) {
    let line = LogLine.render(format, time: .now(), level: level, event: event, fields)
    queue.withLock { queue in
      if queue.lines.count < Self.capacity {
        queue.lines.append(line)
      } else {
        queue.dropped += 1
        queue.allDropped += 1
      }
    }
    wakeUp.signal()
  }

  /// Lines that did not fit, since the start.
  public var lost: UInt64 { queue.withLock { $0.allDropped } }

  /// Waits until everything has been handed to the kernel, or the time is over; at the end of the process.
  public func flush(withinMilliseconds limit: Int64) {
    let deadline = Instant.now().advanced(milliseconds: limit)
    while Instant.now() < deadline {
      if queue.withLock({ $0.lines.isEmpty && !$0.isWriting }) { return }
      Process.pause(milliseconds: 1)
    }
  }

  private func writeAll(to descriptor: Int32) {
    while true {
      let (lines, dropped) = queue.withLock { queue in
        defer {
          queue.isWriting = !queue.lines.isEmpty || queue.dropped > 0
          queue.lines = []
          queue.dropped = 0
        }
        return (queue.lines, queue.dropped)
      }
      if lines.isEmpty && dropped == 0 { return }
      var text = lines.joined()
      if dropped > 0 {
        text += LogLine.render(
          format, time: .now(), level: .warning, event: "log-lines-lost", [(key: "count", value: .int(Int64(dropped)))])
      }
      // A log that nobody can read any more is no reason to stop serving.
      try? Process.write(Array(text.utf8), to: descriptor)
    }
  }
}

/// Lets the log's thread own its epoll.
private final class LogWaiter: @unchecked Sendable {
  private let epoll: Epoll
  init(_ epoll: consuming Epoll) { self.epoll = epoll }
  func wait() { _ = try? epoll.wait(milliseconds: -1) }
}

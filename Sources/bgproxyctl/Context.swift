import Admin
import Arguments

/// What every verb works with.
struct Context {
  let arguments: ParsedArguments
  let channel: any Channel
  /// Its path.
  let socket: String
  /// Who runs this program.
  let user: UInt32
  let paint: Palette
  let clock: Clock
  let commands: any CommandRunner
  let progress: Progress

  var waits: Bool { arguments.has(Command.Options.wait) }

  func status() throws(Failure) -> Answer<StatusReport> { try channel.get("/v1/status", StatusReport.self) }
  func history() throws(Failure) -> Answer<HistoryReport> { try channel.get("/v1/history", HistoryReport.self) }
}

/// Time, so that tests need not wait.
struct Clock {
  /// Seconds since 1970.
  let now: () -> Double
  let sleep: (_ milliseconds: UInt32) -> Void
}

/// Where the progress of a wait goes.
struct Progress {
  enum Style { case none, lines, bar }
  let style: Style
  let paint: Palette
  let write: (String) -> Void
}

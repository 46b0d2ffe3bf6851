import Admin
import Arguments

/// What every verb works with.
struct Context {
  let arguments: ParsedArguments
  let channel: any Channel
  let paint: Palette
  let clock: Clock
  let commands: any CommandRunner
  let progress: Progress

  func status() throws(Failure) -> Answer<StatusReport> { try channel.get("/v1/status", StatusReport.self) }
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

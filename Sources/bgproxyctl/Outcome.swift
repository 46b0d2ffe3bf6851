import Admin

/// What the caller's script learns.
enum ExitCode: Int32 {
  case done = 0
  case refused = 1
  case usage = 2
  case unreachable = 3
  /// The drain ended before every session had, and some were closed.
  case closedSessions = 4
  /// The release did not hold, and the front door took it back.
  case takenBack = 5
}

/// What a verb has to say at its end.
struct Reply {
  var text: String
  /// The answer of the front door, for `--json`.
  var json: [UInt8]
  var exitCode = ExitCode.done
  /// For people, beside the text: it goes to standard error.
  var notice: String?

  /// The notice is then an error, which is told in any case.
  var isFailure: Bool { exitCode == .refused || exitCode == .takenBack }
}

/// Why a verb did not come to its end.
struct Failure: Error, Equatable {
  let exitCode: ExitCode
  let message: String
  /// The error as the front door wrote it, for `--json`.
  var json: [UInt8] = []

  static func refused(_ report: ErrorReport, json: [UInt8]) -> Failure {
    Failure(exitCode: .refused, message: "refused: \(escaped(report.error.message))", json: json)
  }

  static func unreachable(_ message: String) -> Failure { Failure(exitCode: .unreachable, message: message) }

  static func incomprehensible(_ path: String) -> Failure {
    Failure(
      exitCode: .refused, message: "the answer to \(path) is not understood: is the front door's version another?")
  }
}

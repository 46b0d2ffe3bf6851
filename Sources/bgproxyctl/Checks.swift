import Admin
import Switching

/// The operator's commands around a switch: those before it can stop it, those after it can undo it. They run here, one
/// after another, the configured ones first.
struct Checks {
  private(set) var before: [String]
  private(set) var after: [String]

  /// What is asked for; asks the front door for its configuration.
  init(_ context: Context) throws(Failure) {
    let configured = try context.channel.get("/v1/config", Configuration.self).content.checks
    (before, after) = (configured?.before ?? [], configured?.after ?? [])
    if !before.isEmpty || !after.isEmpty { try Self.refuseStranger(context) }
    before += context.arguments.values(of: Command.Options.before)
    after += context.arguments.values(of: Command.Options.after)
  }

  /// The one thing of the configuration that matters here, whatever else a front door of another version has in it.
  private struct Configuration: Decodable {
    struct Checks: Decodable {
      let before: [String]?
      let after: [String]?
    }
    let checks: Checks?
  }

  /// Who answers at the socket names commands that would run with the rights of who asks. Root may do that anyway, and
  /// the same user has no other rights; anybody else may not.
  private static func refuseStranger(_ context: Context) throws(Failure) {
    let peer = context.channel.peerUser
    if peer == 0 || peer == context.user { return }
    let owner = peer.map { "uid \($0)" } ?? "a user that is not known"
    throw Failure(
      exitCode: .refused,
      message:
        "the front door's configuration has checks, and commands are taken only from root or from the same user: "
        + "this is a front door of \(owner), and bgproxyctl runs as uid \(context.user); nothing was done")
  }
}

/// A check that did not end well.
struct FailedCheck: Equatable {
  let command: String
  /// `exit code 3`.
  let problem: String

  /// Short enough for a reason, and without what a reason must not have.
  var name: String {
    let text = escaped(command).unicodeScalars
    return text.count <= 200 ? String(text) : String(text.prefix(200)) + "…"
  }
}

/// Runs the checks of one stage until one fails; nil: none did.
struct CheckRunner {
  /// Seconds that one check may take.
  static let timeLimit = 600.0

  let context: Context
  let environment: [(name: String, value: String)]

  init(_ status: StatusReport, to color: Color, _ context: Context) {
    self.context = context
    environment = Self.environment(status, to: color, context)
  }

  func run(_ commands: [String], _ stage: String) throws(Failure) -> FailedCheck? {
    for command in commands {
      if context.progress.style != .none {
        context.progress.write("check \(stage) the switch: \(FailedCheck(command: command, problem: "").name)\n")
      }
      if let problem = try run(command) { return FailedCheck(command: command, problem: problem) }
    }
    return nil
  }

  /// nil: it ended well.
  private func run(_ command: String) throws(Failure) -> String? {
    let running = try context.commands.start(command, environment)
    let end = context.clock.now() + Self.timeLimit
    while true {
      if let code = running.exitCode() { return code == 0 ? nil : "exit code \(code)" }
      if context.clock.now() >= end {
        running.end(within: CommandPace.patience, context.clock)
        return "no end within \(Units.duration(seconds: Self.timeLimit))"
      }
      context.clock.sleep(CommandPace.milliseconds)
    }
  }

  /// Every name is set, so that nothing is left of what the caller's own environment has under it.
  private static func environment(
    _ status: StatusReport, to color: Color, _ context: Context
  ) -> [(name: String, value: String)] {
    let previews = status.listeners.map { (name: $0.name, address: $0.preview.map(connectable) ?? "") }
    var environment = [
      (name: "BGPROXY_FROM", value: color.other.rawValue), (name: "BGPROXY_TO", value: color.rawValue),
      (name: "BGPROXY_PREVIEW", value: previews.first { !$0.address.isEmpty }?.address ?? ""),
      (name: "BGPROXY_SOCKET", value: context.socket),
      (name: "BGPROXY_REASON", value: context.arguments.value(of: Command.Options.reason) ?? ""),
    ]
    for preview in previews {
      let name = "BGPROXY_PREVIEW_" + variableName(preview.name)
      // Of two listeners whose names differ in a dot or dash only, the first has it.
      if environment.contains(where: { $0.name == name && !$0.value.isEmpty }) { continue }
      environment.append((name: name, value: preview.address))
    }
    return environment
  }

  private static func variableName(_ name: String) -> String {
    String(
      name.unicodeScalars.map { scalar in
        let isWord = ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar)
        return isWord ? Character(scalar) : "_"
      }
    ).uppercased()
  }

  /// Where all addresses of the machine are listened at, the one that can be connected to from here.
  private static func connectable(_ address: String) -> String {
    for (wildcard, loopback) in [("0.0.0.0:", "127.0.0.1:"), ("[::]:", "[::1]:"), (":", "127.0.0.1:")]
    where address.hasPrefix(wildcard) {
      return loopback + address.dropFirst(wildcard.count)
    }
    return address
  }
}

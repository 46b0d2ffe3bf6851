import Arguments
import Configuration
import Switching
import Telemetry

/// What the command line of `bgproxy` says. Addresses are as given; the configuration understands them.
struct BgproxyOptions: Equatable, Sendable {
  /// nil: the default file, unless `listen` or `demo` make one unnecessary.
  var config: String?
  var listen: String?
  var blue: [String] = []
  var green: [String] = []
  var `protocol`: String?
  /// `blue` or `green`.
  var active: String?
  var preview: String?
  var demo = false
  var check = false
  var socket: String?
  var state: String?
  var metrics: String?
  /// 1...256; nil: one for each processor.
  var workers: Int?
  /// `error`, `warning`, `info` or `debug`.
  var logLevel = "info"
  /// `text` or `json`.
  var logFormat = "text"
  /// Print the completion of this program for a shell.
  var completion: CompletionShell?
  var version = false
  var help = false

  static func completionText(for shell: CompletionShell) -> String {
    Table.program.completion(for: shell, printedBy: "\(Table.program.name) \(Table.completion.name) \(shell.rawValue)")
  }
  static let helpText = Table.program.help()
  static let versionText = "\(Table.program.name) \(bgproxyVersion)\n"

  /// Reads arguments without the program's own name.
  static func parse(_ arguments: [String]) throws(UsageError) -> BgproxyOptions {
    let parsed = try Table.program.parse(arguments)
    var options = BgproxyOptions()
    options.help = parsed.wantsHelp
    options.version = parsed.has(.version)
    options.completion = parsed.value(of: Table.completion).flatMap(CompletionShell.init(rawValue:))
    if options.help || options.version || options.completion != nil { return options }
    try refuseContradictions(parsed)
    options.config = parsed.value(of: Table.config)
    options.listen = parsed.value(of: Table.listen)
    options.blue = parsed.values(of: Table.blue)
    options.green = parsed.values(of: Table.green)
    options.protocol = parsed.value(of: Table.protocol)
    options.active = parsed.value(of: Table.active)
    options.preview = parsed.value(of: Table.preview)
    options.demo = parsed.has(Table.demo)
    options.check = parsed.has(Table.check)
    options.socket = parsed.value(of: Table.socket)
    options.state = parsed.value(of: Table.state)
    options.metrics = parsed.value(of: Table.metrics)
    options.workers = parsed.number(of: Table.workers)
    options.logLevel = parsed.value(of: Table.logLevel) ?? options.logLevel
    options.logFormat = parsed.value(of: Table.logFormat) ?? options.logFormat
    return options
  }

  /// The listener comes from one place: a file, `--listen`, or the demo.
  private static func refuseContradictions(_ parsed: ParsedArguments) throws(UsageError) {
    let ofListener = [Table.listen, Table.blue, Table.green, Table.protocol, Table.preview]
    if parsed.has(Table.demo), let other = ([Table.config, Table.check] + ofListener).first(where: parsed.has) {
      throw Table.program.usageError("--demo and \(other.name) exclude each other")
    }
    if parsed.has(Table.config), let other = ofListener.first(where: parsed.has) {
      throw Table.program.usageError("--config and \(other.name) exclude each other: listeners are in the file")
    }
    if parsed.has(Table.listen), let missing = [Table.blue, Table.green].first(where: { !parsed.has($0) }) {
      throw Table.program.usageError("--listen needs \(missing.name)")
    }
    if !parsed.has(Table.listen), let orphan = ofListener.first(where: parsed.has) {
      throw Table.program.usageError("\(orphan.name) needs --listen")
    }
  }

  private enum Table {
    static let config = Option("--config", "config file; default /etc/bgproxy/bgproxy.json5", takes: .file("FILE"))
    static let listen = Option("--listen", "accept sessions here; no config file is needed", takes: .text("ADDR"))
    static let blue = Option("--blue", "a target of blue; may be repeated", takes: .text("ADDR"), isRepeatable: true)
    static let green = Option("--green", "a target of green; may be repeated", takes: .text("ADDR"), isRepeatable: true)
    static let `protocol` = Option(
      "--protocol", "tcp (the default) relays anything; http moves between two requests",
      takes: .choice(of: ListenerProtocol.self))
    static let active = Option(
      "--active", "the active color where there is no state file yet, or a damaged one",
      takes: .choice(of: Color.self))
    static let preview = Option("--preview", "lead to the idle color here", takes: .text("ADDR"))
    static let demo = Option("--demo", "two sample backends and a front door on 127.0.0.1:8080, preview on :8081")
    static let check = Option("--check", "validate the configuration and exit")
    static let socket = Option("--socket", "admin socket", takes: .file("PATH"))
    static let state = Option("--state", "state file", takes: .file("PATH"))
    static let metrics = Option(
      "--metrics", "serve metrics and the status page here, to everybody who can connect", takes: .text("ADDR"))
    static let workers = Option(
      "--workers", "worker threads, at most 256; default: one for each processor", takes: .number(1...256))
    static let logLevel = Option(
      "--log-level", "what is logged beside changes, which always are; default info",
      takes: .choice(LogLevel.allCases.map(\.name)))
    static let logFormat = Option("--log-format", "how it is logged; default text", takes: .choice(of: LogFormat.self))
    static let completion = Option(
      "--completion", "print the completion for this shell and exit", takes: .choice(of: CompletionShell.self))

    static let program = Program(
      name: "bgproxy",
      summary:
        "A front door for two environments, blue and green: relays TCP and HTTP to the active one, and switches at once.",
      usage: [
        "[--config FILE] [OPTION]...", "--listen ADDR --blue ADDR --green ADDR [OPTION]...", "--demo [OPTION]...",
        "--check [--config FILE]",
      ],
      options: [
        config, listen, blue, green, `protocol`, active, preview, demo, check, socket, state, metrics, workers,
        logLevel, logFormat, completion, .help, .version,
      ],
      notes: [
        "ADDR is host:port, [v6]:port, :port (all addresses) or unix:/path. Options override the config file, save",
        "--active. bgproxyctl operates a running front door.",
      ],
      examples: [
        "bgproxy --demo", "bgproxy --listen :80 --blue 10.0.0.2:80 --green 10.0.0.3:80",
        "bgproxy --check --config bgproxy.json5",
      ])
  }
}

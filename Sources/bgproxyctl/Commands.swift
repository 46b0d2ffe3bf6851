import Arguments
import Switching

/// The verbs of `bgproxyctl`.
enum Command: String, CaseIterable {
  case status, `switch`, rollback, pause, resume, drain, sessions, health, history, config, watch, top, reload, stop
  case completion, help

  static let program = Program(
    name: "bgproxyctl",
    summary: "Operates a running bgproxy: shows its state, switches between blue and green, and goes back.",
    usage: ["VERB [OPTION]..."],
    verbs: allCases.map(\.verb) + notBuilt.map(Verb.notBuilt),
    options: Options.everywhere,
    examples: ["bgproxyctl status", "bgproxyctl switch green --wait --reason 'release 42'", "bgproxyctl rollback"])

  enum Options {
    static let json = Option("--json", "print the answer of the front door as JSON")
    static let socket = Option(
      "--socket", "admin socket of the front door; else BGPROXY_SOCKET, else the default", takes: .file("PATH"))
    static let timeout = Option("--timeout", "how long an answer may take; default 5s", takes: .duration)
    static let quiet = Option("--quiet", "print errors only, and what --json asks for")
    static let noColor = Option("--no-color", "plain text on a terminal too")
    static let everywhere = [json, socket, timeout, quiet, noColor, .help, .version]

    static let wait = Option("--wait", "wait until ramp, bake and drain have ended, and show their progress")
    static let drainWindow = Option(
      "--drain", "how long sessions of the old color may run on; else as configured", takes: .duration)
    static let expect = Option("--expect", "refuse if another color is active", takes: .choice(of: Color.self))
    static let dryRun = Option("--dry-run", "say what would happen and change nothing")
    static let reason = Option("--reason", "why, for the receipt and the history", takes: .remark("TEXT"))
    static let handover = Option(
      "--handover", "the two colors never serve at the same time: hold, wait for what runs, switch")
    static let during = Option(
      "--during", "with --handover: run CMD here while nothing serves; if it fails, the old color goes on",
      takes: .file("CMD"))
    static let force = Option(
      "--force", "to a color that is not healthy too; with --handover: cut what has not ended in time")
    static let forceBack = Option("--force", "to a color that is not healthy too")
    static let bake = Option(
      "--bake", "watch the new color for so long, and take it back if it fails; default: as configured",
      takes: .duration)
    static let ramp = Option(
      "--ramp", "first only a share of the clients, for some time each: 10%:1m,50%:1m", takes: .text("STEPS"))
    static let before = Option(
      "--before", "run CMD here first; if it fails, nothing is switched; may be repeated", takes: .file("CMD"),
      isRepeatable: true)
    static let after = Option(
      "--after", "run CMD here once the switch is in force; if it fails, roll back; may be repeated",
      takes: .file("CMD"), isRepeatable: true)
    static let waitForDrain = Option("--wait", "wait until the drain has ended, and show its progress")
    static let waitForQuiet = Option("--wait", "wait until no work is in flight")
    static let longest = Option(
      "--max", "how long it may last; then traffic resumes by itself; default 30s", takes: .duration)
    static let extend = Option("--extend", "give the drain more time", takes: .duration)
    static let now = Option("--now", "end the drain at once: what is left is reset")
    static let color = Option("--color", "only the sessions of this color", takes: .choice(of: Color.self))
  }

  private var verb: Verb {
    switch self {
    case .status:
      Verb(
        rawValue, "show what is active, what drains, and the sessions of each listener and target",
        examples: ["bgproxyctl status", "bgproxyctl status --json"])
    case .switch:
      Verb(
        rawValue, "make a color active, on all listeners at once, and print the receipt",
        details: [
          "When it has returned, every new session goes to the new color, and that is on disk. Sessions of the old\n"
            + "color run on until they end or until the end of the drain.",
          """
          A handover holds new sessions and requests, and waits for those that run. It is given up one second before
          the shorter of the drain and the hold timeout ends: then traffic goes on with the old color, and the exit
          code is 1. CMD has BGPROXY_FROM, BGPROXY_TO and BGPROXY_UNTIL in its environment.
          """,
          """
          With --bake the front door watches the new color: healthy targets, connections that fail or are reset, server
          errors, the time to the first byte. Where one gets worse than with the old color, by more than the
          configuration allows, it goes back by itself, whether anybody waits or not. The drain begins when the bake is
          over. With --ramp each step is watched so, and the switch comes after the last one.
          """,
          """
          Checks are commands that run here: checks.before of the configuration and then each --before, one after the
          other; later checks.after and then each --after. Each has 10 minutes, and in its environment BGPROXY_FROM,
          BGPROXY_TO, BGPROXY_PREVIEW (the first preview address, which leads to the idle color),
          BGPROXY_PREVIEW_<LISTENER> for each listener, BGPROXY_SOCKET and BGPROXY_REASON. An interrupt ends the check
          with bgproxyctl; what is switched by then stays. --dry-run runs those before the switch, too. Those of the
          configuration run only if the front door is root's or your own.
          """,
          """
          Exit code 0: done, also when the color was active already. 1: refused, a check failed, or somebody rolled back
          while --wait waited. 2: usage. 3: no front door answers. 4, with --wait: the drain ended before every session
          had, and some were closed. 5, with --wait: the release failed, and traffic is back where it was.
          """,
        ],
        positional: Positional("COLOR", .choice(of: Color.self)),
        options: [
          Options.wait, Options.drainWindow, Options.expect, Options.dryRun, Options.reason, Options.handover,
          Options.during, Options.bake, Options.ramp, Options.before, Options.after, Options.force,
        ],
        examples: [
          "bgproxyctl switch green --wait --drain 30s --reason 'release 42'",
          "bgproxyctl switch green --expect blue --dry-run",
          "bgproxyctl switch green --handover --during './wait-for-replica.sh'",
          "bgproxyctl switch green --wait --ramp 10%:1m,50%:5m --bake 10m",
          "bgproxyctl switch green --before 'curl -fsS http://$BGPROXY_PREVIEW/health' --after ./smoke-test.sh",
        ])
    case .rollback:
      Verb(
        rawValue, "undo the last switch, once, and print the receipt",
        details: [
          "Sessions that still drain become active again, untouched. After a rollback there is nothing to roll back:\n"
            + "another one says so, changes nothing and exits 0.",
          "During a handover, a ramp or a bake it gives that up. It is refused only where the color that it leads to is\n"
            + "not healthy and the other one is; with --force not even then.",
        ],
        options: [Options.waitForDrain, Options.drainWindow, Options.forceBack, Options.reason],
        examples: ["bgproxyctl rollback --reason 'errors at checkout'", "bgproxyctl rollback --force"])
    case .pause:
      Verb(
        rawValue, "hold the traffic: accept new sessions and requests and have them wait",
        details: [
          "Clients wait until `resume`, until --max is over, or for timeouts.hold at most; then they are answered with\n"
            + "503 (protocol http) or closed (tcp). A switch in a pause applies to all that wait."
        ],
        options: [Options.waitForQuiet, Options.longest],
        examples: ["bgproxyctl pause --wait --max 20s"])
    case .resume: Verb(rawValue, "end a pause: what waits goes on", examples: ["bgproxyctl resume"])
    case .drain:
      Verb(
        rawValue, "show the progress of the drain, give it more time, or end it",
        options: [Options.extend, Options.now],
        examples: ["bgproxyctl drain", "bgproxyctl drain --extend 30s", "bgproxyctl drain --now"])
    case .sessions:
      Verb(
        rawValue, "list the open sessions", options: [Options.color], examples: ["bgproxyctl sessions --color blue"])
    case .health:
      Verb(
        rawValue, "show how each target is probed, what the last probe found, and since when",
        details: [
          "A color is healthy while each listener has a healthy target of it. \"against it\" counts the results in a row\n"
            + "that speak for the contrary: as many as the configured rise or fall change it."
        ],
        examples: ["bgproxyctl health", "bgproxyctl health --json"])
    case .history:
      Verb(rawValue, "list the receipts of past switches, the oldest first", examples: ["bgproxyctl history"])
    case .config:
      Verb(rawValue, "show the configuration in force", examples: ["bgproxyctl config"])
    case .watch:
      Verb(
        rawValue, "print events as they happen, one a line, until interrupted",
        details: [
          "It ends with exit code 0 when the front door stops, and with 3 when the events end without a stop: the front\n"
            + "door was killed, say, or has dropped a reader that does not read."
        ],
        examples: ["bgproxyctl watch", "bgproxyctl watch --json | jq .event"])
    case .top:
      Verb(
        rawValue, "a live view in the terminal: both colors, what is under way, targets, events",
        details: [
          "Needs a terminal; elsewhere `status` and `watch` tell the same. The colors are bars of the open sessions, and\n"
            + "rates are of the last second. q quits, p freezes the view, ? explains the other keys and the columns."
        ],
        examples: ["bgproxyctl top", "bgproxyctl top --no-color"])
    case .reload:
      Verb(rawValue, "read the config file again; an error in it changes nothing", examples: ["bgproxyctl reload"])
    case .stop:
      Verb(rawValue, "stop accepting, drain, and end the front door", examples: ["bgproxyctl stop"])
    case .completion: Completion.verb
    case .help:
      Verb(
        rawValue, "show the help of a verb",
        positional: Positional(
          "VERB", .choice(Self.allCases.map(\.rawValue), later: Self.notBuilt), isRequired: false),
        examples: ["bgproxyctl help switch"])
    }
  }

  private static let notBuilt = ["upgrade"]
}

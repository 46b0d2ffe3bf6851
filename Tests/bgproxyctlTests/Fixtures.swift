import Admin
import Arguments
import Switching

@testable import bgproxyctl

let plain = Palette(isOn: false)
let painted = Palette(isOn: true)

func receipt(
  _ generation: UInt64 = 2, from: Color = .blue, reason: String? = nil, settled: Bool = false,
  _ change: (inout Receipt) -> Void = { _ in }
) -> Receipt {
  var receipt = Receipt(
    generation: generation, from: from, to: from.other, at: "2026-01-31T10:00:00.000Z", by: Requester(uid: 0, pid: 99),
    reason: reason)
  (receipt.flipMicroseconds, receipt.persistMicroseconds, receipt.persisted) = (4, 900, true)
  receipt.settled = settled
  change(&receipt)
  return receipt
}

/// At 2026-01-31T10:02:05Z it is 125 seconds old.
let now = 1_769_853_725.0

func status(
  _ active: Color = .green, generation: UInt64 = 2, last: Receipt? = receipt(), drain: DrainReport? = nil,
  bake: BakeReport? = nil, ramp: RampReport? = nil, pid: Int32 = 42
) -> StatusReport {
  let counts = ColorReport(
    healthy: nil, sessions: 3, draining: 0, idle: 1, busy: 1, opaque: 0, accepted: 120, requests: 950,
    connectFailures: 0, resets: 1, idleCloses: 0, retries: 0, bytesIn: 2048, bytesOut: 10)
  let targets = ByColor(
    blue: [TargetReport(address: "10.0.0.2:80", healthy: true, sessions: 3)],
    green: [TargetReport(address: "unix:/run/app.sock", healthy: false, sessions: 0)])
  var share = ByColor(both: ramp.map { $0.steps[$0.step - 1].percent } ?? 0)
  share[active] = 100 - share[active]
  return StatusReport(
    version: "0.1.0", pid: pid, startedAt: "2026-01-31T09:00:00.000Z", active: active, previous: active.other,
    generation: generation, switchedAt: "2026-01-31T10:00:00.000Z",
    phase: ramp != nil ? .ramping : bake != nil ? .baking : drain == nil ? .steady : .draining, share: share,
    colors: ByColor(both: counts), held: 0, parked: 0, hold: nil, drain: drain, bake: bake, ramp: ramp,
    lastSwitch: last,
    splice: SpliceReport(pipes: 1, limit: 32, bytes: 5_000_000_000),
    listeners: [ListenerReport(name: "web", bind: "0.0.0.0:80", protocol: "tcp", preview: nil, targets: targets)])
}

let drainUnderWay = DrainReport(deadline: "2026-01-31T10:02:17.500Z", remaining: 3, initial: 40)

let serverErrors = SignalReport(signal: "serverErrors", value: 0.012, limit: 0.05, samples: 340, clients: 3)
let health = SignalReport(signal: "health", value: 0, limit: 0, samples: 0, clients: nil)

/// Of green, half over.
let bakeUnderWay = BakeReport(
  color: .green, since: "2026-01-31T10:01:05.000Z", until: "2026-01-31T10:03:05.000Z", signals: [health, serverErrors])

/// To green, in its first step.
let rampUnderWay = RampReport(
  to: .green, step: 1, steps: [RampStep(percent: 10, time: "1m"), RampStep(percent: 50, time: "1m")],
  since: "2026-01-31T10:01:50.000Z", until: "2026-01-31T10:02:50.000Z", signals: [health])

/// Blue is active, and a part of the clients goes to green.
func ramping(_ generation: UInt64 = 1, pid: Int32 = 42) -> StatusReport {
  status(.blue, generation: generation, last: nil, ramp: rampUnderWay, pid: pid)
}

/// Green was active, and the front door has taken it back.
func takenBack(_ generation: UInt64 = 3) -> Receipt {
  receipt(generation, from: .green, reason: "v2") {
    $0.automatic = true
    $0.cause = Receipt.Cause(signal: .serverErrors, value: 0.125, limit: 0.05)
  }
}

/// A front door that answers from a list. The last answer of a path is given again and again.
final class ScriptedChannel: Channel {
  private var answers: [String: [Result<[UInt8], Failure>]] = [:]
  private(set) var asked: [String] = []
  private(set) var bodies: [String] = []
  private(set) var manners: [AdminClient.Manner] = []
  var events: [String] = []
  var peerUser: UInt32? = 0

  func answer(_ path: String, _ content: some Encodable) throws {
    answers[path, default: []].append(.success(try AdminJSON.line(content)))
  }

  func fail(_ path: String, _ failure: Failure) { answers[path, default: []].append(.failure(failure)) }

  /// What was sent to a path.
  func sent<Content: Decodable>(_ path: String, _ content: Content.Type) throws -> [Content] {
    try zip(asked, bodies).filter { $0.0 == "POST \(path)" }.map {
      try AdminJSON.decode(content, from: Array($0.1.utf8))
    }
  }

  func call(
    _ method: String, _ path: String, _ body: [UInt8], _ manner: AdminClient.Manner
  ) throws(Failure) -> [UInt8] {
    asked.append("\(method) \(path)")
    manners.append(manner)
    bodies.append(String(decoding: body, as: UTF8.self))
    // A configuration that names no checks.
    if path == "/v1/config", answers[path] == nil { return Array("{}".utf8) }
    guard let next = answers[path]?.first else { throw .unreachable("nothing is scripted for \(path)") }
    if (answers[path]?.count ?? 0) > 1 { answers[path]?.removeFirst() }
    return try next.get()
  }

  func stream(_ path: String, _ take: (String) throws(Failure) -> Bool) throws(Failure) {
    for event in events where try !take(event) { return }
  }
}

/// Commands that end after so many looks, or when they are told to.
final class ScriptedCommands: CommandRunner {
  final class Running: RunningCommand {
    private var looksLeft: Int
    private let code: Int32
    private let ignoresTerm: Bool
    private(set) var signals: [String] = []

    init(_ looks: Int, _ code: Int32, ignoresTerm: Bool) {
      (looksLeft, self.code, self.ignoresTerm) = (looks, code, ignoresTerm)
    }

    func exitCode() -> Int32? {
      if signals.contains("KILL") { return 137 }
      if signals.contains("TERM"), !ignoresTerm { return 143 }
      looksLeft -= 1
      return looksLeft < 0 ? code : nil
    }

    func terminate() { signals.append("TERM") }
    func kill() { signals.append("KILL") }
  }

  var looks = 0
  var code: Int32 = 0
  /// Of single commands.
  var codes: [String: Int32] = [:]
  var ignoresTerm = false
  /// Told of each command when it has started.
  var onStart: () -> Void = {}
  private(set) var started: [String] = []
  private(set) var environment: [String: String] = [:]
  private(set) var last: Running?

  func start(_ command: String, _ environment: [(name: String, value: String)]) throws(Failure) -> any RunningCommand {
    started.append(command)
    for (name, value) in environment { self.environment[name] = value }
    let running = Running(looks, codes[command] ?? code, ignoresTerm: ignoresTerm)
    last = running
    onStart()
    return running
  }
}

/// What a verb wrote while it waited, and a clock that only its waiting moves.
final class Stage {
  let channel = ScriptedChannel()
  let commands = ScriptedCommands()
  private(set) var progress = ""
  private(set) var time = now

  func context(_ arguments: String..., style: Progress.Style = .lines) throws -> Context {
    try context(list: arguments, style: style)
  }

  func context(list arguments: [String], style: Progress.Style = .lines) throws -> Context {
    Context(
      arguments: try Command.program.parse(arguments), channel: channel, socket: "/run/bgproxy.sock", user: 1000,
      paint: plain,
      clock: Clock(now: { self.time }, sleep: { self.time += Double($0) / 1000 }),
      commands: commands, progress: Progress(style: style, paint: plain, write: { self.progress += $0 }))
  }
}

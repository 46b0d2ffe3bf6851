import Admin
import Configuration
import EventCore
import Health
import LinuxIO
import Relay
import Switching
import Telemetry

/// The control room: owns everything that is slow or rare, and carries news between the rooms below.
///
/// All of it runs on the control thread, which never waits: what has to wait (the disk, a name server, the workers'
/// answers) is awaited, and other requests are served meanwhile. So every function that awaits finds, afterwards, that
/// the world may have changed; the switch transaction and the reload therefore take turns.
public actor FrontDoor {
  let reactor: Reactor
  let log: Log
  let launch: Launch
  let startedAt = WallTime.now()

  public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }

  // The configuration in force
  var settings: Settings
  let descriptorLimit: Int
  let budget: SessionBudget
  let pipes: PipeBudget
  var targetBook: TargetBook
  var listeners: [OpenListener] = []
  var listenerBook: ListenerBook
  /// Of earlier configurations; they have sessions, or had when the configuration was last read.
  var departed: [(id: ListenerID, settings: ListenerSettings)] = []
  /// Who asked for the last handover that was given up, and why it was.
  var lastGivenUp: (client: UInt64, reason: String)?
  var addresses: [Address: [SocketAddress]]
  private let unresolvedAtStart: [ResolutionFailure]
  var isRetryingNames = false
  let reloadTurn = Turn()
  var listenerNames: [ListenerID: String] = [:]

  // The switch
  var machine: SwitchMachine
  var switchedAt: String?
  /// Of the last switch, while its receipt is not settled; nil where an earlier process made it.
  var switchStoredAt: Instant?
  let word: ActiveWord
  let workers: WorkerPool
  let store: StateStore
  let resolver: Resolver
  let clerk: Clerk
  /// The oldest first; at most `StateStore.historyLimit`.
  var receipts: [Receipt]
  var history = HistoryQueue()
  var drain: DrainPlan?
  var holding: Holding?
  var handover: Handover?
  var watch: TrialWatch?
  var prober: Prober<Int32>?
  /// Lines of the target board that are probed.
  var probed: Set<Int32> = []
  var samples = FigureSamples()
  var traffic = TrafficRecord()
  var tallies = Tallies()
  var counterBases = CounterBases()
  let turn = Turn()
  /// The state on disk may not be the one in force: it is written again until it is.
  var isRewriting = false
  /// Writes that were begun and have not come back: more than none after a disk has hung.
  var writesUnderWay = 0

  // Stopping
  var isStopping = false
  private var terminateSignals = 0
  private var exitCode: Int32 = 0
  var emptied: CheckedContinuation<Void, Never>?

  // Operators
  var adminSocket: AdminSocket
  var admin: HTTPServer?
  var watchers: Set<Watcher> = []
  /// For whoever only looks; nil: no address is configured.
  var publicSocket: PublicSocket?
  var publicServer: HTTPServer?
  var publicQueue = PublicQueue()
  /// The oldest first.
  var pastEvents = PastEvents()
  var lastTold: [String: Instant] = [:]
  var signals: SignalWatch?

  /// How the front door was started: what a reload needs to read the configuration again.
  public struct Launch: Sendable {
    public var settings: Settings
    /// nil: everything came from the command line.
    public var configFile: String?
    public var overrides: Overrides
    public var version: String
    /// Whom to tell when ready: NOTIFY_SOCKET, sd_notify(3).
    public var supervisor: String?

    public init(
      settings: Settings, configFile: String?, overrides: Overrides, version: String, supervisor: String?
    ) {
      self.settings = settings
      self.configFile = configFile
      self.overrides = overrides
      self.version = version
      self.supervisor = supervisor
    }
  }

  /// Takes the state file, opens every listener and the admin socket, and starts the workers, which serve nothing yet.
  init(reactor: Reactor, launch: Launch, descriptorLimit: Int, log: Log) throws {
    let settings = launch.settings
    let (store, found) = try StateStore.open(
      path: settings.stateFile, replacingDamagedWith: launch.overrides.active)
    var pair = found.record?.pair ?? PairState(active: settings.active, previous: nil, generation: 0)
    pair.trial = pair.trial?.resumed(at: WallTime.now().microseconds, least: Self.shortestVerdict)
    let resolved = try Resolver.resolve(settings)
    var listenerBook = ListenerBook()
    var wanted: [(id: ListenerID, settings: ListenerSettings)] = []
    for listener in settings.listeners { wanted.append((listenerBook.add(), listener)) }
    var targetBook = TargetBook()
    let routes = try targetBook.routes(for: wanted, resolved: resolved.addresses)
    let listeners = try OpenListener.open(wanted, resolved: resolved.addresses)
    do {
      publicSocket = try settings.admin.metrics.map { try PublicSocket(at: $0, resolved.addresses) }
      adminSocket = try AdminSocket(
        path: settings.admin.socket, mode: settings.admin.mode, group: settings.admin.group)
    } catch {
      OpenListener.discard(listeners)
      publicSocket?.removeFile()
      throw error
    }

    self.reactor = reactor
    self.log = log
    self.launch = launch
    self.settings = settings
    self.descriptorLimit = descriptorLimit
    self.store = store
    self.targetBook = targetBook
    self.listeners = listeners
    addresses = resolved.addresses
    unresolvedAtStart = resolved.failures
    self.listenerBook = listenerBook
    listenerNames = Dictionary(uniqueKeysWithValues: listeners.map { ($0.id, $0.settings.name) })
    machine = SwitchMachine(pair)
    word = ActiveWord(pair.signpost())
    switchedAt = found.record?.switchedAt
    receipts = found.history
    resolver = try Resolver()
    clerk = try Clerk()
    budget = SessionBudget(limit: Self.sessionLimit(settings, descriptorLimit: descriptorLimit))
    pipes = PipeBudget.ofThisSystem()
    let count = Self.workerCount(settings)
    let news = NewsRelay(reactor)
    workers = try WorkerPool(
      count: count, capacity: Self.descriptorSessions(settings, descriptorLimit: descriptorLimit), word: word,
      board: targetBook.board, budget: budget, pipes: pipes, settings: RelaySettings(settings), news: news.pass)
    workers.apply(routes, RelaySettings(settings))
    news.frontDoor = self
  }

  /// Serves until it is told to stop; answers the exit code.
  public static func serve(_ launch: Launch, setUp: consuming ProcessSetUp, log: Log) throws -> Int32 {
    let reactor = try Reactor()
    let limit = setUp.descriptorLimit
    let frontDoor = try FrontDoor(reactor: reactor, launch: launch, descriptorLimit: limit, log: log)
    let signals = SignalWatch(setUp.takeSignals())
    reactor.post { frontDoor.assumeIsolated { $0.begin(signals) } }
    try reactor.run()
    return frontDoor.assumeIsolated { $0.exitCode }
  }

  /// The first thing on the control thread: from here on operators are heard and traffic flows.
  private func begin(_ signals: SignalWatch) {
    do {
      self.signals = signals
      try signals.start(on: reactor) { [self] in received(signal: $0, by: $1) }
      try beginAdmin()
      try beginPublic()
    } catch {
      log.error("start-failed", ["reason": .string("\(error)")])
      exitCode = 1
      removeFiles()
      reactor.stop()
      return
    }
    settleInterrupted()
    beginProbing()
    resumeTrial()
    sampleFigures()
    recordTraffic()
    for listener in listeners { for door in listener.doors { workers.open(door) } }
    sayReady()
    retryNames(unresolvedAtStart)
    start { await $0.persistInitialState() }
  }

  private func sayReady() {
    var fields: [(key: String, value: LogValue)] = []
    for listener in listeners {
      fields.append((key: listener.settings.name, value: .string("\(listener.address)")))
      if let address = listener.previewAddress {
        fields.append((key: "preview.\(listener.settings.name)", value: .string("\(address)")))
      }
    }
    fields.append((key: "active", value: .string(machine.state.active.rawValue)))
    fields.append((key: "admin", value: .string(settings.admin.socket)))
    if let publicSocket { fields.append((key: "metrics", value: .string("\(publicSocket.address)"))) }
    fields.append((key: "workers", value: .count(workers.count)))
    fields.append((key: "sessions", value: .count(sessionLimit)))
    // Whatever the level is: who starts a front door waits for this line.
    log.always("ready", fields)
    tellSupervisor("READY=1")
  }

  func tellSupervisor(_ message: String) {
    do {
      try Process.notifySupervisor(at: launch.supervisor, message)
    } catch {
      log.warning("supervisor-not-told", ["reason": .string("\(error)")])
    }
  }

  /// With the first start, and where a damaged file was replaced: what is in force is on disk before anything happens
  /// to it.
  private func persistInitialState() async {
    if let reason = await persist(machine.state, switchedAt: switchedAt) {
      log.warning("state-not-written", ["file": .string(settings.stateFile), "reason": .string(reason)])
      keepRewriting()
    }
  }

  private func received(signal: SignalWatch.Signal, by: Requester) {
    switch signal {
    case .terminate:
      terminateSignals += 1
      guard terminateSignals == 1 else {
        audit("stop", by: by, ["reason": "second signal"])
        removeFiles()
        return reactor.stop()
      }
      audit("stop", by: by, ["reason": "signal"])
      start { await $0.stop() }
    case .upgrade: log.warning("upgrade-refused", ["reason": "upgrade is not built yet"])
    case .reload: start { _ = await $0.reload(by: by) }
    }
  }

  /// What other processes would find of this one.
  func removeFiles() {
    adminSocket.removeFile()
    publicSocket?.removeFile()
    OpenListener.discard(listeners)
  }

  // MARK: Limits

  /// Enough for any machine, and no more than its tables are small for.
  private static let mostSessions = 4_000_000

  /// Descriptors that sessions never get, so that the operator is always heard: admin connections, the files and
  /// sockets of each worker and listener, pipes, and some to spare for the state file and a reload.
  private static func reservedDescriptors(_ settings: Settings) -> Int {
    64 + HTTPServer.Limits().connections + PublicSocket.limits.connections + 4 * workerCount(settings)
      + 4 * max(16, settings.listeners.count) + 2 * PipeBudget.ofThisSystem().limit
  }

  /// The sessions that the descriptor limit allows: each has a client's and a backend's. Where the limit is small, half
  /// of it is kept back.
  static func descriptorSessions(_ settings: Settings, descriptorLimit: Int) -> Int {
    let reserved = min(reservedDescriptors(settings), descriptorLimit / 2)
    return min(mostSessions, max(1, (descriptorLimit - reserved) / 2))
  }

  static func sessionLimit(_ settings: Settings, descriptorLimit: Int) -> Int {
    let possible = descriptorSessions(settings, descriptorLimit: descriptorLimit)
    return settings.limits.sessions == 0 ? possible : min(settings.limits.sessions, possible)
  }

  var sessionLimit: Int { Self.sessionLimit(settings, descriptorLimit: descriptorLimit) }

  static func workerCount(_ settings: Settings) -> Int {
    settings.workers == 0 ? Process.processorCount : settings.workers
  }
}

extension RelaySettings {
  init(_ settings: Settings) {
    let timeouts = settings.timeouts
    self.init(
      connectTimeout: timeouts.connect, idleTimeout: timeouts.idle, halfClosedTimeout: timeouts.halfClosed,
      holdTimeout: timeouts.hold, busyPoll: BusyPolling.Mode(settings.busyPoll), splices: settings.splice == .auto)
  }
}

extension BusyPolling.Mode {
  /// With a single processor, looking would only keep from running whoever is waited for. A process that is bound to
  /// one of several may look: others run beside it.
  init(_ setting: BusyPollSetting) {
    self =
      switch setting {
      case .auto: Process.onlineProcessorCount > 1 ? .auto : .off
      case .off: .off
      case .microseconds(let count): .fixed(UInt64(count) * 1000)
      }
  }
}

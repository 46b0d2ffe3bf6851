public import EventCore
public import LinuxIO

/// Probes targets, each on a schedule of its own, and says what changes.
///
/// Everything belongs to the reactor's thread: making it, calling it, and the closures it calls. Nothing in it waits.
public final class Prober<ID: Hashable & Sendable> {
  /// What is told, on the reactor's thread, at the end of whatever brought it about: the closures may call the prober.
  public struct Observer {
    /// A target has become healthy or unhealthy.
    public var changed: (HealthChange<ID>) -> Void
    /// A probe could not be made for want of something on this machine; it is tried again when it is due next.
    public var shortage: (_ name: String, Errno) -> Void

    public init(
      changed: @escaping (HealthChange<ID>) -> Void, shortage: @escaping (_ name: String, Errno) -> Void
    ) {
      (self.changed, self.shortage) = (changed, shortage)
    }
  }

  /// Probes under way at a time: they take a descriptor each.
  public static var mostUnderWay: Int { 256 }
  /// Probes begun in one tick, so that nobody waits for thousands of connects.
  private static var mostStarts: Int { 64 }
  /// Milliseconds between two probes of a target that real traffic has put in doubt, and between two such observations.
  private static var doubtPause: Int64 { 20 }
  /// Milliseconds beyond the longest timeout, so that a probe that runs into it is told as such.
  private static var questionSlack: Int64 { 250 }

  private let reactor: Reactor
  private let observer: Observer
  private let clock: () -> Instant
  private let wallClock: () -> WallTime
  private let random: (ClosedRange<Int64>) -> Int64

  private var watched: [ID: Watched<ID>] = [:]
  private var queue = ProbeQueue<ID>()
  private var underWay = 0
  private var isStarting = false
  private var isResumeArmed = false

  /// - Parameters:
  ///   - clock: the one that the reactor has.
  ///   - random: for the jitter: a number of a range.
  public init(
    reactor: Reactor, observer: Observer, clock: @escaping () -> Instant = Instant.now,
    wallClock: @escaping () -> WallTime = WallTime.now,
    random: @escaping (ClosedRange<Int64>) -> Int64 = { Int64.random(in: $0) }
  ) {
    (self.reactor, self.observer, self.clock) = (reactor, observer, clock)
    (self.wallClock, self.random) = (wallClock, random)
  }

  // MARK: What is probed

  /// From now on these are probed, and no others. Those that were there before keep their state, and where anything
  /// about them is new they are probed at once; the others begin, unknown. No two have the same id.
  public func watch(_ targets: [ProbeTarget<ID>]) {
    let wanted = Set(targets.map(\.id))
    var questions: [(Question<ID>, ID, FreshProbe)] = []
    for (id, gone) in watched where !wanted.contains(id) {
      watched[id] = nil
      questions += gone.questions.map { ($0, id, .gone) }
      cease(gone)
    }
    for target in targets {
      guard let known = watched[target.id] else {
        let new = Watched(target)
        watched[target.id] = new
        probeNow(new)
        continue
      }
      if known.target == target { continue }
      known.target = target
      cease(known)
      if target.settings.kind == .off {
        known.forget()
        questions += known.questions.map { ($0, target.id, .off) }
        known.questions = []
      } else {
        probeNow(known, first: !known.questions.isEmpty)
      }
    }
    startQueued()
    for (question, id, answer) in questions { question.answer(id, answer) }
  }

  /// Ends all probes; whoever waits for one hears that its target is gone.
  public func stop() { watch([]) }

  /// nil where there is no such target.
  public func health(of id: ID) -> TargetHealth? { watched[id]?.health }

  // MARK: Asking

  /// Probes some targets at once. A probe that is under way on schedule is given up for a fresh one; one that was asked
  /// for already serves both. The results count as any others do.
  /// - Parameter then: called once, within the longest timeout of these targets and a quarter of a second; where there
  ///   is nothing to wait for, before this returns.
  public func probe(_ ids: [ID], then: @escaping ([ID: FreshProbe]) -> Void) {
    let question = Question(ids, then: then)
    var longest: Int64 = 0
    var immediate: [(ID, FreshProbe)] = []
    for id in Set(ids) {
      guard let target = watched[id] else {
        immediate.append((id, .gone))
        continue
      }
      guard target.target.settings.kind != .off else {
        immediate.append((id, .off))
        continue
      }
      longest = max(longest, target.target.settings.timeout)
      target.questions.append(question)
      if target.isUnderWay && !target.isAskedFor { cease(target) }
      if !target.isUnderWay { probeNow(target, first: true) }
    }
    if ids.isEmpty {
      then([:])
      return
    }
    let timer = reactor.after(milliseconds: longest + Self.questionSlack) { [weak self] in
      self?.forget(question)
      question.answerTheRest(.notInTime)
    }
    question.end = { [reactor] in reactor.cancel(timer) }
    for (id, answer) in immediate { question.answer(id, answer) }
    startQueued()
  }

  private func forget(_ question: Question<ID>) {
    for target in watched.values { target.questions.removeAll { $0 === question } }
  }

  /// A connection of real traffic was refused, or was not made in time. It counts as one failed result; so that it is
  /// known soon whether it was more than bad luck, probes follow at short notice until one passes or the target is
  /// unhealthy.
  ///
  /// However many sessions find the same, one in 20 ms counts. Before the first result of a probe it counts for nothing:
  /// that probe is on its way.
  public func failedForTraffic(_ id: ID, _ errno: Errno) {
    guard let target = watched[id], target.target.settings.kind != .off, target.state.verdict != nil else { return }
    let now = clock()
    if let last = target.lastTrafficFailure, now < last.advanced(milliseconds: Self.doubtPause) { return }
    target.lastTrafficFailure = now
    let change = take(ProbeResult(finding: .failed(errno), latencyMicroseconds: nil), of: target)
    if target.state.verdict == .healthy && !target.isInDoubt {
      target.isInDoubt = true
      target.isProbeOlderThanDoubt = target.isUnderWay
      if !target.isUnderWay {
        probeNow(target, first: true)
        startQueued()
      }
    }
    if let change { observer.changed(change) }
  }

  // MARK: Schedule

  private func probeNow(_ target: Watched<ID>, first: Bool = false) {
    if target.target.settings.kind == .off { return }
    disarm(target)
    queue.add(target, first: first)
  }

  private func disarm(_ target: Watched<ID>) {
    if let timer = target.timer { reactor.cancel(timer) }
    target.timer = nil
  }

  /// Ends its probe, its timer and its place in the queue.
  private func cease(_ target: Watched<ID>) {
    disarm(target)
    target.isQueued = false
    target.probe?.abandon()
    target.probe = nil
    if target.isUnderWay { underWay -= 1 }
    target.isUnderWay = false
  }

  private func startQueued() {
    // A probe that ends at once leads back to here.
    if isStarting { return }
    isStarting = true
    var starts = 0
    while underWay < Self.mostUnderWay, starts < Self.mostStarts, let target = queue.next() {
      starts += 1
      start(target)
    }
    isStarting = false
    guard starts == Self.mostStarts, !isResumeArmed else { return }
    isResumeArmed = true
    reactor.after(milliseconds: 1) { [weak self] in
      self?.isResumeArmed = false
      self?.startQueued()
    }
  }

  private func start(_ target: Watched<ID>) {
    // The last one may still be taking its leave.
    target.probe?.abandon()
    let tenth = target.target.settings.interval / 10
    target.nextStart = reactor.now.advanced(milliseconds: target.target.settings.interval + random(-tenth...tenth))
    target.isUnderWay = true
    target.isAskedFor = !target.questions.isEmpty
    target.isProbeOlderThanDoubt = false
    underWay += 1
    let probe = Probe(target.target, on: reactor, clock: clock) { [weak self, weak target] outcome in
      if let self, let target { ended(target, outcome) }
    }
    target.probe = probe
    probe.start()
  }

  private func ended(_ target: Watched<ID>, _ outcome: Probe.Outcome) {
    target.isUnderWay = false
    underWay -= 1
    let questions = target.questions
    target.questions = []
    var change: HealthChange<ID>?
    switch outcome {
    case .found(let result):
      change = take(result, of: target)
      if result.passed && !target.isProbeOlderThanDoubt || target.state.verdict != .healthy { target.isInDoubt = false }
    case .shortage:
      target.isInDoubt = false
    }
    scheduleNext(target)
    startQueued()
    if let change { observer.changed(change) }
    switch outcome {
    case .found(let result):
      for question in questions { question.answer(target.target.id, .found(result)) }
    case .shortage(let errno):
      observer.shortage(target.target.name, errno)
      for question in questions { question.answer(target.target.id, .shortage(errno)) }
    }
  }

  private func scheduleNext(_ target: Watched<ID>) {
    let left = target.nextStart.milliseconds(since: reactor.now)
    // A timeout that is longer than the interval must not make a loop of it.
    let pause = target.isInDoubt ? Self.doubtPause : max(left, Self.doubtPause)
    target.timer = reactor.after(milliseconds: pause) { [weak self, weak target] in
      guard let self, let target else { return }
      target.timer = nil
      queue.add(target, first: target.isInDoubt)
      startQueued()
    }
  }

  private func take(_ result: ProbeResult, of target: Watched<ID>) -> HealthChange<ID>? {
    let wasKnown = target.state.verdict != nil
    let settings = target.target.settings
    let time = wallClock()
    target.lastResult = result
    target.checkedAt = time
    if let latency = result.latencyMicroseconds { target.latency = latency }
    guard let verdict = target.state.take(passed: result.passed, rise: settings.rise, fall: settings.fall) else {
      return nil
    }
    target.since = time
    return HealthChange(
      id: target.target.id, name: target.target.name, isHealthy: verdict == .healthy, isFirst: !wasKnown,
      result: result)
  }
}

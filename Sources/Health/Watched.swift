import EventCore
import LinuxIO

/// One target that is probed, with its state and its schedule.
final class Watched<ID: Hashable & Sendable> {
  var target: ProbeTarget<ID>

  var state = RiseFall()
  var since: WallTime?
  var lastResult: ProbeResult?
  var checkedAt: WallTime?
  var latency: Int64?

  /// Under way, or taking its leave.
  var probe: Probe?
  var isUnderWay = false
  /// The probe under way was begun for somebody who waits for it.
  var isAskedFor = false
  var isQueued = false
  /// Fires when it is due.
  var timer: Reactor.TimerID?
  var nextStart = Instant(nanoseconds: 0)
  var questions: [Question<ID>] = []

  /// Real traffic has failed, and no probe has passed since.
  var isInDoubt = false
  /// The probe under way began before that: that it passes proves nothing.
  var isProbeOlderThanDoubt = false
  var lastTrafficFailure: Instant?

  init(_ target: ProbeTarget<ID>) { self.target = target }

  /// It is not probed any more: what was known is out of date soon.
  func forget() {
    state = RiseFall()
    (since, lastResult, checkedAt, latency) = (nil, nil, nil, nil)
    isInDoubt = false
  }

  var health: TargetHealth {
    TargetHealth(
      isHealthy: state.isHealthy, since: since, result: lastResult, checkedAt: checkedAt, latencyMicroseconds: latency,
      against: state.against)
  }
}

/// Who is due, in order; those who cannot wait come before the others.
struct ProbeQueue<ID: Hashable & Sendable> {
  private struct Line {
    private var targets: [Watched<ID>] = []
    private var head = 0

    mutating func append(_ target: Watched<ID>) { targets.append(target) }

    mutating func popFirst() -> Watched<ID>? {
      guard head < targets.count else { return nil }
      head += 1
      let first = targets[head - 1]
      // Where there are always more than can be served it never runs empty.
      if head == targets.count || head == 1024 {
        targets.removeFirst(head)
        head = 0
      }
      return first
    }
  }

  private var urgent = Line()
  private var due = Line()

  /// A target that stands in line already may be moved up.
  mutating func add(_ target: Watched<ID>, first: Bool) {
    if target.isQueued && !first { return }
    target.isQueued = true
    if first { urgent.append(target) } else { due.append(target) }
  }

  /// The next that still wants its turn.
  mutating func next() -> Watched<ID>? {
    while let target = urgent.popFirst() ?? due.popFirst() {
      if target.isQueued {
        target.isQueued = false
        return target
      }
    }
    return nil
  }
}

import EventCore
import LinuxIO
import Switching
import Synchronization

/// How one worker is reached by the others and by the control thread.
final class WorkerGate: Sendable {
  let mailbox: Mailbox<WorkerOrder>
  private let sessions = Atomic<Int>(0)

  init() throws(Errno) { mailbox = try Mailbox() }

  /// Sessions that the worker has, or that were passed to it.
  var load: Int { sessions.load(ordering: .relaxed) }
  func addLoad() { sessions.add(1, ordering: .relaxed) }
  func removeLoad() { sessions.subtract(1, ordering: .relaxed) }
}

/// The data plane: all workers, and the questions and orders that go to all of them.
public final class WorkerPool: Sendable {
  private final class Runner: @unchecked Sendable {
    // Touched by its own thread alone once that has started.
    private var worker: Worker
    init(_ worker: consuming Worker) { self.worker = worker }

    func run() {
      do {
        try worker.run()
      } catch {
        preconditionFailure("epoll_wait: \(error)")
      }
    }
  }

  private let shared: WorkerShared
  private let threads: [LoopThread]

  /// Starts the threads.
  /// - Parameters:
  ///   - count: workers, 1 or more.
  ///   - capacity: the most sessions that any of them will ever hold.
  ///   - news: called on the workers' threads; must not wait.
  public init(
    count: Int, capacity: Int, word: ActiveWord, board: TargetBoard, budget: SessionBudget, pipes: PipeBudget,
    settings: RelaySettings, news: @escaping @Sendable (WorkerNews) -> Void
  ) throws(Errno) {
    var gates: [WorkerGate] = []
    for _ in 0..<count { gates.append(try WorkerGate()) }
    shared = WorkerShared(word: word, board: board, budget: budget, pipes: pipes, gates: gates, news: news)
    var threads: [LoopThread] = []
    for index in 0..<count {
      let runner = Runner(try Worker(index: index, shared: shared, capacity: capacity, settings: settings))
      threads.append(try LoopThread(name: "worker-\(index)") { runner.run() })
    }
    self.threads = threads
  }

  public var count: Int { shared.gates.count }

  public func apply(_ routes: Routes, _ settings: RelaySettings) { post(.apply(routes, settings)) }
  public func open(_ door: Door) { post(.open(door)) }
  public func drain(_ order: DrainOrder?) { post(.drain(order)) }
  public func hold(_ order: HoldOrder?) { post(.hold(order)) }
  public func watch(_ order: WatchOrder?) { post(.watch(order)) }

  /// Returns when no worker watches the door any more and its queue has been accepted empty.
  public func close(_ door: Door) async {
    let _: [Bool] = await gather(+) { add in .close(door, done: { add([true]) }) }
  }

  /// The barrier after a store: returns when every worker has answered at the end of a tick, with the exact sum.
  public func confirm(_ assignment: Assignment) async -> WorkerReport {
    await gather(+) { .confirm(assignment, reply: $0) }
  }

  /// Exact counts of all workers.
  public func report() async -> WorkerReport { await gather(+) { .report(reply: $0) } }

  /// What each listener has counted.
  public func listenerCounts() async -> ListenerCounts { await gather(+) { .countListeners(reply: $0) } }

  /// What the metrics tell beside it.
  public func measures() async -> Measures { await gather(+) { .measure(reply: $0) } }

  public func sessions() async -> [SessionSnapshot] { await gather(+) { .list(reply: $0) } }

  private func post(_ order: WorkerOrder) {
    for gate in shared.gates { gate.mailbox.post(order) }
  }

  /// Gives every worker an order and puts their answers together.
  private func gather<Answer: Sendable>(
    _ combine: @escaping @Sendable (Answer, Answer) -> Answer,
    _ order: (@escaping @Sendable (Answer) -> Void) -> WorkerOrder
  ) async -> Answer {
    let gathering = Gathering(count: count, combine)
    await withCheckedContinuation { continuation in
      post(order { gathering.add($0, last: { continuation.resume() }) })
    }
    return gathering.sum
  }
}

/// Answers of several threads.
private final class Gathering<Answer: Sendable>: Sendable {
  private let state: Protected<(missing: Int, sum: Answer?)>
  private let combine: @Sendable (Answer, Answer) -> Answer

  init(count: Int, _ combine: @escaping @Sendable (Answer, Answer) -> Answer) {
    state = Protected((missing: count, sum: nil))
    self.combine = combine
  }

  func add(_ answer: Answer, last: () -> Void) {
    let isLast = state.withLock { state in
      state.sum = state.sum.map { combine($0, answer) } ?? answer
      state.missing -= 1
      return state.missing == 0
    }
    if isLast { last() }
  }

  /// To be asked for after the last answer; there is one at least.
  var sum: Answer { state.withLock { $0.sum! } }
}

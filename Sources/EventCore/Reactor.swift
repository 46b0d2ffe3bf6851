import Glibc
import LinuxIO
import Synchronization

/// Told when a descriptor that it registered is ready.
public protocol ReactorHandler: AnyObject {
  func ready(_ readiness: Readiness)
}

/// An event loop for rare things: the control thread's. Descriptors have handlers, timers have closures, and an actor
/// can have it as its executor, so that its code runs on the loop's thread and may wait with `await` without making
/// the thread wait.
///
/// All but `post`, `enqueue` and `stop` belongs to the thread that runs it.
public final class Reactor: SerialExecutor, TaskExecutor, @unchecked Sendable {
  private enum Letter: Sendable {
    case job(UnownedJob)
    case work(@Sendable () -> Void)
  }

  private struct Registration {
    let number: Int32
    let handler: any ReactorHandler
  }

  private struct PendingTimer {
    let handle: TimerQueue.Handle
    let body: () -> Void
  }

  /// A timer that can be cancelled. Cancelling one that has fired does nothing.
  public struct TimerID: Hashable, Sendable { fileprivate let serial: UInt64 }

  /// A registered descriptor.
  public struct RegistrationID: Hashable, Sendable { fileprivate let serial: UInt64 }

  private static let mailSerial: UInt64 = 0
  private static let eventBudget = 64

  /// Where its time comes from: for whoever has to know how long something took within a tick.
  public let clock: @Sendable () -> Instant

  private var loop: EventLoop
  private let mailbox: Mailbox<Letter>
  private var mail: [Letter] = []
  private var registrations: [UInt64: Registration] = [:]
  private var timers: [UInt64: PendingTimer] = [:]
  private var lastSerial: UInt64 = 0
  private var isStopped = false
  private let threadID = Atomic<UInt>(0)

  public init(clock: @escaping @Sendable () -> Instant = Instant.now) throws(Errno) {
    self.clock = clock
    mailbox = try Mailbox()
    loop = try EventLoop(eventBudget: Self.eventBudget, clock: clock)
    try loop.watch(number: mailbox.descriptor, for: .readable, Token(rawValue: Self.mailSerial))
  }

  // MARK: From any thread

  /// Runs the closure on the loop's thread, after what was posted before.
  public func post(_ work: @escaping @Sendable () -> Void) { mailbox.post(.work(work)) }

  /// Makes `run` return once the current tick is over.
  public func stop() { post { [self] in isStopped = true } }

  public func enqueue(_ job: consuming ExecutorJob) { mailbox.post(.job(UnownedJob(job))) }

  public func checkIsolated() { precondition(isCurrent, "not on the reactor's thread") }

  /// Whether the caller is on the loop's thread. Before `run` everything counts as being on it: that is set-up.
  public var isCurrent: Bool {
    let runner = threadID.load(ordering: .acquiring)
    return runner == 0 || runner == UInt(pthread_self())
  }

  // MARK: On the loop's thread

  /// The time at which the current tick woke up.
  public var now: Instant { loop.now }

  /// Watches a descriptor, level-triggered. The descriptor stays the caller's and must be unregistered before it is
  /// closed.
  public func register(_ descriptor: borrowing Descriptor, for interest: Readiness, _ handler: any ReactorHandler)
    throws(Errno) -> RegistrationID
  {
    lastSerial += 1
    try loop.watch(descriptor, for: interest, Token(rawValue: lastSerial))
    registrations[lastSerial] = Registration(number: descriptor.number, handler: handler)
    return RegistrationID(serial: lastSerial)
  }

  public func change(_ id: RegistrationID, to interest: Readiness) {
    guard let registration = registrations[id.serial] else { return }
    // It can fail only for a descriptor that is not registered any more, which the line above has excluded.
    try? loop.change(number: registration.number, to: interest, Token(rawValue: id.serial))
  }

  public func unregister(_ id: RegistrationID) {
    guard let registration = registrations.removeValue(forKey: id.serial) else { return }
    try? loop.unwatch(number: registration.number)
  }

  /// Runs the closure once, on this thread, not before `milliseconds` have passed.
  @discardableResult
  public func after(milliseconds: Int64, _ body: @escaping () -> Void) -> TimerID {
    lastSerial += 1
    let deadline = loop.now.advanced(milliseconds: milliseconds)
    timers[lastSerial] = PendingTimer(handle: loop.timers.arm(at: deadline, Token(rawValue: lastSerial)), body: body)
    return TimerID(serial: lastSerial)
  }

  public func cancel(_ id: TimerID) {
    guard let timer = timers.removeValue(forKey: id.serial) else { return }
    loop.timers.cancel(timer.handle)
  }

  /// Runs the loop on the calling thread until `stop`.
  public func run() throws(Errno) {
    threadID.store(UInt(pthread_self()), ordering: .releasing)
    while !isStopped { try tick() }
  }

  private func tick() throws(Errno) {
    let count = try loop.wait(hasDeferredWork: false)
    for index in 0..<count {
      let (token, readiness) = loop.event(at: index)
      if token.rawValue == Self.mailSerial {
        readMail()
      } else {
        // A handler earlier in this batch may have unregistered this one: serials are never used twice.
        registrations[token.rawValue]?.handler.ready(readiness)
      }
    }
    // No more than are armed now: one that arms itself anew for this very moment must not keep the tick from ending.
    for _ in 0..<loop.timers.count {
      guard let (_, token) = loop.popExpired() else { break }
      timers.removeValue(forKey: token.rawValue)?.body()
    }
  }

  private func readMail() {
    mailbox.takeAll(into: &mail)
    for letter in mail {
      switch letter {
      case .work(let work): work()
      case .job(let job):
        unsafe job.runSynchronously(isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
      }
    }
    // What closures hold is let go of now, not with the next mail.
    mail.removeAll(keepingCapacity: true)
  }
}

extension Reactor {
  /// Runs a reactor on a thread of its own until it is stopped.
  public static func onOwnThread(
    named name: String, clock: @escaping @Sendable () -> Instant = Instant.now
  ) throws(Errno) -> (reactor: Reactor, thread: LoopThread) {
    let reactor = try Reactor(clock: clock)
    let thread = try LoopThread(name: name) {
      do {
        try reactor.run()
      } catch {
        // epoll_wait(2) fails only for a descriptor that is no epoll: a programming error.
        preconditionFailure("epoll_wait: \(error)")
      }
    }
    return (reactor, thread)
  }
}

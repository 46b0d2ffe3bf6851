import EventCore
import Glibc
import LinuxIO
import Relay
import Switching

/// What has to be done to the process before its first thread starts.
public struct ProcessSetUp: ~Copyable {
  private var signals: SignalReceiver?
  /// Descriptors that this process may have.
  public let descriptorLimit: Int

  /// Blocks the signals that are received as events, ignores SIGPIPE, and raises the descriptor limit.
  public init() throws(Errno) {
    signals = try SignalReceiver(signals: [SIGTERM, SIGINT, SIGHUP, SIGUSR2])
    Process.ignoreBrokenPipe()
    descriptorLimit = try Process.raiseDescriptorLimit()
  }

  mutating func takeSignals() -> SignalReceiver? { signals.take() }
}

/// Signals as events of the control thread.
final class SignalWatch: ReactorHandler, @unchecked Sendable {
  enum Signal { case terminate, reload, upgrade }

  // All of it is used on the control thread once that runs.
  private let receiver: SignalReceiver?
  private var receive: (Signal, Requester) -> Void = { _, _ in }

  init(_ receiver: consuming SignalReceiver?) { self.receiver = receiver }

  func start(on reactor: Reactor, _ receive: @escaping (Signal, Requester) -> Void) throws(Errno) {
    self.receive = receive
    switch receiver {
    case .some(let receiver): _ = try reactor.register(receiver.descriptor, for: .readable, self)
    case .none: break
    }
  }

  func ready(_ readiness: Readiness) {
    while let signal = nextSignal() {
      let by = Requester(uid: signal.uid, pid: signal.pid)
      switch signal.number {
      case SIGHUP: receive(.reload, by)
      case SIGUSR2: receive(.upgrade, by)
      default: receive(.terminate, by)
      }
    }
  }

  private func nextSignal() -> SignalReceiver.Arrived? {
    switch receiver {
    case .some(let receiver): receiver.next()
    case .none: nil
    }
  }
}

/// Carries the workers' news to the control thread.
final class NewsRelay: Sendable {
  private let reactor: Reactor
  private let receiver = Protected<FrontDoor?>(nil)

  init(_ reactor: Reactor) { self.reactor = reactor }

  /// Set once, before any worker has a session. What comes before is about nothing.
  var frontDoor: FrontDoor? {
    get { receiver.withLock { $0 } }
    set { receiver.withLock { $0 = newValue } }
  }

  @Sendable func pass(_ news: WorkerNews) {
    guard let frontDoor else { return }
    reactor.post { frontDoor.assumeIsolated { $0.received(news) } }
  }
}

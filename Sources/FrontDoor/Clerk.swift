import EventCore
import LinuxIO

/// Writes long texts on a thread of its own, so that nobody waits for them but whoever reads them.
actor Clerk {
  private let reactor: Reactor
  private let thread: LoopThread

  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }

  init() throws(Errno) { (reactor, thread) = try Reactor.onOwnThread(named: "clerk") }

  func text(of reading: MetricsReading) -> [UInt8] { reading.text() }
}

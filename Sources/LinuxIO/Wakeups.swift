import CLinux
import Glibc

/// An eventfd(2): how another thread wakes an event loop.
public struct WakeUp: ~Copyable, Sendable {
  public let descriptor: Descriptor

  public init() throws(Errno) { descriptor = Descriptor(owning: try checked(linux_eventfd())) }

  public func signal() { _ = linux_eventfd_signal(descriptor.number) }
  public func drain() { _ = linux_eventfd_drain(descriptor.number) }
}

/// A signalfd(2). Creating one blocks the signals for the calling thread and every thread started by it afterwards,
/// so it comes before the first thread.
public struct SignalReceiver: ~Copyable, Sendable {
  public let descriptor: Descriptor

  public init(signals: [Int32]) throws(Errno) {
    descriptor = Descriptor(owning: try checked(unsafe linux_signalfd(signals, Int32(signals.count))))
  }

  /// A signal that arrived, and who sent it.
  public struct Arrived: Sendable {
    public let number: Int32
    /// 0 where the kernel or a terminal sent it.
    public let pid: Int32
    public let uid: UInt32
  }

  /// The next signal that arrived; nil where there is none.
  public func next() -> Arrived? {
    var pid: Int32 = 0
    var uid: UInt32 = 0
    let number = unsafe linux_signalfd_next(descriptor.number, &pid, &uid)
    return number > 0 ? Arrived(number: number, pid: pid, uid: uid) : nil
  }
}

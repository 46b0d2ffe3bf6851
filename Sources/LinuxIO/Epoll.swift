import CLinux

/// What a descriptor became ready for: the EPOLL bits, epoll_ctl(2).
public struct Readiness: OptionSet, Sendable {
  public let rawValue: UInt32
  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var readable: Readiness { Readiness(rawValue: EPOLLIN.rawValue) }
  @inlinable public static var writable: Readiness { Readiness(rawValue: EPOLLOUT.rawValue) }
  /// The peer has shut down its writing (FIN), or the connection is gone.
  @inlinable public static var readHangUp: Readiness { Readiness(rawValue: EPOLLRDHUP.rawValue) }
  /// An urgent byte has arrived.
  @inlinable public static var urgent: Readiness { Readiness(rawValue: EPOLLPRI.rawValue) }
  /// Both directions are shut down.
  @inlinable public static var hangUp: Readiness { Readiness(rawValue: EPOLLHUP.rawValue) }
  @inlinable public static var error: Readiness { Readiness(rawValue: EPOLLERR.rawValue) }
  /// Told once for each change instead of for as long as it lasts.
  @inlinable public static var edgeTriggered: Readiness { Readiness(rawValue: EPOLLET.rawValue) }
  /// Of several epolls that watch one descriptor, wake at least one instead of all. Cannot be modified, only removed.
  @inlinable public static var exclusive: Readiness { Readiness(rawValue: EPOLLEXCLUSIVE.rawValue) }
}

/// An epoll instance and the buffer its events are delivered in.
@safe public struct Epoll: ~Copyable {
  @usableFromInline let descriptor: Descriptor
  @usableFromInline let events: UnsafeMutablePointer<epoll_event>
  public let capacity: Int

  /// - Parameter capacity: events taken from the kernel at a time, 1 or more.
  public init(capacity: Int) throws(Errno) {
    descriptor = Descriptor(owning: try checked(linux_epoll_create()))
    unsafe events = UnsafeMutablePointer<epoll_event>.allocate(capacity: capacity)
    self.capacity = capacity
  }

  deinit { unsafe events.deallocate() }

  @inlinable
  public func add(_ number: Int32, _ interest: Readiness, token: UInt64) throws(Errno) {
    try checked(linux_epoll_control(descriptor.number, EPOLL_CTL_ADD, number, interest.rawValue, token))
  }

  public func modify(_ number: Int32, _ interest: Readiness, token: UInt64) throws(Errno) {
    try checked(linux_epoll_control(descriptor.number, EPOLL_CTL_MOD, number, interest.rawValue, token))
  }

  public func remove(_ number: Int32) throws(Errno) {
    try checked(linux_epoll_control(descriptor.number, EPOLL_CTL_DEL, number, 0, 0))
  }

  /// Waits for events and answers how many there are. -1 waits without limit, 0 not at all. A signal answers 0.
  @inlinable
  public func wait(milliseconds: Int32) throws(Errno) -> Int {
    Int(try checked(unsafe linux_epoll_wait(descriptor.number, events, Int32(capacity), milliseconds)))
  }

  /// One of the events that the last `wait` answered.
  @inlinable
  public func event(at index: Int) -> (token: UInt64, readiness: Readiness) {
    precondition(index >= 0 && index < capacity)
    let event = unsafe events[index]
    return unsafe (event.data.u64, Readiness(rawValue: event.events))
  }
}

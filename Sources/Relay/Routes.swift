public import EventCore
import LinuxIO
import Switching
import Synchronization

/// Names a listener for as long as the process lives; never used twice.
public struct ListenerID: Hashable, Sendable {
  public let number: UInt32
  /// Its row in the workers' ledgers. Another listener gets it once this one is gone and its last session has ended.
  public let row: UInt32
  public init(number: UInt32, row: UInt32) { (self.number, self.row) = (number, row) }
}

/// One backend target and what its name resolved to.
public struct Target: Sendable {
  /// Its line on the `TargetBoard`.
  public let slot: Int32
  /// In the order to try; empty where the name has none at present.
  public let addresses: [SocketAddress]
  /// Its listener's; nil where everything is left to the system.
  public let approach: Approach?
  public init(slot: Int32, addresses: [SocketAddress], approach: Approach? = nil) {
    (self.slot, self.addresses, self.approach) = (slot, addresses, approach)
  }
}

/// Where the sessions of each listener go. A value that is replaced whole at a reload.
public struct Routes: Sendable {
  public var targets: [ListenerID: ByColor<[Target]>]
  /// Every slot that a target has, or had, is below it.
  public var slotCount = 0
  /// Slots that have another target than before: what is counted for them begins anew.
  public var freshSlots: [Int32] = []
  /// Listeners that were not there before: so do their rows.
  public var freshListeners: [ListenerID] = []
  /// Counts the routes that were made. What a ledger told before it had heard of the latest ones may stand where these
  /// have somebody else.
  public var edition: UInt64 = 0
  public init(targets: [ListenerID: ByColor<[Target]>]) { self.targets = targets }
}

/// What a reload can change. Times are in milliseconds, 1 or more.
public struct RelaySettings: Sendable, Equatable {
  public var connectTimeout: Int64
  public var idleTimeout: Int64
  public var halfClosedTimeout: Int64
  /// The longest that a client waits for a hold to end.
  public var holdTimeout: Int64
  public var busyPoll: BusyPolling.Mode
  /// Sustained transfers go through pipes.
  public var splices: Bool
  public init(
    connectTimeout: Int64, idleTimeout: Int64, halfClosedTimeout: Int64, holdTimeout: Int64,
    busyPoll: BusyPolling.Mode, splices: Bool
  ) {
    self.connectTimeout = connectTimeout
    self.idleTimeout = idleTimeout
    self.halfClosedTimeout = halfClosedTimeout
    self.holdTimeout = holdTimeout
    self.busyPoll = busyPoll
    self.splices = splices
  }
}

/// What all workers know of the targets: a line for each, shared.
@safe public final class TargetBoard: Sendable {
  struct Line: ~Copyable {
    /// Production sessions that are connected or connecting.
    let sessions = Atomic<Int>(0)
    /// The same of the preview. They do not count where targets are chosen.
    let previews = Atomic<Int>(0)
    /// Nanoseconds: before this, others are preferred, since a connect has failed.
    let avoidUntil = Atomic<UInt64>(0)
    /// Others are preferred, since its probes fail.
    let isUnhealthy = Atomic<Bool>(false)
  }

  /// 64 listeners with 64 targets of each color, and as many again for a reload while old sessions live.
  public static let capacity = 16_384

  private nonisolated(unsafe) let lines: UnsafeMutablePointer<Line>

  public init() {
    unsafe lines = .allocate(capacity: Self.capacity)
    for slot in 0..<Self.capacity { unsafe (lines + slot).initialize(to: Line()) }
  }

  deinit {
    unsafe lines.deinitialize(count: Self.capacity)
    unsafe lines.deallocate()
  }

  public func sessions(_ slot: Int32) -> Int { unsafe line(slot).pointee.sessions.load(ordering: .relaxed) }

  /// Whether any session has to do with it, those of the preview included.
  public func isInUse(_ slot: Int32) -> Bool {
    if sessions(slot) != 0 { return true }
    return unsafe line(slot).pointee.previews.load(ordering: .relaxed) != 0
  }

  func addSession(_ slot: Int32, isPreview: Bool) {
    if isPreview {
      unsafe line(slot).pointee.previews.add(1, ordering: .relaxed)
    } else {
      unsafe line(slot).pointee.sessions.add(1, ordering: .relaxed)
    }
  }

  func removeSession(_ slot: Int32, isPreview: Bool) {
    if isPreview {
      unsafe line(slot).pointee.previews.subtract(1, ordering: .relaxed)
    } else {
      unsafe line(slot).pointee.sessions.subtract(1, ordering: .relaxed)
    }
  }

  func avoid(_ slot: Int32, until: Instant) {
    unsafe line(slot).pointee.avoidUntil.store(until.nanoseconds, ordering: .relaxed)
  }

  func isAvoided(_ slot: Int32, at now: Instant) -> Bool {
    unsafe line(slot).pointee.avoidUntil.load(ordering: .relaxed) > now.nanoseconds
  }

  /// What the probes say. An unhealthy target gets sessions only where its color has no other.
  public func setUnhealthy(_ slot: Int32, _ isUnhealthy: Bool) {
    unsafe line(slot).pointee.isUnhealthy.store(isUnhealthy, ordering: .relaxed)
  }

  func isUnhealthy(_ slot: Int32) -> Bool { unsafe line(slot).pointee.isUnhealthy.load(ordering: .relaxed) }

  /// A line that is taken into use for another target.
  public func clear(_ slot: Int32) {
    setUnhealthy(slot, false)
    unsafe line(slot).pointee.avoidUntil.store(0, ordering: .relaxed)
  }

  private func line(_ slot: Int32) -> UnsafeMutablePointer<Line> {
    precondition(slot >= 0 && slot < Self.capacity)
    return unsafe lines + Int(slot)
  }
}

/// How many sessions there may be, in all workers together.
public final class SessionBudget: Sendable {
  private let used = Atomic<Int>(0)
  private let limit: Atomic<Int>

  public init(limit: Int) { self.limit = Atomic(limit) }

  public func setLimit(_ limit: Int) { self.limit.store(limit, ordering: .relaxed) }

  /// False: the limit is reached.
  func take() -> Bool {
    if used.add(1, ordering: .relaxed).newValue <= limit.load(ordering: .relaxed) { return true }
    giveBack()
    return false
  }

  func giveBack() { used.subtract(1, ordering: .relaxed) }
}

/// A listening socket, closed when nobody uses it any more.
public final class BoundSocket: Sendable {
  /// The address it is bound to, with the port that the kernel chose.
  public let address: SocketAddress
  let descriptor: Descriptor

  public init(_ descriptor: consuming Descriptor, at address: SocketAddress) {
    self.descriptor = descriptor
    self.address = address
  }

  /// For connections that are made from now on.
  public func replaceOptions(by options: TCPOptions) { descriptor.replaceOptions(by: options) }
}

/// A way in, shared by all workers: a listening socket and what its connections belong to.
public final class Door: Sendable {
  public let listener: ListenerID
  public let isPreview: Bool
  /// Protocol http; else tcp.
  public let isHTTP: Bool
  public let socket: BoundSocket

  public init(listener: ListenerID, isPreview: Bool, isHTTP: Bool, socket: BoundSocket) {
    (self.listener, self.isPreview, self.isHTTP, self.socket) = (listener, isPreview, isHTTP, socket)
  }
}

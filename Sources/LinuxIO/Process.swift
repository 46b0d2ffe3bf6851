import CLinux
import Glibc

/// Facts and settings of this process.
public enum Process {
  /// Raises the soft descriptor limit to the hard one and answers the limit in force.
  public static func raiseDescriptorLimit() throws(Errno) -> Int { Int(try checked(linux_raise_descriptor_limit())) }

  /// Processors that this process may run on, 1 or more: sched_getaffinity(2).
  public static var processorCount: Int { max(1, Int(linux_processor_count())) }

  /// Processors of the machine.
  public static var onlineProcessorCount: Int { max(1, Int(linux_online_processor_count())) }

  /// At most 15 bytes are kept: pthread_setname_np(3).
  public static func nameThread(_ name: String) { unsafe linux_name_thread(String(name.prefix(15))) }

  /// Writing to a pipe or socket that nobody reads is then an error value instead of the end of the process.
  public static func ignoreBrokenPipe() { linux_ignore_broken_pipe() }

  /// Makes the calling thread wait; for the end of a process, never for a thread that serves.
  public static func pause(milliseconds: UInt32) { usleep(milliseconds * 1000) }

  /// Writes all bytes to a descriptor that stays the caller's.
  public static func write(_ bytes: [UInt8], to descriptor: Int32) throws(Errno) {
    var written = 0
    while written < bytes.count {
      let rest = bytes[written...]
      let count = unsafe rest.withUnsafeBytes { unsafe linux_write(descriptor, $0.baseAddress, $0.count) }
      written += try checked(count)
    }
  }

  /// Tells a supervisor about this process, sd_notify(3): `READY=1`, say. Nothing happens where `socket` is nil.
  public static func notifySupervisor(at socket: String?, _ message: String) throws(Errno) {
    guard let socket else { return }
    try checked(unsafe linux_notify(socket, message))
  }

  public static var effectiveUserID: UInt32 { geteuid() }
  public static var identifier: Int32 { getpid() }

  /// The value of an environment variable; nil where it is unset or empty. Read at start, before the first thread.
  public static func environment(_ name: String) -> String? {
    guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
    return unsafe String(cString: value)
  }

  /// Sets an environment variable, for children. Only where there is one thread: setenv(3).
  public static func setEnvironment(_ name: String, _ value: String) { unsafe setenv(name, value, 1) }
}

/// Time as the event loops see it: nanoseconds of a clock that only goes forward, from an arbitrary start.
public struct Instant: Comparable, Hashable, Sendable {
  public var nanoseconds: UInt64

  @inlinable
  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// CLOCK_MONOTONIC, clock_gettime(2).
  @inlinable
  public static func now() -> Instant { Instant(nanoseconds: linux_monotonic_nanoseconds()) }

  public static let distantFuture = Instant(nanoseconds: .max)

  @inlinable
  public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

  /// Later by a number of milliseconds; negative counts as 0, and it stops at the distant future.
  @inlinable
  public func advanced(milliseconds: Int64) -> Instant {
    let (step, overflow) = UInt64(max(0, milliseconds)).multipliedReportingOverflow(by: 1_000_000)
    let (sum, carry) = nanoseconds.addingReportingOverflow(step)
    return overflow || carry ? .distantFuture : Instant(nanoseconds: sum)
  }

  /// Milliseconds from `earlier` to here, rounded down; 0 where `earlier` is not earlier.
  @inlinable
  public func milliseconds(since earlier: Instant) -> Int64 {
    nanoseconds <= earlier.nanoseconds ? 0 : Int64((nanoseconds - earlier.nanoseconds) / 1_000_000)
  }

  /// Microseconds from `earlier` to here, rounded down; 0 where `earlier` is not earlier.
  public func microseconds(since earlier: Instant) -> Int64 {
    nanoseconds <= earlier.nanoseconds ? 0 : Int64((nanoseconds - earlier.nanoseconds) / 1000)
  }
}

/// The time of day, for people and records: microseconds since 1970, UTC.
public struct WallTime: Comparable, Hashable, Sendable, CustomStringConvertible {
  public var microseconds: Int64
  public init(microseconds: Int64) { self.microseconds = microseconds }
  public static func now() -> WallTime { WallTime(microseconds: Int64(linux_realtime_nanoseconds() / 1000)) }
  public static func < (a: WallTime, b: WallTime) -> Bool { a.microseconds < b.microseconds }

  /// RFC 3339 in UTC with milliseconds: `2026-01-31T10:00:00.000Z`.
  public var description: String {
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 40) { text in
      unsafe linux_format_time(microseconds, text.baseAddress!)
      return unsafe String(cString: text.baseAddress!)
    }
  }
}

import CLinux
import Glibc

/// Sending and receiving with arrays, for the rare and slow: admin clients, not relayed traffic.
extension Descriptor {
  /// Receives once, into the first bytes of an array that keeps its size.
  public func receive(into bytes: inout [UInt8]) -> Transfer {
    unsafe bytes.withUnsafeMutableBytes { unsafe receive(into: $0) }
  }

  /// Sends once what the slice holds, or as much of it as is taken; the slice must not be empty.
  public func send(_ bytes: ArraySlice<UInt8>) -> Transfer {
    unsafe bytes.withUnsafeBytes { unsafe send($0) }
  }

  /// How long a blocking call waits before it fails with EAGAIN: SO_RCVTIMEO and SO_SNDTIMEO, socket(7).
  /// - Parameter milliseconds: 0 for no limit.
  public func setTimeouts(milliseconds: Int64) throws(Errno) {
    try checked(linux_set_timeout(number, SO_RCVTIMEO, milliseconds))
    try checked(linux_set_timeout(number, SO_SNDTIMEO, milliseconds))
  }
}

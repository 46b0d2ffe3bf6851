import CLinux

/// A pipe through which bytes go from one socket to another without being copied: splice(2).
public struct SplicePipe: ~Copyable {
  @usableFromInline let readEnd: Descriptor
  @usableFromInline let writeEnd: Descriptor
  /// Bytes that it was made for, a power of two of pages. What a socket had in large pieces can be more: a pipe counts
  /// pieces.
  public let capacity: Int

  /// - Parameter capacity: bytes, a power of two of pages; more than the system's fs.pipe-max-size fails with EPERM (pipe(7)), and so does what is
  ///   beyond fs.pipe-user-pages-soft for a user without privileges.
  public static func make(capacity: Int32) throws(Errno) -> SplicePipe {
    var (reading, writing): (Int32, Int32) = (-1, -1)
    try checked(unsafe linux_pipe(&reading, &writing))
    let pipe = SplicePipe(Descriptor(owning: reading), Descriptor(owning: writing), capacity: capacity)
    try checked(linux_set_pipe_size(writing, capacity))
    return pipe
  }

  private init(_ readEnd: consuming Descriptor, _ writeEnd: consuming Descriptor, capacity: Int32) {
    self.readEnd = readEnd
    self.writeEnd = writeEnd
    self.capacity = Int(capacity)
  }

  /// Takes at most `count` bytes from a socket. `wouldBlock`: the socket is empty, or the pipe is full.
  @inlinable
  public func fill(from socket: borrowing Descriptor, atMost count: Int) -> Transfer {
    socket.received(linux_splice(socket.number, writeEnd.number, count))
  }

  /// Hands at most `count` bytes, which it has to have, on to a socket.
  @inlinable
  public func drain(into socket: borrowing Descriptor, atMost count: Int) -> Transfer {
    socket.received(linux_splice(readEnd.number, socket.number, count))
  }
}

/// What the system allows a user of pipes: proc(5).
public enum PipeLimits {
  /// Bytes of memory that all pipes of one user without privileges may take before new ones are made small; 0: no limit.
  public static var softBytesOfUser: Int { number("/proc/sys/fs/pipe-user-pages-soft") * Int(linux_page_size()) }

  private static func number(_ path: String) -> Int {
    guard let bytes = try? DurableFile.read(path, limit: 32) else { return 0 }
    var value = 0
    for byte in bytes {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), value < 1 << 40 else { break }
      value = value * 10 + Int(byte - UInt8(ascii: "0"))
    }
    return value
  }
}

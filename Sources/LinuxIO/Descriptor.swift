import CLinux

/// A file descriptor with exactly one owner, closed when the owner lets go of it.
public struct Descriptor: ~Copyable, Sendable {
  /// The number, for messages to the kernel about it (epoll registration). It stays owned by this value.
  public let number: Int32

  /// Takes over a descriptor that nobody else owns. A negative number owns nothing.
  @inlinable
  public init(owning number: Int32) { self.number = number }

  /// Owns nothing: stands for a socket that is not there at present.
  @inlinable
  public static var none: Descriptor { Descriptor(owning: -1) }

  @inlinable
  public var isOpen: Bool { number >= 0 }

  /// Gives the descriptor up without closing it: to hand it to another thread, say.
  public consuming func release() -> Int32 {
    let number = number
    discard self
    return number
  }

  @inlinable
  deinit {
    // close(2) frees the number whatever it returns, so there is nothing to do about an error here.
    if number >= 0 { _ = linux_close(number) }
  }
}

/// What came of trying to move bytes without waiting.
public enum Transfer: Equatable, Sendable {
  /// At least one byte moved.
  case bytes(Int)
  case wouldBlock
  /// The peer has sent FIN; only from receiving.
  case endOfFile
  case failed(Errno)
}

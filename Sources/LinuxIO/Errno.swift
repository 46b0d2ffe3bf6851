import Glibc

/// An error number of a system call, errno(3). Always positive.
public struct Errno: Error, Hashable, Sendable, RawRepresentable, CustomStringConvertible {
  public let rawValue: Int32

  @inlinable
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// What strerror(3) says: "Connection refused".
  public var description: String {
    guard let text = unsafe strerror(rawValue) else { return "error \(rawValue)" }
    return unsafe String(cString: text)
  }

  /// This process or the system is out of descriptors or of memory for sockets: a matter of waiting, not of the peer.
  public var isShortage: Bool {
    self == .tooManyOpenFiles || self == .tooManyOpenFilesInSystem || self == .noBuffers || self == .noMemory
      || self == .noSpace
  }

  /// The kernel does not do this with such a descriptor, or has no memory for it now: of splice(2), whose peer has
  /// done nothing wrong.
  public var isRefusal: Bool { self == .invalidArgument || self == .noMemory }

  public static let invalidArgument = Errno(rawValue: EINVAL)
  public static let wouldBlock = Errno(rawValue: EAGAIN)
  public static let inProgress = Errno(rawValue: EINPROGRESS)
  public static let connectionReset = Errno(rawValue: ECONNRESET)
  public static let connectionRefused = Errno(rawValue: ECONNREFUSED)
  public static let brokenPipe = Errno(rawValue: EPIPE)
  public static let timedOut = Errno(rawValue: ETIMEDOUT)
  public static let tooManyOpenFiles = Errno(rawValue: EMFILE)
  public static let tooManyOpenFilesInSystem = Errno(rawValue: ENFILE)
  public static let noBuffers = Errno(rawValue: ENOBUFS)
  /// Of epoll_ctl(2): the user's limit on watches is reached.
  public static let noSpace = Errno(rawValue: ENOSPC)
  public static let noMemory = Errno(rawValue: ENOMEM)
  public static let addressInUse = Errno(rawValue: EADDRINUSE)
  public static let addressNotAvailable = Errno(rawValue: EADDRNOTAVAIL)
  public static let noSuchFile = Errno(rawValue: ENOENT)
  public static let notPermitted = Errno(rawValue: EPERM)
  public static let fileExists = Errno(rawValue: EEXIST)
  public static let familyNotSupported = Errno(rawValue: EAFNOSUPPORT)
  public static let nameTooLong = Errno(rawValue: ENAMETOOLONG)
}

/// Turns the convention of `CLinux` (negated errno on failure) into a thrown `Errno`.
@inlinable
@discardableResult
func checked<Result: SignedInteger>(_ result: Result) throws(Errno) -> Result {
  if result < 0 { throw Errno(rawValue: Int32(truncatingIfNeeded: -result)) }
  return result
}

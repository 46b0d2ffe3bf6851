import CLinux
import Glibc

/// The steps of making an AF_UNIX listener one by one, so that its file gets its group and mode while nobody can
/// connect yet.
extension Descriptor {
  /// A non-blocking socket bound to a path that must be free; it does not listen yet.
  /// - Parameter mode: of the file from its first moment on, less the process's umask: bind(2) on Linux creates the
  ///   file with the mode that the unbound socket was given.
  public static func boundLocal(path: String, mode: UInt32) throws(Errno) -> Descriptor {
    var address = try SocketAddress(path: path)
    let socket = try streamSocket(for: address)
    if fchmod(socket.number, mode) != 0 { throw Errno(rawValue: errno) }
    try checked(unsafe linux_bind(socket.number, &address.raw))
    return socket
  }

  /// Lets clients connect. Until then they are refused, whatever the mode of the file.
  public func startListening(backlog: Int32 = largestBacklog) throws(Errno) {
    try checked(linux_listen(number, backlog))
  }
}

extension FileStatus {
  /// What lstat(2) says: of a symbolic link itself instead of what it leads to.
  public init(linkAt path: String) throws(Errno) {
    var value = stat()
    if unsafe lstat(path, &value) != 0 { throw Errno(rawValue: errno) }
    mode = value.st_mode
    uid = value.st_uid
    gid = value.st_gid
    device = UInt64(value.st_dev)
    inode = UInt64(value.st_ino)
  }

  public var isSymbolicLink: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFLNK) }
}

/// The effective group of this process.
extension Process {
  public static var effectiveGroupID: UInt32 { getegid() }
}

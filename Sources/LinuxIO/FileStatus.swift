import CLinux
import Glibc

/// What stat(2) says of a path.
public struct FileStatus: Sendable, Equatable {
  public let mode: UInt32
  public let uid: UInt32
  public let gid: UInt32
  public let device: UInt64
  public let inode: UInt64

  /// Follows symbolic links.
  public init(path: String) throws(Errno) {
    var mode: UInt32 = 0
    var uid: UInt32 = 0
    var gid: UInt32 = 0
    var device: UInt64 = 0
    var inode: UInt64 = 0
    try checked(unsafe linux_stat(path, &mode, &uid, &gid, &device, &inode))
    (self.mode, self.uid, self.gid, self.device, self.inode) = (mode, uid, gid, device, inode)
  }

  public var isFolder: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFDIR) }
  public var isSocket: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFSOCK) }
}

/// Changes to the file system that the front door makes for its sockets and files.
public enum FileSystem {
  /// Makes a folder and the missing ones above it.
  public static func makeFolders(_ path: String, mode: UInt32) throws(Errno) {
    if (try? FileStatus(path: path))?.isFolder == true { return }
    let parent = parentFolder(of: path)
    if parent != path { try makeFolders(parent, mode: mode) }
    let result = unsafe linux_make_folder(path, mode)
    if result != -EEXIST || (try? FileStatus(path: path))?.isFolder != true { try checked(result) }
  }

  public static func unlink(_ path: String) throws(Errno) { try checked(unsafe linux_unlink(path)) }
  public static func rename(_ path: String, to other: String) throws(Errno) {
    try checked(unsafe linux_rename(path, other))
  }
  public static func setMode(_ path: String, _ mode: UInt32) throws(Errno) {
    try checked(unsafe linux_change_mode(path, mode))
  }
  public static func setGroup(_ path: String, _ group: UInt32) throws(Errno) {
    try checked(unsafe linux_change_group(path, group))
  }

  /// A lock on a folder itself, flock(2): two processes that prepare the same folder take turns. nil where another
  /// holds it.
  public static func tryLock(folder path: String) throws(Errno) -> Descriptor? {
    let folder = Descriptor(owning: try checked(unsafe linux_open(path, O_RDONLY | O_DIRECTORY, 0)))
    let result = linux_try_lock(folder.number)
    if result == -EWOULDBLOCK { return nil }
    try checked(result)
    return folder
  }
}

import CLinux
import Glibc

/// Small files that must survive a crash of the process or of the machine.
public enum DurableFile {
  /// The whole file, at most `limit` bytes of it; nil where it does not exist.
  public static func read(_ path: String, limit: Int) throws(Errno) -> [UInt8]? {
    // Without waiting for a writer, where somebody has put a FIFO there.
    let number = unsafe linux_open(path, O_RDONLY | O_NONBLOCK, 0)
    if number == -ENOENT { return nil }
    let file = Descriptor(owning: try checked(number))
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while bytes.count < limit {
      let count = try checked(unsafe linux_read(file.number, &chunk, min(chunk.count, limit - bytes.count)))
      if count == 0 { break }
      bytes.append(contentsOf: chunk.prefix(count))
    }
    return bytes
  }

  /// Replaces the file so that after a crash at any moment either the old or the new content is there, whole: a
  /// temporary file beside it, fsync, rename(2), fsync of the folder. When it returns, the new content is on disk.
  public static func replace(_ path: String, with bytes: [UInt8]) throws(Errno) {
    let temporary = path + ".new"
    // Before anything is changed: where descriptors have run out, say, a caller must not be told of a failure and the
    // new content be there all the same.
    let folder = Descriptor(owning: try checked(unsafe linux_open(parentFolder(of: path), O_RDONLY | O_DIRECTORY, 0)))
    do {
      let file = Descriptor(owning: try checked(unsafe linux_open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0o600)))
      try Process.write(bytes, to: file.number)
      try checked(linux_sync(file.number))
      try checked(unsafe linux_rename(temporary, path))
    } catch {
      _ = unsafe linux_unlink(temporary)
      throw error
    }
    try checked(linux_sync(folder.number))
  }

  /// Adds bytes at the end, on disk when it returns.
  public static func append(_ path: String, _ bytes: [UInt8]) throws(Errno) {
    let isNew = (try? FileStatus(path: path)) == nil
    let folder = Descriptor(owning: try checked(unsafe linux_open(parentFolder(of: path), O_RDONLY | O_DIRECTORY, 0)))
    let file = Descriptor(owning: try checked(unsafe linux_open(path, O_WRONLY | O_CREAT | O_APPEND, 0o600)))
    try Process.write(bytes, to: file.number)
    try checked(linux_sync(file.number))
    if isNew { try checked(linux_sync(folder.number)) }
  }
}

/// A lock that one process at a time can hold, flock(2), kept for as long as the value lives.
public struct FileLock: ~Copyable, Sendable {
  private let file: Descriptor

  /// What stands in the lock file while it is held: the holder's process id.
  public struct Held: Error, Equatable { public let holder: Int32? }

  /// Takes the lock and writes this process's id into the file; throws `Held` where another process has it.
  public init(path: String) throws {
    let file = Descriptor(owning: try checked(unsafe linux_open(path, O_RDWR | O_CREAT, 0o600)))
    let result = linux_try_lock(file.number)
    if result == -EWOULDBLOCK {
      let content = try DurableFile.read(path, limit: 32) ?? []
      let digits = String(decoding: content, as: UTF8.self).prefix { $0.isNumber }
      throw Held(holder: Int32(digits))
    }
    try checked(result)
    try checked(ftruncate(file.number, 0) == 0 ? 0 : -EIO)
    let line = Array("\(Process.identifier)\n".utf8)
    try checked(unsafe linux_write(file.number, line, line.count))
    self.file = file
  }
}

/// The folder that a path lies in: "." where the path names none.
public func parentFolder(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}

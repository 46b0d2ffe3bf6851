import Glibc
import LinuxIO
import Testing

@Suite struct DurableFileTests {
  @Test func read_answersNil_whenTheFileIsMissing() throws {
    let folder = try TemporaryFolder()
    #expect(try DurableFile.read(folder.path + "/none", limit: 10) == nil)
  }

  @Test func read_answersWhatReplaceWrote_whenTheFileIsLong() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/file"
    let long = (0..<200_000).map { UInt8(truncatingIfNeeded: $0) }
    try DurableFile.replace(path, with: long)
    #expect(try DurableFile.read(path, limit: 1 << 20) == long)
    try DurableFile.replace(path, with: [1])
    #expect(try DurableFile.read(path, limit: 1 << 20) == [1])
    try DurableFile.replace(path, with: [])
    #expect(try DurableFile.read(path, limit: 1 << 20) == [])
    #expect(folder.names() == ["file"], "nothing is left beside it")
    #expect(try FileStatus(path: path).mode & 0o777 == 0o600)
  }

  @Test(arguments: [0, 1, 3, 4, 5])
  func read_stopsAtTheLimit_whenTheFileIsLonger(limit: Int) throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/file"
    try DurableFile.replace(path, with: [1, 2, 3, 4])
    #expect(try DurableFile.read(path, limit: limit) == Array([1, 2, 3, 4].prefix(limit)))
  }

  @Test func read_fails_whenThePathIsAFolder() throws {
    let folder = try TemporaryFolder()
    #expect(throws: Errno(rawValue: EISDIR)) { try DurableFile.read(folder.path, limit: 10) }
  }

  @Test func append_addsAtTheEnd_whenTheFileIsThereOrNot() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/file"
    try DurableFile.append(path, [1, 2])
    try DurableFile.append(path, [3])
    #expect(try DurableFile.read(path, limit: 10) == [1, 2, 3])
  }

  @Test func replace_takesOver_whenACrashLeftATemporaryFile() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/file"
    try DurableFile.append(path + ".new", [9, 9, 9, 9])
    try DurableFile.replace(path, with: [1])
    #expect(try DurableFile.read(path, limit: 10) == [1])
    #expect(folder.names() == ["file"])
  }

  @Test func replace_leavesNothing_whenItCannotRename() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/file"
    try FileSystem.makeFolders(path, mode: 0o700)
    #expect(throws: Errno(rawValue: EISDIR)) { try DurableFile.replace(path, with: [1]) }
    #expect(folder.names() == ["file"])
  }

  @Test func replace_failsAndKeepsTheOld_whenTheFolderIsReadOnly() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/file"
    try DurableFile.replace(path, with: [1])
    try FileSystem.setMode(folder.path, 0o555)
    let error = withoutPrivileges { () throws(Errno) in try DurableFile.replace(path, with: [2]) }
    #expect(error == Errno(rawValue: EACCES))
    #expect(try DurableFile.read(path, limit: 10) == [1])
    #expect(folder.names() == ["file"])
  }

  /// Opening the folder to sync it can fail, where descriptors have run out, say. A replacement that throws must not
  /// have happened: the caller tells the operator that nothing was changed.
  @Test func replace_keepsTheOld_whenTheFolderCannotBeOpened() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/file"
    try DurableFile.replace(path, with: [1])
    try FileSystem.setMode(folder.path, 0o333)
    let error = withoutPrivileges { () throws(Errno) in try DurableFile.replace(path, with: [2]) }
    #expect(error == Errno(rawValue: EACCES))
    try FileSystem.setMode(folder.path, 0o700)
    #expect(try DurableFile.read(path, limit: 10) == [1])
    #expect(folder.names() == ["file"])
  }

  /// Runs something on a thread that may not do more than the modes of files allow, even where the tests run as root,
  /// and answers what it threw. setfsuid(2) concerns the calling thread alone; the Glibc module does not show it.
  private func withoutPrivileges(_ body: @escaping @Sendable () throws(Errno) -> Void) -> Errno? {
    final class Outcome: @unchecked Sendable { var error: Errno? }
    typealias SetID = @convention(c) (UInt32) -> Int32
    let outcome = Outcome()
    let thread = try? LoopThread(name: "unprivileged") {
      if let symbol = unsafe dlsym(nil, "setfsuid") { _ = unsafe unsafeBitCast(symbol, to: SetID.self)(65_534) }
      do throws(Errno) { try body() } catch { outcome.error = error }
    }
    thread?.join()
    return outcome.error
  }
}

@Suite struct FileLockTests {
  /// Whom a lock that is held names; that it can be taken fails the test.
  private func holder(of path: String) throws -> Int32? {
    try #require(#expect(throws: FileLock.Held.self) { _ = try FileLock(path: path) }).holder
  }

  /// flock(2) counts open file descriptions, so that a second one in the same process is like another process.
  @Test func lock_namesItsHolder_whenTakenTwice() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/lock"
    do {
      let lock = try FileLock(path: path)
      #expect(try holder(of: path) == getpid())
      #expect(try holder(of: path) == getpid())
      _ = consume lock
    }
    #expect(eventually { (try? FileLock(path: path)) != nil })
  }

  @Test func lock_isTaken_whenAnOlderProcessLeftALongerFile() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/lock"
    try DurableFile.replace(path, with: Array("2000000000 and more\n".utf8))
    let lock = try FileLock(path: path)
    #expect(try DurableFile.read(path, limit: 100) == Array("\(getpid())\n".utf8))
    _ = consume lock
  }

  @Test func lock_namesNobody_whenTheHolderWroteNothingReadable() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/lock"
    let lock = try FileLock(path: path)
    for content in ["", "x", "99999999999"] {
      #expect(unsafe truncate(path, 0) == 0)
      try DurableFile.append(path, Array(content.utf8))
      #expect(try holder(of: path) == nil)
    }
    _ = consume lock
  }

  @Test func lock_failsWithTheErrno_whenTheFolderIsMissing() throws {
    let folder = try TemporaryFolder()
    #expect(throws: Errno.noSuchFile) { _ = try FileLock(path: folder.path + "/none/lock") }
  }

  @Test func folderLock_isRefused_whileAnotherHoldsIt() throws {
    let folder = try TemporaryFolder()
    do {
      let lock = try FileSystem.tryLock(folder: folder.path)
      let isMine = lock != nil
      #expect(isMine)
      #expect(try !canLock(folder.path))
      _ = consume lock
    }
    #expect(try eventually { try canLock(folder.path) })
  }
}

private func canLock(_ folder: String) throws -> Bool { try FileSystem.tryLock(folder: folder) != nil }

@Suite struct FileSystemTests {
  @Test func makeFolders_makesTheMissingOnes_whenSomeAreThere() throws {
    let folder = try TemporaryFolder()
    try FileSystem.makeFolders(folder.path + "/a/b/c", mode: 0o700)
    try FileSystem.makeFolders(folder.path + "/a/b/c", mode: 0o755)
    let status = try FileStatus(path: folder.path + "/a/b/c")
    #expect(status.isFolder)
    #expect(status.mode & 0o777 == 0o700)
    #expect(status.uid == Process.effectiveUserID)
  }

  @Test func makeFolders_fails_whenAFileIsInTheWay() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/file"
    try DurableFile.append(path, [])
    #expect(throws: Errno.fileExists) { try FileSystem.makeFolders(path, mode: 0o700) }
    #expect(throws: Errno.self) { try FileSystem.makeFolders(path + "/a", mode: 0o700) }
  }

  @Test func status_toldOfALink_differsFromItsTarget() throws {
    let folder = try TemporaryFolder()
    let link = folder.path + "/link"
    try #require(unsafe symlink(folder.path, link) == 0)
    #expect(try FileStatus(path: link) == FileStatus(path: folder.path))
    let status = try FileStatus(linkAt: link)
    #expect(status.isSymbolicLink && !status.isFolder)
    #expect(try !FileStatus(path: link).isSymbolicLink)
    #expect(throws: Errno.noSuchFile) { try FileStatus(path: folder.path + "/none") }
  }

  @Test(arguments: [("/a/b", "/a"), ("/a", "/"), ("a", "."), ("a/b", "a"), ("", ".")])
  func parentFolder_isNamed_whateverThePath(path: String, parent: String) {
    #expect(parentFolder(of: path) == parent)
  }
}

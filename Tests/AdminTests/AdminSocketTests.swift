import Glibc
import LinuxIO
import Testing

@testable import Admin

/// The failure of making a socket; nil where it was made.
private func failure(_ path: String, mode: UInt32 = 0o660, group: String? = nil) -> AdminSocket.Failure? {
  do {
    let socket = try AdminSocket(path: path, mode: mode, group: group)
    socket.removeFile()
    return nil
  } catch {
    return error
  }
}

private func canConnect(_ path: String) -> Bool {
  guard let client = try? Descriptor.connectWaiting(path: path, timeoutMilliseconds: 1000) else { return false }
  return client.isOpen
}

private func isThere(_ path: String) -> Bool { (try? FileStatus(linkAt: path)) != nil }

private func makeFile(_ path: String, _ content: String = "") throws {
  try DurableFile.replace(path, with: Array(content.utf8))
}

@Suite(.serialized) struct AdminSocketTests {
  private let folder = TemporaryFolder()

  @Test func theFileIsAsAskedAndServed() throws {
    let path = folder.path + "/admin.sock"
    var socket = try AdminSocket(path: path, mode: 0o600)
    let status = try FileStatus(linkAt: path)
    #expect(status.isSocket)
    #expect(status.mode & 0o7777 == 0o600)
    let listener = socket.takeListener()
    let client = try Descriptor.connectWaiting(path: path, timeoutMilliseconds: 1000)
    guard case .connection(let served) = listener.accept() else {
      Issue.record("no connection")
      return
    }
    let admission = socket.policy.admit(served)
    guard case .allowed(let peer) = admission else {
      Issue.record("\(admission)")
      return
    }
    #expect(peer?.pid == Process.identifier)
    #expect(peer?.uid == Process.effectiveUserID)
    // It does nothing while another has its lock: a child that another test has just started may, for a moment.
    let isGone = eventually {
      socket.removeFile()
      return !isThere(path)
    }
    #expect(isGone)
    #expect(throws: Errno.noSuchFile) { try FileStatus(linkAt: path) }
    _ = consume client
  }

  @Test func theListenerIsGivenOnce() throws {
    var socket = try AdminSocket(path: folder.path + "/admin.sock")
    let first = socket.takeListener()
    let second = socket.takeListener()
    let isOpen = (first.isOpen, second.isOpen)
    #expect(isOpen == (true, false))
  }

  @Test func aStaleSocketIsReplaced() throws {
    let path = folder.path + "/admin.sock"
    do { _ = try Descriptor.listen(at: SocketAddress(path: path)) }
    #expect(try FileStatus(linkAt: path).isSocket)
    #expect(eventually { isRefused(path) })
    let socket = try AdminSocket(path: path)
    #expect(canConnect(path))
    _ = consume socket
  }

  @Test func aLiveSocketIsAnErrorThatNamesItsProcess() throws {
    let path = folder.path + "/admin.sock"
    let socket = try AdminSocket(path: path)
    let found = try #require(failure(path))
    #expect(found.holder == Process.identifier)
    #expect(found.description == "admin socket \(path): process \(Process.identifier) serves it already")
    #expect(canConnect(path))
    _ = consume socket
  }

  @Test func whatIsNoSocketIsLeftAlone() throws {
    let path = folder.path + "/admin.sock"
    try makeFile(path, "precious")
    #expect(failure(path)?.reason == "something that is no socket is there; it was left alone")
    #expect(try DurableFile.read(path, limit: 100) == Array("precious".utf8))
    let link = folder.path + "/link.sock"
    #expect(unsafe symlink("/nowhere", link) == 0)
    #expect(failure(link) != nil)
    #expect(try FileStatus(linkAt: link).isSymbolicLink)
    let inner = folder.path + "/folder.sock"
    #expect(unsafe mkdir(inner, 0o700) == 0)
    #expect(failure(inner) != nil)
  }

  @Test func onlyItsOwnFileIsRemoved() throws {
    let path = folder.path + "/admin.sock"
    let socket = try AdminSocket(path: path)
    try FileSystem.unlink(path)
    let other = try Descriptor.listen(at: SocketAddress(path: path))
    socket.removeFile()
    #expect(try FileStatus(linkAt: path).isSocket)
    _ = consume other
  }

  @Test(arguments: [
    (0o755, true), (0o700, true), (0o711, true), (0o757, false), (0o777, false), (0o1777, false), (0o702, false),
  ])
  func aFolderThatEverybodyCanWriteToIsRefused(_ mode: UInt32, _ isFine: Bool) throws {
    try FileSystem.setMode(folder.path, mode)
    #expect((failure(folder.path + "/admin.sock") == nil) == isFine)
  }

  @Test(.enabled(if: geteuid() == 0)) func aFolderOfAnotherGroupOrUserIsRefused() throws {
    let path = folder.path + "/admin.sock"
    try FileSystem.setMode(folder.path, 0o775)
    #expect(failure(path) == nil)
    #expect(unsafe chown(folder.path, 0, 65_534) == 0)
    #expect(failure(path)?.reason.contains("can be written by group 65534") == true)
    try FileSystem.setMode(folder.path, 0o755)
    #expect(failure(path) == nil)
    #expect(unsafe chown(folder.path, 65_534, 0) == 0)
    #expect(failure(path)?.reason.contains("belongs to user 65534") == true)
    #expect(unsafe chown(folder.path, 0, 0) == 0)
    // The link to a good folder is no better than its owner.
    let link = folder.path + "/link"
    #expect(unsafe symlink(folder.path, link) == 0)
    #expect(failure(link + "/admin.sock") == nil)
    #expect(unsafe lchown(link, 65_534, 0) == 0)
    #expect(failure(link + "/admin.sock")?.reason.contains("belongs to user 65534") == true)
  }

  @Test func aMissingFolderIsMade() throws {
    let inner = folder.path + "/a/b"
    #expect(failure(inner + "/admin.sock") == nil)
    #expect(try FileStatus(path: inner).mode & 0o7777 == (geteuid() == 0 ? 0o755 : 0o700))
  }

  @Test func whatCannotBeIsRefused() throws {
    #expect(failure(folder.path + "/admin.sock", mode: 0o666)?.reason == "the mode may not allow more than 0660")
    #expect(failure(folder.path + "/admin.sock", mode: 0o4660) != nil)
    #expect(failure(folder.path + "/admin.sock", group: "no-such-group")?.reason == "there is no group no-such-group")
    #expect(failure("") != nil)
    let long = folder.path + "/" + String(repeating: "x", count: 107 - folder.path.utf8.count - 1)
    #expect(failure(long) == nil)
    #expect(failure(long + "x")?.reason == "the path has 108 bytes; that of a socket has 1 to 107")
    try makeFile(folder.path + "/file")
    #expect(failure(folder.path + "/file/admin.sock") != nil)
  }

  @Test func theGroupOfTheFileIsTheOneAsked() throws {
    let path = folder.path + "/admin.sock"
    guard geteuid() == 0, let group = groupID(named: "nogroup") else { return }
    let socket = try AdminSocket(path: path, group: "nogroup")
    #expect(try FileStatus(linkAt: path).gid == group)
    #expect(try FileStatus(linkAt: path).mode & 0o7777 == 0o660)
    #expect(socket.policy.group == group)
    _ = consume socket
  }

  @Test func rootTheOwnUserAndTheGroupAreAllowed() {
    let policy = AdminPolicy(user: 1000, group: 50)
    #expect(policy.allows(uid: 0, gid: 0, groups: []))
    #expect(policy.allows(uid: 1000, gid: 1000, groups: []))
    #expect(policy.allows(uid: 1001, gid: 50, groups: []))
    #expect(policy.allows(uid: 1001, gid: 1001, groups: [4, 50]))
    #expect(!policy.allows(uid: 1001, gid: 1001, groups: [4]))
    #expect(!policy.allows(uid: 1001, gid: 0, groups: [0]))
    #expect(!AdminPolicy(user: 1000, group: nil).allows(uid: 1001, gid: 50, groups: [50]))
  }
}

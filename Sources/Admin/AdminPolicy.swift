public import LinuxIO

/// Who may ask for something over the admin socket: root, the front door's own user, and the admin group.
public struct AdminPolicy: Equatable, Sendable {
  /// The front door's.
  public let user: UInt32
  /// nil: no group.
  public let group: UInt32?

  public init(user: UInt32 = Process.effectiveUserID, group: UInt32?) { (self.user, self.group) = (user, group) }

  /// Judges the peer of a connection by what the kernel recorded when it connected (SO_PEERCRED, unix(7)).
  public func admit(_ connection: borrowing Descriptor) -> HTTPServer.Admission {
    guard let peer = try? PeerCredentials(of: connection) else { return .refused("the client cannot be identified") }
    let groups = peer.uid == 0 || peer.uid == user ? [] : PeerCredentials.groups(of: connection)
    if allows(uid: peer.uid, gid: peer.gid, groups: groups) { return .allowed(peer) }
    return .refused("user \(peer.uid) is neither root, nor user \(user), nor in the admin group")
  }

  func allows(uid: UInt32, gid: UInt32, groups: [UInt32]) -> Bool {
    if uid == 0 || uid == user { return true }
    guard let group else { return false }
    return gid == group || groups.contains(group)
  }
}

/// The folder of the admin socket. Who can write to it can put another socket in the place of ours.
enum AdminFolder {
  static func prepare(for path: String, group: UInt32?) throws(AdminSocket.Failure) {
    let folder = parentFolder(of: path)
    let user = Process.effectiveUserID
    let flaw: String?
    do throws(Errno) {
      if try isMissing(folder) {
        let mode: UInt32 = user == 0 || group != nil ? 0o755 : 0o700
        try FileSystem.makeFolders(folder, mode: mode)
        // mkdir(2) takes the umask off.
        try FileSystem.setMode(folder, mode)
      }
      let link = try FileStatus(linkAt: folder)
      let status = try FileStatus(path: folder)
      let groups = [0, Process.effectiveGroupID] + (group.map { [$0] } ?? [])
      flaw = Self.flaw(of: status, link: link, user: user, groups: groups)
    } catch {
      throw AdminSocket.Failure(path, "its folder \(folder): \(error)")
    }
    if let flaw { throw AdminSocket.Failure(path, "its folder \(folder) \(flaw)") }
  }

  private static func isMissing(_ folder: String) throws(Errno) -> Bool {
    do throws(Errno) {
      _ = try FileStatus(linkAt: folder)
      return false
    } catch {
      if error == .noSuchFile { return true }
      throw error
    }
  }

  /// What is wrong with a folder; nil where nothing is.
  /// - Parameters:
  ///   - link: what lstat(2) says of it: somebody else's symbolic link could lead elsewhere tomorrow.
  ///   - groups: that may write to it.
  static func flaw(of status: FileStatus, link: FileStatus, user: UInt32, groups: [UInt32]) -> String? {
    guard status.isFolder else { return "is no folder" }
    for owner in [link.uid, status.uid] where owner != 0 && owner != user {
      return "belongs to user \(owner); it must belong to root or to user \(user)"
    }
    // The sticky bit only keeps others from deleting what is there, not from being there first.
    if status.mode & 0o002 != 0 { return "can be written by everybody" }
    if status.mode & 0o020 != 0, !groups.contains(status.gid) {
      return "can be written by group \(status.gid)"
    }
    return nil
  }
}

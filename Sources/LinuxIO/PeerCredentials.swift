import CLinux

/// Who is at the other end of an AF_UNIX connection, as the kernel recorded it: SO_PEERCRED, unix(7).
public struct PeerCredentials: Equatable, Sendable {
  public let uid: UInt32
  public let gid: UInt32
  public let pid: Int32

  public init(of socket: borrowing Descriptor) throws(Errno) {
    var uid: UInt32 = 0
    var gid: UInt32 = 0
    var pid: Int32 = 0
    try checked(unsafe linux_peer_credentials(socket.number, &uid, &gid, &pid))
    (self.uid, self.gid, self.pid) = (uid, gid, pid)
  }

  /// The peer's supplementary groups: SO_PEERGROUPS. Empty where there are more than `limit`.
  public static func groups(of socket: borrowing Descriptor, limit: Int = 1024) -> [UInt32] {
    var groups = [UInt32](repeating: 0, count: limit)
    let count = unsafe linux_peer_groups(socket.number, &groups, Int32(limit))
    return count > 0 ? Array(groups.prefix(Int(count))) : []
  }
}

/// The id of a group by its name; nil where there is no such group.
public func groupID(named name: String) -> UInt32? {
  UInt32(exactly: unsafe linux_group_named(name))
}

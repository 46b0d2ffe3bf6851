public import LinuxIO

/// The Unix socket at which the front door hears its operators. Who may connect is decided by its folder, its mode, and
/// once more at each connection by what the kernel knows of the peer: `AdminPolicy`.
public struct AdminSocket: ~Copyable {
  /// Why there is no admin socket.
  public struct Failure: Error, Equatable, CustomStringConvertible {
    public let path: String
    public let reason: String
    /// The process that serves this socket already, where that is the reason and it can be told.
    public let holder: Int32?
    public var description: String { "admin socket \(path): \(reason)" }

    init(_ path: String, _ reason: String, holder: Int32? = nil) {
      (self.path, self.reason, self.holder) = (path, reason, holder)
    }
  }

  /// The most that a mode may allow: owner and group.
  public static let widestMode: UInt32 = 0o660
  /// unix(7).
  private static let longestPath = 107

  public let path: String
  /// Whom to let in: for `HTTPServer.init(admit:)`.
  public let policy: AdminPolicy
  private let status: FileStatus
  private var listener: Descriptor

  /// Makes the socket and listens. May wait up to a second for another start on the same path.
  /// - Parameters:
  ///   - path: 1 ... 107 bytes (unix(7)). A missing folder is made: 0755 as root or where a group is to get in, 0700
  ///     otherwise. A socket that nobody serves is replaced; anything else that exists is left alone, and an error.
  ///   - mode: of the socket file, at most 0660.
  ///   - group: by name; its members may connect.
  public init(path: String, mode: UInt32 = 0o660, group name: String? = nil) throws(Failure) {
    guard mode & ~Self.widestMode == 0 else { throw Failure(path, "the mode may not allow more than 0660") }
    guard (1...Self.longestPath).contains(path.utf8.count) else {
      throw Failure(path, "the path has \(path.utf8.count) bytes; that of a socket has 1 to \(Self.longestPath)")
    }
    let group = name.flatMap { groupID(named: $0) }
    if let name, group == nil { throw Failure(path, "there is no group \(name)") }
    try AdminFolder.prepare(for: path, group: group)
    // Held until the socket listens: what one start finds stale may be what another has just made.
    let lock = try Self.lock(path)
    try Self.removeStale(path)
    let socket = try Self.bind(path, mode: mode, group: group)
    let status = try Self.status(of: path)
    _ = consume lock
    self.path = path
    policy = AdminPolicy(group: group)
    self.status = status
    listener = socket
  }

  /// The listening socket, for an `HTTPServer` to own. Only the first call gets it.
  public mutating func takeListener() -> Descriptor {
    var taken = Descriptor.none
    swap(&taken, &listener)
    return taken
  }

  /// Deletes the file, if it is still the one that was made here. To be called before the listener is closed: until
  /// then no other file can have the same inode.
  public func removeFile() {
    // Where another start holds the lock, it will find the file stale and replace it.
    guard let lock = try? FileLock(path: Self.lockPath(path)) else { return }
    if let present = try? FileStatus(linkAt: path), present.inode == status.inode, present.device == status.device {
      try? FileSystem.unlink(path)
    }
    _ = consume lock
  }

  // MARK: Steps

  /// A file of its own that only the front door's user can open: a lock on the folder could be taken, and starting
  /// thereby be prevented, by anybody who may read the folder.
  private static func lockPath(_ path: String) -> String {
    let name = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path[path.index(after: $0)...] } ?? path[...]
    return parentFolder(of: path) + "/.\(name).lock"
  }

  private static func lock(_ path: String) throws(Failure) -> FileLock {
    let attempts = 50
    for attempt in 1...attempts {
      do {
        return try FileLock(path: lockPath(path))
      } catch let held as FileLock.Held {
        if attempt == attempts {
          throw Failure(path, "another process is starting at the same path", holder: held.holder)
        }
        Process.pause(milliseconds: 20)
      } catch {
        throw Failure(path, "cannot lock \(lockPath(path)): \(error)")
      }
    }
    throw Failure(path, "another process is starting at the same path")
  }

  private static func bind(_ path: String, mode: UInt32, group: UInt32?) throws(Failure) -> Descriptor {
    do throws(Errno) {
      // Only its own user may connect until its group is right, and nobody can until it listens.
      let socket = try Descriptor.boundLocal(path: path, mode: 0o600)
      if let group { try FileSystem.setGroup(path, group) }
      try FileSystem.setMode(path, mode)
      try socket.startListening()
      return socket
    } catch {
      throw Failure(path, "\(error)")
    }
  }

  private static func status(of path: String) throws(Failure) -> FileStatus {
    do { return try FileStatus(linkAt: path) } catch { throw Failure(path, "\(error)") }
  }

  /// Deletes a socket file that nobody serves.
  private static func removeStale(_ path: String) throws(Failure) {
    let obstacle: Failure?
    do throws(Errno) { obstacle = try whatIsInTheWay(at: path) } catch { throw Failure(path, "\(error)") }
    if let obstacle { throw obstacle }
  }

  private static func whatIsInTheWay(at path: String) throws(Errno) -> Failure? {
    do throws(Errno) {
      guard try FileStatus(linkAt: path).isSocket else {
        return Failure(path, "something that is no socket is there; it was left alone")
      }
    } catch {
      if error == .noSuchFile { return nil }
      throw error
    }
    let address = try SocketAddress(path: path)
    let probe = try Descriptor.streamSocket(for: address)
    switch probe.connect(to: address) {
    case .failed(.connectionRefused):
      try FileSystem.unlink(path)
      return nil
    case .connected:
      let holder = try? PeerCredentials(of: probe).pid
      return Failure(path, "process \(holder.map { "\($0)" } ?? "unknown") serves it already", holder: holder)
    // AF_UNIX says EAGAIN where the backlog is full: somebody listens.
    case .inProgress, .failed(.wouldBlock): return Failure(path, "another process serves it already")
    case .failed(let error): throw error
    }
  }
}

import LinuxIO

/// One side of a session, seen from this process: a socket and what is known of its readiness.
///
/// Readiness is edge-triggered: the kernel tells a change once, and it is remembered here until a call has said
/// `wouldBlock` or has taken all there was.
struct Endpoint: ~Copyable {
  let socket: Descriptor
  var isReadable = false
  var isWritable = false
  /// A read that comes back short does not mean that the socket is empty: FIN was announced and is still to be found,
  /// or the kernel ends reads early: at an urgent byte (tcp(7)), at descriptors in AF_UNIX (unix(7)). Reading goes on
  /// until a call has said `wouldBlock`.
  var shortReadsMislead: Bool
  /// The connection was reset or has failed. A later end of file on it is no FIN.
  var isBroken = false

  init(_ socket: consuming Descriptor, family: SocketAddress.Family) {
    self.socket = socket
    shortReadsMislead = family == .local
  }

  static var absent: Endpoint { Endpoint(.none, family: .local) }

  mutating func absorb(_ readiness: Readiness) {
    if readiness.contains(.error) { isBroken = true }
    // After an error or a hang-up every call answers at once, so both directions are to be tried.
    let isOver = !readiness.isDisjoint(with: [.error, .hangUp])
    if isOver || readiness.contains(.readable) { isReadable = true }
    if isOver || readiness.contains(.writable) { isWritable = true }
    if !readiness.isDisjoint(with: [.readHangUp, .hangUp, .error, .urgent]) {
      shortReadsMislead = true
      isReadable = true
    }
  }
}

import LinuxIO

/// What one client is to be sent and has not been yet: bytes of this connection, and behind them a body that others may be
/// sent as well.
struct Outgoing {
  /// A larger body is not copied behind its head.
  private static let copied = 16 * 1024
  /// Kept for the next answer where it is small; more must not stay with an idle connection.
  private static let kept = 4096
  /// What has been sent is thrown away in pieces of this size.
  private static let piece = 65_536

  private var own: [UInt8] = []
  /// What of `own` has been sent.
  private var ownStart = 0
  private var body: [UInt8] = []
  private var bodyStart = 0

  var isEmpty: Bool { ownBytes == 0 && bodyStart == body.count }

  /// Of this connection alone.
  var ownBytes: Int { own.count - ownStart }

  /// What it may share with other connections, named by its place in memory.
  var sharedBody: (identity: UInt, size: Int)? {
    if body.isEmpty { return nil }
    return unsafe body.withUnsafeBufferPointer { (UInt(bitPattern: $0.baseAddress), $0.count) }
  }

  /// Nothing is added behind a body before that has been sent.
  static func += (outgoing: inout Outgoing, bytes: [UInt8]) { outgoing.own += bytes }

  mutating func add(body bytes: [UInt8]) {
    if bytes.count <= Self.copied { own += bytes } else { (body, bodyStart) = (bytes, 0) }
  }

  /// Sends once, at most so many bytes; there are some.
  mutating func send(over descriptor: borrowing Descriptor, atMost limit: Int) -> Transfer {
    let sendsOwn = ownBytes > 0
    let sent =
      sendsOwn
      ? descriptor.send(own[ownStart..<min(own.count, ownStart + limit)])
      : descriptor.send(body[bodyStart..<min(body.count, bodyStart + limit)])
    if case .bytes(let count) = sent {
      if sendsOwn { ownStart += count } else { bodyStart += count }
    }
    return sent
  }

  /// Lets go of what has been sent.
  mutating func trim() {
    if bodyStart == body.count { (body, bodyStart) = ([], 0) }
    if ownStart == own.count {
      own.removeAll(keepingCapacity: own.count <= Self.kept)
      ownStart = 0
    } else if ownStart >= Self.piece {
      own.removeFirst(ownStart)
      ownStart = 0
    }
  }
}

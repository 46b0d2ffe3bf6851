import LinuxIO

/// One direction of a session: bytes and then FIN, from a source to a sink.
///
/// The invariant: whoever leaves bytes undelivered leaves readiness known or work deferred. `pump` returns only when
/// the source is known to be empty, the sink is known to be full, everything including FIN has been handed on, one of
/// the two is broken, or its budget is spent (`moreToDo`, and the caller comes back).
@safe struct Flow: ~Copyable {
  enum Outcome {
    /// An event will tell when to go on.
    case waiting
    /// The budget is spent and there may be more.
    case moreToDo
    /// FIN has been handed on: this direction is over.
    case ended
    /// The source was reset, and all that it had sent before has been handed on.
    case sourceBroken
    case sinkBroken
  }

  /// Four full reads: long enough to keep a bulk transfer going, short enough that it delays nobody for more than some
  /// hundred microseconds.
  static let byteBudget = 4 * BufferPool.bufferSize

  private enum End { case open, finReceived, finSent }

  /// Bytes that the sink did not take; nil while nothing is held.
  private var held: UnsafeMutableRawPointer?
  private var heldStart: Int32 = 0
  private var heldEnd: Int32 = 0
  private var end = End.open
  /// Bytes received from the source since the session began.
  private(set) var bytes: UInt64 = 0

  init() { unsafe held = nil }

  var hasEnded: Bool { end == .finSent }
  var hasHeldBytes: Bool { unsafe held != nil }

  /// Moves what can be moved now.
  mutating func pump(from source: inout Endpoint, to sink: inout Endpoint, _ lane: inout Lane) -> Outcome {
    var budget = Self.byteBudget
    while true {
      if hasHeldBytes {
        guard sink.isWritable else { return sink.isBroken ? .sinkBroken : .waiting }
        guard sendHeld(to: &sink, &lane) else { return sink.isBroken ? .sinkBroken : .waiting }
      }
      switch end {
      case .open: break
      case .finReceived:
        // Also where the sink is gone already: then there is nobody to tell.
        sink.socket.shutdownWrite()
        end = .finSent
        return .ended
      case .finSent: return source.isBroken ? .sourceBroken : .ended
      }
      guard source.isReadable else { return .waiting }
      guard budget > 0 else { return .moreToDo }
      switch unsafe source.socket.receive(into: lane.scratch) {
      case .bytes(let count):
        budget -= count
        bytes &+= UInt64(count)
        // A short read has emptied the socket, and new bytes are a new edge: epoll(7).
        if count < BufferPool.bufferSize && !source.shortReadsMislead { source.isReadable = false }
        guard send(count, to: &sink, &lane) else { return .sinkBroken }
      case .wouldBlock:
        source.isReadable = false
        return .waiting
      case .endOfFile:
        if source.isBroken { return .sourceBroken }
        source.isReadable = false
        end = .finReceived
      case .failed:
        source.isBroken = true
        source.isReadable = false
        return .sourceBroken
      }
    }
  }

  /// Lets go of what is held: the session is over.
  mutating func discard(_ lane: inout Lane) {
    if let buffer = unsafe held { unsafe lane.pool.give(back: buffer) }
    unsafe held = nil
  }

  /// Sends the first `count` bytes of the scratch buffer; what the sink does not take is held. False: it is broken.
  private mutating func send(_ count: Int, to sink: inout Endpoint, _ lane: inout Lane) -> Bool {
    var sent = 0
    if sink.isWritable {
      switch unsafe sink.socket.send(UnsafeRawBufferPointer(rebasing: lane.scratch[..<count])) {
      case .bytes(count): return true
      case .bytes(let part): sent = part
      case .wouldBlock, .endOfFile: break
      case .failed:
        sink.isBroken = true
        return false
      }
      sink.isWritable = false
    } else if sink.isBroken {
      return false
    }
    let buffer = unsafe lane.pool.take()
    unsafe buffer.copyMemory(from: lane.scratch.baseAddress! + sent, byteCount: count - sent)
    unsafe held = buffer
    heldStart = 0
    heldEnd = Int32(count - sent)
    return true
  }

  /// True: nothing is held any more.
  private mutating func sendHeld(to sink: inout Endpoint, _ lane: inout Lane) -> Bool {
    guard let buffer = unsafe held else { return true }
    let count = Int(heldEnd - heldStart)
    switch unsafe sink.socket.send(UnsafeRawBufferPointer(start: buffer + Int(heldStart), count: count)) {
    case .bytes(count):
      unsafe lane.pool.give(back: buffer)
      unsafe held = nil
      return true
    case .bytes(let part):
      heldStart += Int32(part)
      sink.isWritable = false
    case .wouldBlock, .endOfFile: sink.isWritable = false
    case .failed: sink.isBroken = true
    }
    return false
  }
}

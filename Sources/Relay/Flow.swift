import EventCore
import LinuxIO

/// What looks at the bytes of one direction on their way. Static, so that a flow which nobody watches pays nothing.
protocol FlowWatch {
  /// How many of the bytes, from the first, may go on now. With the rest it is asked again at the next pump, or, of what
  /// a backend sends, it is thrown away.
  static func admit(_ bytes: UnsafeRawBufferPointer, _ exchange: inout Exchange, _ lane: inout Lane) -> Int
  static var keepsRest: Bool { get }
  /// How many of the bytes to come may go on without being looked at: through a pipe. What went so is told.
  static func unseen(_ exchange: borrowing Exchange) -> Int
  static func passUnseen(_ count: Int, _ exchange: inout Exchange)
  /// The source has sent FIN, after all of its bytes: whether the sink is to be told.
  static func passesEnd(_ exchange: inout Exchange) -> Bool
}

/// Nobody watches: protocol tcp, and sessions whose boundaries are not known.
enum Unwatched: FlowWatch {
  @inline(__always)
  static func admit(_ bytes: UnsafeRawBufferPointer, _: inout Exchange, _: inout Lane) -> Int { bytes.count }
  static var keepsRest: Bool { true }
  @inline(__always)
  static func unseen(_: borrowing Exchange) -> Int { .max }
  @inline(__always)
  static func passUnseen(_: Int, _: inout Exchange) {}
  @inline(__always)
  static func passesEnd(_: inout Exchange) -> Bool { true }
}

/// One direction of a session: bytes and then FIN, from a source to a sink.
///
/// The invariant: whoever leaves bytes undelivered leaves readiness known or work deferred. `pump` returns only when
/// the source is known to be empty, the sink is known to be full, everything including FIN has been handed on, one of
/// the two is broken, its budget is spent (`moreToDo`, and the caller comes back), or its watch stops it.
///
/// What the sink does not take is held: in a buffer, or, in a sustained transfer, in the pipe that it went into without
/// being copied. Never in both, and nothing new is taken from the source before it is gone; FIN comes behind it.
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
    /// The watch lets no more bytes go on at present; what came with them is held.
    case gated
    /// The source has sent bytes that belong to nothing. They were thrown away.
    case surplus
    /// The source has sent FIN, and the watch does not pass it on.
    case sourceEnded
  }

  /// One pipe: long enough to keep a bulk transfer going, short enough that it delays nobody for more than some hundred
  /// microseconds.
  static let byteBudget = PipePool.largestPipe
  /// Full reads, one after another, that make a transfer a sustained one.
  private static let sustained: UInt8 = 4
  /// A sustained transfer of which so little comes at a time is none any more after `sustained` of them; more than that
  /// may go unseen before a pipe pays.
  private static let little = 16_384

  private enum End { case open, finReceived, finSent }

  /// Bytes that the sink did not take, and after them bytes that may not go on yet; nil while there are none.
  private var held: UnsafeMutableRawPointer?
  private var heldStart: Int32 = 0
  /// Up to here they were admitted.
  private var heldAdmitted: Int32 = 0
  private var heldEnd: Int32 = 0
  /// Bytes in the pipe.
  private var piped: Int32 = 0
  /// The pipe that bytes are in; of no meaning while there are none.
  private var pipe = Token(rawValue: 0)
  private var end = End.open
  /// Full reads one after another; `sustained` and more, those that brought little count against it.
  private var fullReads: UInt8 = 0
  private var heldIsLarge = false
  /// Bytes received from the source since the session began.
  private(set) var bytes: UInt64 = 0

  init() { unsafe held = nil }

  var hasEnded: Bool { end == .finSent }
  var hasHeldBytes: Bool { hasBuffer || piped > 0 }
  /// Held bytes that were admitted: the sink has to take them.
  var hasAdmittedBytes: Bool { hasBuffer && heldAdmitted > heldStart || piped > 0 }
  private var hasBuffer: Bool { unsafe held != nil }

  /// Moves what can be moved now.
  mutating func pump<Watch: FlowWatch>(
    _: Watch.Type, from source: inout Endpoint, to sink: inout Endpoint, _ lane: inout Lane,
    _ exchange: inout Exchange
  ) -> Outcome {
    var budget = Self.byteBudget
    while true {
      if hasBuffer {
        admitHeld(Watch.self, &lane, &exchange)
        if hasAdmittedBytes {
          guard sink.isWritable, sendHeld(to: &sink, &lane) else { return sink.isBroken ? .sinkBroken : .waiting }
        }
        if hasBuffer { return .gated }
      } else if piped > 0 {
        guard sink.isWritable, drainPipe(into: &sink, &lane) else { return sink.isBroken ? .sinkBroken : .waiting }
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
      if fullReads >= Self.sustained, let spliced = splice(Watch.self, from: source, &lane, &exchange) {
        switch spliced {
        case .bytes(let count):
          budget -= count
          continue
        case .wouldBlock:
          source.isReadable = false
          return .waiting
        case .failed(let errno) where !errno.isRefusal:
          source.isBroken = true
          source.isReadable = false
          return .sourceBroken
        case .endOfFile, .failed: fullReads = 0
        }
      }
      let room = fullReads >= Self.sustained ? lane.largeRead : Lane.bufferSize
      switch unsafe source.socket.receive(into: UnsafeMutableRawBufferPointer(rebasing: lane.scratch[..<room])) {
      case .bytes(let count):
        budget -= count
        bytes &+= UInt64(count)
        fullReads = count >= Lane.bufferSize ? min(fullReads + 1, Self.sustained) : 0
        // A short read has emptied the socket, and new bytes are a new edge: epoll(7).
        if count < room && !source.shortReadsMislead { source.isReadable = false }
        let admitted = unsafe Watch.admit(UnsafeRawBufferPointer(rebasing: lane.scratch[..<count]), &exchange, &lane)
        let kept = Watch.keepsRest ? count : admitted
        guard send(admitted, of: kept, to: &sink, &lane) else { return .sinkBroken }
        if admitted < count && !Watch.keepsRest { return .surplus }
      case .wouldBlock:
        source.isReadable = false
        return .waiting
      case .endOfFile:
        if source.isBroken { return .sourceBroken }
        source.isReadable = false
        guard Watch.passesEnd(&exchange) else { return .sourceEnded }
        end = .finReceived
      case .failed:
        source.isBroken = true
        source.isReadable = false
        return .sourceBroken
      }
    }
  }

  // MARK: Through a pipe

  /// Takes what the source has into a pipe; nil where it has to be copied.
  ///
  /// The pipe is empty before, so `wouldBlock` says that the source is. Where a short read would mislead, so would that
  /// (splice(2) stops at an urgent byte, too), and what there still is, is copied.
  private mutating func splice<Watch: FlowWatch>(
    _: Watch.Type, from source: borrowing Endpoint, _ lane: inout Lane, _ exchange: inout Exchange
  ) -> Transfer? {
    let unseen = Watch.unseen(exchange)
    guard unseen > Self.little, !source.shortReadsMislead, !source.isBroken, let pipe = lane.pipes.take() else {
      return nil
    }
    let result = lane.pipes.fill(pipe, from: source.socket, atMost: unseen)
    guard case .bytes(let count) = result else {
      lane.pipes.giveBack(pipe)
      return result
    }
    self.pipe = pipe
    piped = Int32(count)
    bytes &+= UInt64(count)
    Watch.passUnseen(count, &exchange)
    fullReads = count > Self.little ? Self.sustained : fullReads + 1
    if fullReads == 2 * Self.sustained { fullReads = 0 }
    return result
  }

  /// True: the pipe is empty. Only a call that would block says that the sink takes no more: the kernel hands on piece by
  /// piece and may stop in between.
  private mutating func drainPipe(into sink: inout Endpoint, _ lane: inout Lane) -> Bool {
    while piped > 0 {
      switch lane.pipes.drain(pipe, into: sink.socket, atMost: Int(piped)) {
      case .bytes(let count): piped -= Int32(count)
      case .wouldBlock:
        sink.isWritable = false
        return false
      case .endOfFile, .failed:
        sink.isBroken = true
        return false
      }
    }
    lane.pipes.giveBack(pipe)
    return true
  }

  private mutating func dropPipe(_ lane: inout Lane) {
    if piped > 0 { lane.pipes.drop(pipe) }
    piped = 0
  }

  /// Lets go of what is held: the session is over.
  mutating func discard(_ lane: inout Lane) {
    dropBuffer(&lane)
    dropPipe(&lane)
  }

  private mutating func dropBuffer(_ lane: inout Lane) {
    guard let buffer = unsafe held else { return }
    if heldIsLarge { unsafe lane.largeBuffers.give(back: buffer) } else { unsafe lane.buffers.give(back: buffer) }
    unsafe held = nil
  }

  /// Sends the first `admitted` bytes of the scratch buffer. What the sink does not take of them is held, and with it
  /// the rest up to `count`. False: the sink is broken.
  private mutating func send(_ admitted: Int, of count: Int, to sink: inout Endpoint, _ lane: inout Lane) -> Bool {
    var sent = 0
    if admitted > 0 {
      if sink.isWritable {
        switch unsafe sink.socket.send(UnsafeRawBufferPointer(rebasing: lane.scratch[..<admitted])) {
        case .bytes(let part): sent = part
        case .wouldBlock, .endOfFile: break
        case .failed:
          sink.isBroken = true
          // Whoever sends the admitted bytes again has a copy of them.
          sent = admitted
        }
        if sent < admitted { sink.isWritable = false }
      } else if sink.isBroken {
        sent = admitted
      }
    }
    if sent < count {
      heldIsLarge = count - sent > Lane.bufferSize
      let buffer = unsafe heldIsLarge ? lane.largeBuffers.take() : lane.buffers.take()
      unsafe buffer.copyMemory(from: lane.scratch.baseAddress! + sent, byteCount: count - sent)
      unsafe held = buffer
      heldStart = 0
      heldAdmitted = Int32(admitted - sent)
      heldEnd = Int32(count - sent)
    }
    return admitted == 0 || !sink.isBroken
  }

  // MARK: What is held

  private mutating func admitHeld<Watch: FlowWatch>(_: Watch.Type, _ lane: inout Lane, _ exchange: inout Exchange) {
    guard heldAdmitted < heldEnd, let buffer = unsafe held else { return }
    let rest = unsafe UnsafeRawBufferPointer(start: buffer + Int(heldAdmitted), count: Int(heldEnd - heldAdmitted))
    heldAdmitted += Int32(unsafe Watch.admit(rest, &exchange, &lane))
  }

  /// True: no admitted bytes are held any more.
  private mutating func sendHeld(to sink: inout Endpoint, _ lane: inout Lane) -> Bool {
    guard let buffer = unsafe held else { return true }
    let count = Int(heldAdmitted - heldStart)
    switch unsafe sink.socket.send(UnsafeRawBufferPointer(start: buffer + Int(heldStart), count: count)) {
    case .bytes(count):
      heldStart = heldAdmitted
      if heldStart == heldEnd { dropBuffer(&lane) }
      return true
    case .bytes(let part):
      heldStart += Int32(part)
      sink.isWritable = false
    case .wouldBlock, .endOfFile: sink.isWritable = false
    case .failed: sink.isBroken = true
    }
    return false
  }

  /// Lets go of admitted bytes that are held: nobody is there to take them any more.
  mutating func dropAdmitted(_ lane: inout Lane) {
    dropPipe(&lane)
    guard hasBuffer else { return }
    heldStart = heldAdmitted
    if heldStart == heldEnd { dropBuffer(&lane) }
  }

  private var waitingCount: Int { hasBuffer ? Int(heldEnd - heldAdmitted) : 0 }

  /// Whether so many bytes can be put before those that wait to be admitted.
  func hasRoom(for count: Int) -> Bool { piped == 0 && waitingCount + count <= Lane.bufferSize }

  /// Puts bytes that were admitted before, and are to be sent again, before those that wait to be admitted. There has to
  /// be room. Admitted bytes that are still held are among them, so these are dropped. FIN is sent again as well.
  mutating func putBack(_ bytes: UnsafeRawBufferPointer, _ lane: inout Lane) {
    precondition(hasRoom(for: bytes.count))
    let rest = waitingCount
    if !hasBuffer { heldIsLarge = false }
    let buffer = unsafe held ?? lane.buffers.take()
    // The two may overlap: memmove(3).
    unsafe (buffer + bytes.count).copyMemory(from: buffer + Int(heldEnd) - rest, byteCount: rest)
    if let start = bytes.baseAddress { unsafe buffer.copyMemory(from: start, byteCount: bytes.count) }
    unsafe held = buffer
    heldStart = 0
    heldAdmitted = Int32(bytes.count)
    heldEnd = Int32(bytes.count + rest)
    if end == .finSent { end = .finReceived }
  }

  /// Lets somebody look at what is held.
  func peekHeld(_ look: (UnsafeRawBufferPointer) -> Void) {
    guard let buffer = unsafe held else { return }
    unsafe look(UnsafeRawBufferPointer(start: buffer + Int(heldStart), count: Int(heldEnd - heldStart)))
  }
}

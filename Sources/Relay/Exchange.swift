import HTTPFraming
import Switching

/// What protocol http knows of a session beside its bytes: where messages begin and end, what their claims said, and a
/// copy of what may have to be sent again.
@safe struct Exchange: ~Copyable {
  /// Why the last request may not go on.
  enum Gate: UInt8 {
    case open
    /// Its claim names the other color, or a hold is in force.
    case elsewhere
    /// Answers to those before it have to come first.
    case behindOthers
  }

  /// Opaque from the beginning where the protocol is tcp.
  var tracker = ExchangeTracker()
  let isHTTP: Bool
  let isPreview: Bool
  /// A hash of the client's address.
  let client: UInt32
  /// The color that the present backend belongs to.
  var color = Color.blue
  private(set) var gate = Gate.open
  /// Requests since they were last counted.
  private var uncounted: UInt32 = 0
  /// Requests that go to another target after they have met a close, and their bytes; until it is connected.
  private var resent: (requests: UInt16, bytes: UInt16) = (0, 0)

  /// The present backend has answered before: it may close while the next request is on its way.
  private var isReused = false
  /// The present backend has closed, or has sent what nobody asked for: it is asked nothing more.
  private(set) var isSpent = false
  /// All bytes of the requests that wait for an answer; nil while there are none, or it is of no use to have them.
  private var copy: UnsafeMutableRawPointer?
  private var copied: Int32 = 0
  private var copies = false

  init(isHTTP: Bool, isPreview: Bool, client: UInt32) {
    self.isHTTP = isHTTP
    self.isPreview = isPreview
    self.client = client
    unsafe copy = nil
    if !isHTTP { tracker.becomeOpaque(.notHTTP) }
  }

  var isWatched: Bool { !tracker.isOpaque }

  mutating func takeUncounted() -> UInt32 {
    defer { uncounted = 0 }
    return uncounted
  }

  mutating func takeResent() -> (requests: UInt16, bytes: UInt16) {
    defer { resent = (0, 0) }
    return resent
  }

  /// Whether what begins now would go elsewhere: the present backend can be let go of. Decides nothing: a request that
  /// comes makes its own claim.
  func pointsElsewhere(_ lane: borrowing Lane) -> Bool {
    let claim = lane.claim(isPreview: isPreview, client: client)
    return claim.holds || claim.assignment.color != color
  }

  // MARK: Requests

  /// The next request begins, if its claim and those before it allow.
  fileprivate mutating func begin(_ lane: borrowing Lane) -> Bool {
    guard tracker.mayBegin, !isSpent else {
      gate = .behindOthers
      return false
    }
    if pointsElsewhere(lane) {
      gate = .elsewhere
      return false
    }
    gate = .open
    if tracker.outstanding == 0 { copies = isReused }
    tracker.beginRequest()
    uncounted &+= 1
    return true
  }

  fileprivate mutating func keepCopy(_ bytes: UnsafeRawBufferPointer, _ lane: inout Lane) {
    guard copies, bytes.count > 0, let start = bytes.baseAddress else { return }
    guard tracker.isIdempotent, Int(copied) + bytes.count <= Lane.copySize else {
      dropCopy(&lane)
      return
    }
    let copy = unsafe copy ?? lane.copies.take()
    unsafe (copy + Int(copied)).copyMemory(from: start, byteCount: bytes.count)
    unsafe self.copy = copy
    copied += Int32(bytes.count)
  }

  /// What comes of the request is copied, as long as it is little.
  fileprivate var mayBeSentAgain: Bool { copies }

  /// What is outstanding can not be sent again, or need not.
  mutating func dropCopy(_ lane: inout Lane) {
    copies = false
    copied = 0
    guard let copy = unsafe copy else { return }
    unsafe lane.copies.give(back: copy)
    unsafe self.copy = nil
  }

  // MARK: Answers

  fileprivate mutating func answered(_ lane: inout Lane, ended: Bool) {
    if copies { dropCopy(&lane) }
    if ended { isReused = true }
  }

  // MARK: Sending again

  /// Whether requests that met the close of an idle backend can be sent again: nothing of an answer has come, their
  /// methods are idempotent (RFC 9110 §9.2.2), and all of their bytes are at hand.
  var canSendAgain: Bool {
    copies && copied > 0 && tracker.outstanding > 0 && !tracker.hasAnswerBegun && tracker.isIdempotent
  }

  func canSendAgain(after flow: borrowing Flow) -> Bool { canSendAgain && flow.hasRoom(for: Int(copied)) }

  /// Puts the copy before what waits in the flow. A second time there is no copy: the backend will be a fresh one.
  mutating func sendAgain(by flow: inout Flow, _ lane: inout Lane) {
    guard let copy = unsafe copy else { return }
    resent = (UInt16(clamping: tracker.outstanding), UInt16(clamping: copied))
    unsafe flow.putBack(UnsafeRawBufferPointer(start: copy, count: Int(copied)), &lane)
    dropCopy(&lane)
  }

  mutating func backendIsSpent() { isSpent = true }

  mutating func leftBackend() { (isReused, isSpent) = (false, false) }

  // MARK: Refusing

  /// Whether the client can be given an answer that no backend gave: it waits for one, and is not in the middle of it.
  var canBeAnswered: Bool {
    isHTTP && isWatched && !tracker.hasAnswerBegun && tracker.outstanding > 0
  }

  /// Whether the answer that the client waits for has no body, as far as its bytes tell. They may not have been looked
  /// at yet.
  mutating func expectsNoBody(_ bytes: UnsafeRawBufferPointer) -> Bool {
    if tracker.outstanding == 0, isWatched {
      let bytes = unsafe bytes.assumingMemoryBound(to: UInt8.self)
      let span = unsafe bytes.span
      let start = tracker.isBetweenRequests ? tracker.skipEmptyLines(span, from: 0) : 0
      if start < span.count, tracker.isBetweenRequests, tracker.mayBegin {
        tracker.beginRequest()
        _ = tracker.takeRequest(span, from: start)
      }
    }
    return tracker.expectsNoBody
  }
}

/// From the client: each request makes its claim before its first byte goes on.
enum Requests: FlowWatch {
  static var keepsRest: Bool { true }

  static func admit(_ bytes: UnsafeRawBufferPointer, _ exchange: inout Exchange, _ lane: inout Lane) -> Int {
    let typed = unsafe bytes.assumingMemoryBound(to: UInt8.self)
    let span = unsafe typed.span
    var offset = 0
    while offset < span.count {
      if exchange.tracker.isOpaque { return span.count }
      if exchange.tracker.isBetweenRequests {
        offset = exchange.tracker.skipEmptyLines(span, from: offset)
        guard offset < span.count, exchange.begin(lane) else { break }
      }
      offset = exchange.tracker.takeRequest(span, from: offset)
    }
    unsafe exchange.keepCopy(UnsafeRawBufferPointer(rebasing: bytes[..<offset]), &lane)
    return offset
  }

  /// Of a body whose length is known, all but the last byte, with which the request ends.
  static func unseen(_ exchange: borrowing Exchange) -> Int {
    exchange.mayBeSentAgain ? 0 : exchange.tracker.unseenOfRequest
  }

  static func passUnseen(_ count: Int, _ exchange: inout Exchange) { exchange.tracker.passRequest(count) }

  static func passesEnd(_: inout Exchange) -> Bool { true }
}

/// From the backend: answers to what is outstanding. Anything else is no answer to the next request (a 408 that an idle
/// backend sends before it closes, say), and nobody's.
enum Answers: FlowWatch {
  static var keepsRest: Bool { false }

  static func admit(_ bytes: UnsafeRawBufferPointer, _ exchange: inout Exchange, _ lane: inout Lane) -> Int {
    let typed = unsafe bytes.assumingMemoryBound(to: UInt8.self)
    let span = unsafe typed.span
    let before = exchange.tracker.outstanding
    var offset = 0
    while offset < span.count {
      let next = exchange.tracker.takeAnswer(span, from: offset)
      if next == offset { break }
      offset = next
    }
    if offset > 0 { exchange.answered(&lane, ended: exchange.tracker.outstanding < before) }
    if offset < span.count, !exchange.tracker.isBetweenRequests {
      // Its answer has ended, and the request goes on: whatever this is, the client may know what to make of it.
      exchange.tracker.becomeOpaque(.surplus)
      return span.count
    }
    return offset
  }

  static func unseen(_ exchange: borrowing Exchange) -> Int { exchange.tracker.unseenOfAnswer }

  static func passUnseen(_ count: Int, _ exchange: inout Exchange) { exchange.tracker.passAnswer(count) }

  /// FIN that an idle backend sends, or one that has met a request on its way, is not the client's matter.
  static func passesEnd(_ exchange: inout Exchange) -> Bool {
    exchange.tracker.backendEnded()
    return exchange.tracker.isOpaque || !(exchange.tracker.isIdle || exchange.canSendAgain)
  }
}

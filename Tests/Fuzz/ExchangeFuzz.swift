/// Any bytes as what a client and a backend send to each other: nothing traps, what is opaque stays so, and neither the
/// boundaries nor anything else that is said depends on the pieces in which the bytes come. Compiled together with the
/// sources of HTTPFraming.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzExchange(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count >= 2 else { return 0 }
  let bytes = Array(UnsafeBufferPointer(start: data, count: count))
  // The first two bytes say into what pieces the rest is cut, how many bytes a side sends before the other has its turn,
  // and how much of it is the client's.
  let step = Int(bytes[0] % 16) + 1
  let turn = bytes[0] < 16 ? Int.max : Int(bytes[0] / 16) * Int(bytes[0] / 16)
  let client = 2 + (bytes.count - 2) * Int(bytes[1]) / 255
  let (requests, answers) = (Array(bytes[2..<client]), Array(bytes[client...]))
  var whole = Conversation()
  whole.play(requests, answers, turn: turn, step: .max)
  var pieces = Conversation()
  pieces.play(requests, answers, turn: turn, step: step)
  precondition(whole.findings == pieces.findings, "\(pieces.findings) in pieces instead of \(whole.findings)")
  misuse(requests, answers)
  return 0
}

private struct Findings: Equatable {
  var begins: [Int] = []
  var ends: [Int] = []
  var answerEnds: [Int] = []
  var sent = 0
  var answered = 0
  var opacity: Opacity?
  var outstanding = 0
  var flags: [Bool] = []
}

private struct Conversation {
  var findings = Findings()
  private var tracker = ExchangeTracker()

  /// Each side sends until its turn is over or it may not go on, until nothing moves any more.
  mutating func play(_ client: [UInt8], _ backend: [UInt8], turn: Int, step: Int) {
    while true {
      let before = (findings.sent, findings.answered)
      take(client, from: findings.sent, turn, step) { $0.send($1) }
      take(backend, from: findings.answered, turn, step) { $0.answer($1) }
      if before == (findings.sent, findings.answered) { break }
    }
    note()
    let wasOpaque = tracker.isOpaque
    tracker.backendEnded()
    precondition(tracker.isOpaque == wasOpaque)
    findings.flags += [tracker.isLast, tracker.outstanding < findings.outstanding]
  }

  /// Gives at most `turn` bytes in pieces of `step`; ends early where not all of a piece is taken.
  private mutating func take(
    _ bytes: [UInt8], from start: Int, _ turn: Int, _ step: Int, by side: (inout Conversation, [UInt8]) -> Int
  ) {
    let end = start + min(turn, bytes.count - start)
    var offset = start
    while offset < end {
      let piece = Array(bytes[offset..<offset + min(step, end - offset)])
      let taken = side(&self, piece)
      offset += taken
      if taken < piece.count { return }
    }
  }

  private mutating func note() {
    findings.opacity = tracker.opacity
    findings.outstanding = tracker.outstanding
    findings.flags = [
      tracker.isBetweenRequests, tracker.mayBegin, tracker.isIdle, tracker.isLast, tracker.hasAnswerBegun,
      tracker.isIdempotent, tracker.expectsNoBody,
    ]
    precondition(!tracker.isIdle || tracker.outstanding == 0 && !tracker.isLast && tracker.isBetweenRequests)
    precondition(!tracker.isOpaque || !tracker.isIdle && !tracker.mayBegin && !tracker.isBetweenRequests)
  }

  private mutating func send(_ piece: [UInt8]) -> Int {
    var offset = 0
    while offset < piece.count, !tracker.isOpaque {
      if tracker.isBetweenRequests {
        offset = tracker.skipEmptyLines(piece.span, from: offset)
        guard offset < piece.count, tracker.mayBegin else { break }
        findings.begins.append(findings.sent + offset)
        tracker.beginRequest()
        continue
      }
      let end = tracker.takeRequest(piece.span, from: offset)
      precondition(end > offset && end <= piece.count, "it does not come forward")
      offset = end
      if tracker.isBetweenRequests { findings.ends.append(findings.sent + offset) }
    }
    if tracker.isOpaque { offset = piece.count }
    findings.sent += offset
    note()
    return offset
  }

  private mutating func answer(_ piece: [UInt8]) -> Int {
    let wasOpaque = tracker.isOpaque
    var offset = 0
    while offset < piece.count {
      let outstanding = tracker.outstanding
      let end = tracker.takeAnswer(piece.span, from: offset)
      precondition((offset...piece.count).contains(end) && (!wasOpaque || tracker.isOpaque && end == piece.count))
      precondition((0...outstanding).contains(tracker.outstanding))
      if end == offset { break }
      offset = end
      if !tracker.isOpaque, tracker.outstanding < outstanding { findings.answerEnds.append(findings.answered + end) }
    }
    findings.answered += offset
    note()
    return offset
  }
}

/// Calls in an order that no relay would make: nothing traps either.
private func misuse(_ script: [UInt8], _ bytes: [UInt8]) {
  var tracker = ExchangeTracker()
  var offset = 0
  for byte in script {
    switch byte % 6 {
    case 0: tracker.beginRequest()
    case 1: offset = tracker.skipEmptyLines(bytes.span, from: offset)
    case 2: offset = tracker.takeRequest(bytes.span, from: offset)
    case 3: offset = tracker.takeAnswer(bytes.span, from: offset)
    case 4: tracker.backendEnded()
    default: offset = Int(byte) % (bytes.count + 1)
    }
    precondition((0...bytes.count).contains(offset) && (0...64).contains(tracker.outstanding))
  }
}

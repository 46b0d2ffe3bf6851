/// Any bytes as what a client and a backend send to each other: nothing traps, what is opaque stays so, and the
/// boundaries do not depend on the pieces in which the bytes come. Compiled together with the sources of HTTPFraming.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzExchange(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count >= 2 else { return 0 }
  let bytes = Array(UnsafeBufferPointer(start: data, count: count))
  // The first two bytes say into what pieces the rest is cut, and how much of it the client sends.
  let step = Int(bytes[0] % 16) + 1
  let client = 2 + (bytes.count - 2) * Int(bytes[1]) / 255
  let expected = play(Array(bytes[2..<client]), Array(bytes[client...]), step: .max)
  let found = play(Array(bytes[2..<client]), Array(bytes[client...]), step: step)
  precondition(found == expected, "pieces of \(step): \(found) instead of \(expected)")
  return 0
}

private struct Findings: Equatable {
  var begins: [Int] = []
  var ends: [Int] = []
  var answerEnds: [Int] = []
  var sent = 0
  var answered = 0
  var opacity: Opacity?
}

/// The client sends until it may not go on, then the backend does, and so on until nothing moves any more.
private func play(_ client: [UInt8], _ backend: [UInt8], step: Int) -> Findings {
  var tracker = ExchangeTracker()
  var found = Findings()
  while true {
    let before = (found.sent, found.answered)
    while found.sent < client.count {
      let piece = client[found.sent..<min(client.count, found.sent + min(step, client.count))]
      let taken = send(Array(piece), &tracker, &found)
      if taken < piece.count { break }
    }
    while found.answered < backend.count {
      let piece = Array(backend[found.answered..<min(backend.count, found.answered + min(step, backend.count))])
      let outstanding = tracker.outstanding
      let wasOpaque = tracker.isOpaque
      let end = tracker.takeAnswer(piece.span, from: 0)
      precondition((0...piece.count).contains(end) && (!wasOpaque || tracker.isOpaque && end == piece.count))
      precondition(tracker.outstanding >= 0 && tracker.outstanding <= ExchangeTracker.mostOutstanding)
      found.answered += end
      if !tracker.isOpaque, tracker.outstanding < outstanding { found.answerEnds.append(found.answered) }
      if end == 0 { break }
    }
    if before == (found.sent, found.answered) { break }
  }
  found.opacity = tracker.opacity
  tracker.backendEnded()
  return found
}

private func send(_ piece: [UInt8], _ tracker: inout ExchangeTracker, _ found: inout Findings) -> Int {
  var offset = 0
  while offset < piece.count, !tracker.isOpaque {
    if tracker.isBetweenRequests {
      offset = tracker.skipEmptyLines(piece.span, from: offset)
      guard offset < piece.count, tracker.mayBegin else { break }
      found.begins.append(found.sent + offset)
      tracker.beginRequest()
      continue
    }
    let end = tracker.takeRequest(piece.span, from: offset)
    precondition(end > offset && end <= piece.count, "it does not come forward")
    offset = end
    if !tracker.isOpaque, tracker.isBetweenRequests { found.ends.append(found.sent + offset) }
  }
  if tracker.isOpaque { offset = piece.count }
  found.sent += offset
  return offset
}

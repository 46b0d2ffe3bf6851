import HTTPFraming
import Testing

/// Drives a tracker as a relay does, and notes where it finds boundaries.
struct Watcher: Equatable {
  var tracker = ExchangeTracker()
  /// Offsets in all that the client has sent: where requests began and ended.
  var begins: [Int] = []
  var ends: [Int] = []
  /// Offsets in all that the backend has sent.
  var answerEnds: [Int] = []
  /// Bytes that went on.
  var sent = 0
  var answered = 0
  /// What may go by without being looked at does.
  var passesUnseen = false

  static func == (a: Watcher, b: Watcher) -> Bool {
    a.begins == b.begins && a.ends == b.ends && a.answerEnds == b.answerEnds && a.sent == b.sent
      && a.answered == b.answered && a.tracker.opacity == b.tracker.opacity && a.state == b.state
  }

  private var state: [Int] {
    [
      tracker.isIdle, tracker.isLast, tracker.isBetweenRequests, tracker.mayBegin, tracker.hasAnswerBegun,
      tracker.isIdempotent, tracker.expectsNoBody,
    ].map { $0 ? 1 : 0 } + [tracker.outstanding]
  }

  /// Answers how many of the bytes went on.
  @discardableResult
  mutating func fromClient(_ bytes: [UInt8]) -> Int {
    var offset = 0
    while offset < bytes.count {
      if tracker.isOpaque {
        offset = bytes.count
        break
      }
      if tracker.isBetweenRequests {
        offset = tracker.skipEmptyLines(bytes.span, from: offset)
        guard offset < bytes.count, tracker.mayBegin else { break }
        begins.append(sent + offset)
        tracker.beginRequest()
        if tracker.isOpaque { continue }
      }
      let unseen = passesUnseen ? min(tracker.unseenOfRequest, bytes.count - offset) : 0
      if unseen > 0 {
        tracker.passRequest(unseen)
        offset += unseen
        continue
      }
      let end = tracker.takeRequest(bytes.span, from: offset)
      #expect(end >= offset && end <= bytes.count)
      #expect(end > offset || tracker.isOpaque, "it does not come forward")
      offset = end
      if !tracker.isOpaque, tracker.isBetweenRequests { ends.append(sent + offset) }
    }
    sent += offset
    return offset
  }

  @discardableResult
  mutating func fromBackend(_ bytes: [UInt8]) -> Int {
    var offset = 0
    while offset < bytes.count {
      let outstanding = tracker.outstanding
      let unseen = passesUnseen ? min(tracker.unseenOfAnswer, bytes.count - offset) : 0
      if unseen > 0 {
        tracker.passAnswer(unseen)
        offset += unseen
        continue
      }
      let end = tracker.takeAnswer(bytes.span, from: offset)
      #expect(end >= offset && end <= bytes.count)
      if end == offset { break }
      offset = end
      if !tracker.isOpaque, tracker.outstanding < outstanding { answerEnds.append(answered + offset) }
    }
    answered += offset
    return offset
  }
}

@Suite struct ExchangeTests {
  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  @Test(arguments: wellFormed)
  func boundaries_areFound_inWhatIsWellFormed(_ conversation: Conversation) {
    var watcher = Watcher()
    var (requestEnd, answerEnd) = (0, 0)
    for (request, answer) in zip(conversation.requests, conversation.answers) {
      #expect(watcher.tracker.isIdle)
      requestEnd += watcher.fromClient(bytes(request))
      #expect(watcher.ends.last == requestEnd && !watcher.tracker.isIdle && watcher.tracker.outstanding == 1)
      answerEnd += watcher.fromBackend(bytes(answer))
      #expect(watcher.answerEnds.last == answerEnd && watcher.tracker.outstanding == 0)
    }
    #expect(requestEnd == conversation.requests.joined().utf8.count, "all of it went on")
    #expect(answerEnd == conversation.answers.joined().utf8.count)
    #expect(watcher.tracker.opacity == nil)
    #expect(watcher.tracker.isLast == conversation.isLast && watcher.tracker.isIdle == !conversation.isLast)
    #expect(watcher.fromBackend(bytes(ok)) == 0, "nothing is outstanding")
    #expect(watcher.fromClient(bytes(get)) == (conversation.isLast ? 0 : get.utf8.count))
  }

  @Test(arguments: ambiguous)
  func noBoundaryIsClaimed_whereTwoReadersCouldDiffer(_ conversation: Conversation) {
    var watcher = Watcher()
    for (index, request) in conversation.requests.enumerated() {
      #expect(watcher.fromClient(bytes(request)) == request.utf8.count, "what is opaque goes on")
      if index < conversation.answers.count { watcher.fromBackend(bytes(conversation.answers[index])) }
    }
    #expect(watcher.tracker.opacity == conversation.opacity)
    let ends = watcher.ends
    #expect(watcher.fromClient(bytes(get)) == get.utf8.count && watcher.fromBackend(bytes(ok)) == ok.utf8.count)
    #expect(watcher.tracker.opacity == conversation.opacity && watcher.ends == ends, "opaque is final")
  }

  @Test func pipelinedRequests_waitInOrder_andNoMoreThan64() {
    var watcher = Watcher()
    let many = bytes(String(repeating: get, count: 70))
    #expect(watcher.fromClient(many) == 64 * get.utf8.count)
    #expect(watcher.tracker.outstanding == 64 && !watcher.tracker.mayBegin && watcher.tracker.isBetweenRequests)
    watcher.fromBackend(bytes(ok + ok))
    #expect(watcher.tracker.outstanding == 62 && watcher.tracker.mayBegin)
    #expect(watcher.fromClient(Array(many[watcher.sent...])) == 2 * get.utf8.count)
    watcher.fromBackend(bytes(String(repeating: ok, count: 64)))
    #expect(watcher.tracker.isIdle && watcher.answerEnds.count == 66)
  }

  @Test func answersToHEAD_haveNoBody_eachInItsPlace() {
    var watcher = Watcher()
    let head = "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
    watcher.fromClient(bytes(get + head + get + head))
    #expect(!watcher.tracker.expectsNoBody)
    watcher.fromBackend(bytes(ok))
    #expect(watcher.tracker.expectsNoBody)
    watcher.fromBackend(bytes(headOnly + ok + headOnly))
    #expect(watcher.tracker.isIdle && watcher.answerEnds.count == 4)
  }

  @Test func anEarlyAnswer_leavesTheRequestUnderWay() {
    var watcher = Watcher()
    watcher.fromClient(bytes("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhello"))
    watcher.fromBackend(bytes(ok))
    #expect(watcher.tracker.outstanding == 0 && !watcher.tracker.isBetweenRequests && !watcher.tracker.isIdle)
    #expect(watcher.fromBackend(bytes("x")) == 0, "bytes that answer nothing are nobody's")
    watcher.fromClient(bytes("world" + get))
    #expect(watcher.tracker.outstanding == 1)
    watcher.fromBackend(bytes(ok))
    #expect(watcher.tracker.isIdle)
  }

  /// A client that has not been told to continue may leave the body away, and servers differ in what comes then.
  @Test func aFinalAnswerInsteadOf100_leavesOpenWhetherTheBodyComes() {
    let head = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    let goOn = "HTTP/1.1 100 Continue\r\n\r\n"
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n"
    for (sent, answer, expected) in [
      (head, forbidden, Opacity.expectation),
      (head, hints + forbidden, .expectation),
      (head.replacing("POST", with: "PUT"), forbidden, .expectation),
      (head.replacing("Content-Length: 5", with: "Transfer-Encoding: chunked"), forbidden, .expectation),
      (get + head, ok + goOn + forbidden, nil),
      (get + head, goOn + ok + forbidden, .expectation),
      (head, goOn + forbidden, nil),
      (head + "h", forbidden, nil),
      (head.replacing("Content-Length: 5", with: "Content-Length: 0"), forbidden, nil),
      (head.replacing("Expect", with: "X-Expect"), forbidden, nil),
    ] {
      var watcher = Watcher()
      watcher.fromClient(bytes(sent))
      watcher.fromBackend(bytes(answer))
      #expect(watcher.tracker.opacity == expected, "\(sent) \(answer)")
      #expect(expected != nil || watcher.tracker.outstanding == 0)
    }
    // The answer even before the head has ended.
    var watcher = Watcher()
    watcher.fromClient(bytes(String(head.dropLast())))
    watcher.fromBackend(bytes(forbidden))
    #expect(watcher.tracker.opacity == nil && watcher.tracker.outstanding == 0)
    watcher.fromClient(bytes("\r\n"))
    #expect(watcher.tracker.opacity == .expectation)
  }

  @Test func anAnswerBeforeTheRequestLine_countsAsOneToAGET() {
    for (before, after, expected) in [
      ("GE", "T / HTTP/1.1\r\n\r\n", nil),
      ("POST / HTTP/1.1", "\r\nContent-Length: 2\r\n\r\nhi", nil),
      ("HEAD / HTTP/1.1", "\r\n\r\n", Opacity.earlyAnswer),
      ("HE", "AD / HTTP/1.1\r\n\r\n", .earlyAnswer),
      ("CONNECT x:1 HTTP/1.1", "\n\n", .earlyAnswer),
    ] {
      var watcher = Watcher()
      watcher.fromClient(bytes(before))
      #expect(!watcher.tracker.expectsNoBody)
      #expect(watcher.fromBackend(bytes(ok)) == ok.utf8.count)
      #expect(watcher.tracker.outstanding == 0 && !watcher.tracker.isIdle && !watcher.tracker.isOpaque)
      watcher.fromClient(bytes(after))
      #expect(watcher.tracker.opacity == expected && watcher.tracker.isIdle == (expected == nil), "\(before)")
    }
    // From the end of the line on the method counts, whatever of the head is still to come.
    var watcher = Watcher()
    watcher.fromClient(bytes("HEAD / HTTP/1.1\r\nHost: "))
    #expect(watcher.tracker.expectsNoBody)
    #expect(watcher.fromBackend(bytes(headOnly)) == headOnly.utf8.count)
    #expect(watcher.tracker.outstanding == 0 && !watcher.tracker.expectsNoBody)
    watcher.fromClient(bytes("x\r\n\r\n"))
    #expect(watcher.tracker.isIdle)
  }

  @Test func aRequestOutOfTurn_isNoRequest() {
    for sent in ["GET / HTTP", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "CONNECT x:1 HTTP/1.1\r\n\r\n"] {
      var watcher = Watcher()
      watcher.fromClient(bytes(sent))
      watcher.tracker.beginRequest()
      #expect(watcher.tracker.opacity == .outOfTurn && watcher.tracker.outstanding == 1, "\(sent)")
    }
  }

  @Test func anOpaqueTracker_claimsNothing() {
    var tracker = ExchangeTracker()
    #expect(tracker.isIdle && tracker.mayBegin && tracker.isBetweenRequests && !tracker.isOpaque)
    tracker.becomeOpaque(.notHTTP)
    tracker.becomeOpaque(.chunk)
    #expect(tracker.opacity == .notHTTP, "the first reason counts")
    #expect(!tracker.isIdle && !tracker.mayBegin && !tracker.isBetweenRequests && tracker.isOpaque)
    #expect(tracker.takeRequest(bytes(get).span, from: 3) == get.utf8.count)
    #expect(tracker.takeAnswer(bytes(ok).span, from: 3) == ok.utf8.count)
    tracker.backendEnded()
    #expect(tracker.outstanding == 0 && !tracker.isLast)
    for opacity in Opacity.allCases { #expect(!opacity.description.isEmpty) }
  }

  @Test func anAnswerThatIsReadUntilClose_endsWithTheConnection() {
    var watcher = Watcher()
    watcher.fromClient(bytes(get))
    watcher.fromBackend(bytes("HTTP/1.1 200 OK\r\n\r\nall of it" + ok))
    #expect(watcher.tracker.outstanding == 1 && watcher.answerEnds.isEmpty)
    watcher.tracker.backendEnded()
    #expect(watcher.tracker.outstanding == 0 && watcher.tracker.isLast && !watcher.tracker.isIdle)
  }

  @Test func theEndOfABackend_endsNoOtherAnswer() {
    for beginning in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"] {
      var watcher = Watcher()
      watcher.fromClient(bytes(get))
      watcher.fromBackend(bytes(beginning))
      watcher.tracker.backendEnded()
      #expect(watcher.tracker.outstanding == 1 && watcher.tracker.hasAnswerBegun == !beginning.isEmpty)
    }
  }

  @Test func afterAnAnswerThatCloses_nothingIsAnswered() {
    var watcher = Watcher()
    watcher.fromClient(bytes(get + get))
    let last = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    #expect(watcher.fromBackend(bytes(last + ok)) == last.utf8.count)
    #expect(watcher.tracker.isLast && watcher.tracker.outstanding == 1)
  }

  @Test func whatFollowsAnUpgradeOrATunnel_waitsForItsAnswer() {
    for method in ["GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", "CONNECT h:1 HTTP/1.1\r\n\r\n"] {
      var watcher = Watcher()
      #expect(watcher.fromClient(bytes(method + get)) == method.utf8.count)
      #expect(!watcher.tracker.mayBegin)
      watcher.fromBackend(bytes("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))
      #expect(watcher.tracker.mayBegin && watcher.tracker.isIdle)
      #expect(watcher.fromClient(bytes(get)) == get.utf8.count)
    }
  }

  @Test func methods_areIdempotent_asTheStandardSays() {
    for (method, expected) in [
      ("GET", true), ("HEAD", true), ("PUT", true), ("DELETE", true), ("OPTIONS", true), ("TRACE", true),
      ("POST", false), ("PATCH", false), ("CONNECT", false), ("GETS", false), ("get", false),
      ("XXXXXGET", false), ("XXXXXXXXGET", false), ("XXXXXXXXXXXXXXXXHEAD", false),
    ] {
      var watcher = Watcher()
      watcher.fromClient(bytes("\(method) / HTTP/1.1\r\n\r\n"))
      #expect(watcher.tracker.isIdempotent == expected, "\(method)")
      #expect(watcher.tracker.expectsNoBody == (method == "HEAD"), "\(method)")
    }
    var watcher = Watcher()
    watcher.fromClient(bytes("POST / HTTP/1.1\r\n\r\n" + get))
    #expect(!watcher.tracker.isIdempotent, "all that is outstanding counts")
    watcher.fromBackend(bytes(ok))
    #expect(watcher.tracker.isIdempotent && watcher.tracker.outstanding == 1, "and what is answered does not")
    watcher.fromBackend(bytes(ok))
    watcher.fromClient(bytes("PO"))
    #expect(watcher.tracker.isIdempotent, "not known yet")
    watcher.fromClient(bytes("ST "))
    #expect(!watcher.tracker.isIdempotent)
    watcher.fromBackend(bytes(ok))
    #expect(watcher.tracker.isIdempotent && !watcher.tracker.isBetweenRequests, "answered before it has ended")
  }

  @Test func aHeadOf64KiB_isTheLongest() {
    let frame = "GET / HTTP/1.1\r\nX: \r\n\r\n".utf8.count
    for (length, expected) in [(65_535, nil), (65_536, nil), (65_537, Opacity.longHead)] {
      var watcher = Watcher()
      let value = String(repeating: "y", count: length - frame)
      watcher.fromClient(bytes("GET / HTTP/1.1\r\nX: \(value)\r\n\r\n"))
      #expect(watcher.tracker.opacity == expected, "\(length)")
    }
  }

  @Test func aCarriageReturnBetweenRequests_isNoBoundaryYet() {
    var watcher = Watcher()
    watcher.fromClient(bytes("\r"))
    #expect(!watcher.tracker.isIdle)
    watcher.fromClient(bytes("\n"))
    #expect(watcher.tracker.isIdle && watcher.begins.isEmpty)
  }

  @Test func aTracker_isSmall() { #expect(MemoryLayout<ExchangeTracker>.size <= 128) }
}

import HTTPFraming
import Testing

/// However bytes are cut, however the two directions interleave, and whether what tells nothing is looked at or not, the
/// boundaries are the same.
@Suite struct ExchangeSimulationTests {
  /// SplitMix64: the same numbers for the same seed, everywhere.
  private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
  }

  /// Each request whole, and then its answer.
  private func uncut(_ conversation: Conversation) -> Watcher {
    var watcher = Watcher()
    for index in 0..<max(conversation.requests.count, conversation.answers.count) {
      if index < conversation.requests.count { watcher.fromClient(Array(conversation.requests[index].utf8)) }
      if index < conversation.answers.count { watcher.fromBackend(Array(conversation.answers[index].utf8)) }
    }
    return watcher
  }

  /// Gives a tracker what one side has sent, in pieces; what it does not take yet is given again.
  private func play(_ conversation: Conversation, _ random: inout SeededGenerator, longest: Int) -> Watcher {
    var watcher = Watcher()
    watcher.passesUnseen = Bool.random(using: &random)
    for index in 0..<max(conversation.requests.count, conversation.answers.count) {
      if index < conversation.requests.count {
        for piece in pieces(conversation.requests[index], &random, longest) { watcher.fromClient(piece) }
      }
      if index < conversation.answers.count {
        for piece in pieces(conversation.answers[index], &random, longest) { watcher.fromBackend(piece) }
      }
    }
    return watcher
  }

  private func pieces(_ text: String, _ random: inout SeededGenerator, _ longest: Int) -> [[UInt8]] {
    var rest = Array(text.utf8)[...]
    var pieces: [[UInt8]] = []
    while !rest.isEmpty {
      let count = min(rest.count, Int.random(in: 1...longest, using: &random))
      pieces.append(Array(rest.prefix(count)))
      rest = rest.dropFirst(count)
    }
    return pieces
  }

  @Test(arguments: wellFormed + ambiguous)
  func boundaries_doNotDependOnTheCuts(_ conversation: Conversation) {
    let expected = uncut(conversation)
    let rounds = conversation.requests.joined().utf8.count > 10_000 ? 6 : 200
    for seed in 0..<UInt64(rounds) {
      var random = SeededGenerator(state: seed)
      let longest = seed % 4 == 0 ? 1 : seed % 4 == 1 ? 3 : 40
      #expect(play(conversation, &random, longest: longest) == expected, "seed \(seed)")
    }
  }

  /// Clients that pipeline, in any number, with answers that come as they please but never before their request.
  @Test(arguments: 1...300 as ClosedRange<UInt64>)
  func pipelinedExchanges_keepTheirBoundaries(seed: UInt64) throws {
    var random = SeededGenerator(state: seed)
    let pool = wellFormed.filter { !$0.isLast }
    var (requests, answers): ([String], [String]) = ([], [])
    for _ in 0..<Int.random(in: 1...12, using: &random) {
      let conversation = try #require(pool.randomElement(using: &random))
      requests += conversation.requests
      answers += conversation.answers
    }
    var watcher = Watcher()
    var (toSend, toAnswer) = (Array(requests.joined().utf8)[...], Array(answers.joined().utf8)[...])
    // Where each request ends in what the client sends, and each answer in what the backend does.
    let requestEnds = ends(requests)
    let answerEnds = ends(answers)
    var stalls = 0
    while !toSend.isEmpty || !toAnswer.isEmpty, stalls < 10_000 {
      stalls += 1
      if Bool.random(using: &random), !toSend.isEmpty {
        let piece = toSend.prefix(Int.random(in: 1...60, using: &random))
        toSend = toSend.dropFirst(watcher.fromClient(Array(piece)))
      } else {
        // No answer is ahead of its request.
        let answered = requestEnds.filter { $0 <= watcher.sent }.count
        let allowed = (answered == 0 ? 0 : answerEnds[answered - 1]) - watcher.answered
        let piece = toAnswer.prefix(min(allowed, Int.random(in: 1...60, using: &random)))
        let taken = watcher.fromBackend(Array(piece))
        #expect(taken == piece.count, "seed \(seed): an answer that is due was not taken")
        toAnswer = toAnswer.dropFirst(taken)
      }
    }
    #expect(watcher.tracker.opacity == nil, "seed \(seed)")
    #expect(watcher.ends == requestEnds && watcher.answerEnds == answerEnds, "seed \(seed)")
    #expect(watcher.tracker.isIdle, "seed \(seed)")
  }

  private func ends(_ texts: [String]) -> [Int] {
    var end = 0
    return texts.map {
      end += $0.utf8.count
      return end
    }
  }

  /// What the admin channel's strict reader takes for a request ends where the tracker says it does.
  @Test func requests_endWhereTheStrictReaderEndsThem() throws {
    var checked = 0
    for conversation in wellFormed + ambiguous {
      for request in conversation.requests {
        let bytes = Array(request.utf8)
        guard let end = strictEnd(bytes) else { continue }
        var watcher = Watcher()
        watcher.fromClient(bytes)
        if watcher.tracker.isOpaque { continue }
        #expect(watcher.ends.first == end, "\(conversation.name)")
        checked += 1
      }
    }
    #expect(checked > 15)
  }

  private func strictEnd(_ bytes: [UInt8]) -> Int? {
    var scanner = HeadScanner(limit: 65_536)
    guard case .complete(let length) = scanner.scan(bytes.span),
      let head = try? RequestHead(bytes.span.extracting(0..<length))
    else { return nil }
    switch head.body {
    case .bytes(let count): return length + Int(count)
    case .untilClose: return nil
    case .chunked:
      var chunks = ChunkScanner()
      var offset = length
      while let step = try? chunks.next(bytes.span, from: &offset) {
        if step == .end { return offset }
        if step == .incomplete { return nil }
      }
      return nil
    }
  }
}

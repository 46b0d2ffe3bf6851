import Testing

@testable import Health

private func expecting(_ statuses: ClosedRange<Int> = 200...399, body: String? = nil) -> HTTPExpectation {
  HTTPExpectation(path: "/", statuses: [statuses], body: body)
}

/// What is found where an answer comes in pieces of a size, and then the connection ends; nil where nothing is found
/// before that end.
private func read(_ answer: some Sequence<UInt8>, _ expectation: HTTPExpectation, pieces: Int) -> (
  Finding?, atEnd: Finding
) {
  var reader = AnswerReader(expectation)
  var rest = Array(answer)[...]
  while !rest.isEmpty {
    if let finding = reader.take(rest.prefix(pieces)) { return (finding, finding) }
    rest = rest.dropFirst(pieces)
  }
  return (nil, reader.end())
}

/// What is found at last, however the answer is cut.
private func found(_ answer: String, _ expectation: HTTPExpectation = expecting()) -> Finding {
  let whole = read(answer.utf8, expectation, pieces: .max).atEnd
  for pieces in [1, 2, 3, 7, 100] {
    #expect(read(answer.utf8, expectation, pieces: pieces).atEnd == whole, "\(pieces): \(answer.prefix(200))")
  }
  return whole
}

@Suite struct AnswerReaderTests {
  private static let ok = "HTTP/1.1 200 OK\r\n"

  @Test func status_isAllThatCounts_withoutAText() {
    #expect(found("HTTP/1.1 200 OK\r\n\r\n") == .status(200))
    #expect(found("HTTP/1.0 399 \r\nA: b\r\n\r\nrest") == .status(399))
    #expect(found("HTTP/1.1 204\r\n\r\n") == .status(204))
    #expect(found("HTTP/1.1 503 Gone fishing\r\n\r\n") == .unexpectedStatus(503, expected: [200...399]))
    #expect(found("HTTP/1.1 200 OK\r\n\r\n", expecting(204...204)) == .unexpectedStatus(200, expected: [204...204]))
    // 101 is final.
    #expect(found("HTTP/1.1 101 Switching\r\n\r\n") == .unexpectedStatus(101, expected: [200...399]))
  }

  @Test func oddHeads_areFine_whereTheStatusIsClear() {
    #expect(found("HTTP/1.1 200 OK\nA: b\n\n") == .status(200))
    #expect(found("HTTP/1.1 200 OK\r\nA : b\r\n c\r\nContent-Length: x\r\n\r\n") == .status(200))
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    #expect(found(both, expecting(body: "ok")) == .status(200))
  }

  @Test func interimAnswers_areSkipped() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    #expect(found(interim + "HTTP/1.1 200 OK\r\n\r\n") == .status(200))
    #expect(found(interim + "HTTP/1.1 500 No\r\n\r\n") == .unexpectedStatus(500, expected: [200...399]))
    #expect(found(interim) == .closedEarly)
    #expect(found(String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 1000)) == .headTooLong)
  }

  @Test func heads_areBounded() {
    #expect(found(Self.ok + String(repeating: "A: b\r\n", count: 5000)) == .headTooLong)
    #expect(found(Self.ok + "A: " + String(repeating: "b", count: 20_000)) == .headTooLong)
    #expect(found("HTTP/1.1 " + String(repeating: "2", count: 20_000)) == .headTooLong)
    let filler = AnswerReader.headLimit - Self.ok.utf8.count - "A: \r\n\r\n".utf8.count
    #expect(found(Self.ok + "A: " + String(repeating: "b", count: filler) + "\r\n\r\n") == .status(200))
    #expect(found(Self.ok + "A: " + String(repeating: "b", count: filler + 1) + "\r\n\r\n") == .headTooLong)
  }

  @Test(arguments: [
    "SSH-2.0-OpenSSH_9.2\r\n", "220 mail ESMTP\r\n", "h", "HTTP/2 200\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 200OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.x 200 OK\r\n\r\n",
    "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 200 \u{0}\r\n\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1\r\n\r\n",
    "HTTP/1.1 -20 OK\r\n\r\n",
  ])
  func whatIsNoHTTP_isSaidToBeNone(_ answer: String) { #expect(found(answer) == .notHTTP) }

  @Test func greetings_areRecognized_beforeTheyEnd() {
    var reader = AnswerReader(expecting())
    #expect(reader.take(Array("SSH-2.0".utf8)[...]) == .notHTTP)
  }

  @Test(arguments: ["", "H", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n"])
  func heads_thatBreakOff_areNoAnswer(_ answer: String) { #expect(found(answer) == .closedEarly) }

  // MARK: Bodies

  @Test(arguments: ["", "Content-Length: 11\r\n", "Content-Length: 900\r\n"])
  func text_isFound_whereverItStands(_ field: String) {
    for body in ["ok.........", ".........ok", "....ok....."] {
      #expect(found(Self.ok + field + "\r\n" + body, expecting(body: "ok")) == .status(200))
    }
    for body in ["...........", "o.k........", "..........o"] {
      #expect(found(Self.ok + field + "\r\n" + body, expecting(body: "ok")) == .textMissing("ok"))
    }
  }

  @Test func text_isFoundAcrossChunks() {
    func chunked(_ chunks: String...) -> String {
      let data = chunks.map { String($0.utf8.count, radix: 16) + ";x=y\r\n\($0)\r\n" }.joined()
      return Self.ok + "Transfer-Encoding: chunked\r\n\r\n" + data + "0\r\nT: u\r\n\r\n"
    }
    let expectation = expecting(body: "all is well")
    #expect(found(chunked("al", "l i", "s well", "."), expectation) == .status(200))
    #expect(found(chunked("..all is ", "w", "el", "l"), expectation) == .status(200))
    #expect(found(chunked("..all is ", "not well"), expectation) == .textMissing("all is well"))
    #expect(found(chunked(), expectation) == .textMissing("all is well"))
    #expect(found(Self.ok + "Transfer-Encoding: chunked\r\n\r\nxyz", expectation) == .brokenBody)
    // What stands between chunks is no body.
    let between = Self.ok + "Transfer-Encoding: chunked\r\n\r\n2;all is well\r\nno\r\n0\r\n\r\n"
    #expect(found(between, expectation) == .textMissing("all is well"))
  }

  @Test func text_isMissing_asSoonAsTheBodyHasEnded() {
    for end in [
      "Content-Length: 2\r\n\r\nno", "Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
      "Content-Length: 0\r\n\r\n",
    ] {
      #expect(read((Self.ok + end).utf8, expecting(body: "ok"), pieces: 1).0 == .textMissing("ok"))
    }
    #expect(read("HTTP/1.1 204 None\r\n\r\n".utf8, expecting(body: "ok"), pieces: 1).0 == .textMissing("ok"))
    #expect(read((Self.ok + "Content-Length: 3\r\n\r\nno").utf8, expecting(body: "ok"), pieces: 1).0 == nil)
    #expect(read((Self.ok + "\r\nno").utf8, expecting(body: "ok"), pieces: 1).0 == nil)
  }

  @Test func bodies_areLookedAt_upToALimit() {
    let limit = AnswerReader.bodyLimit
    for field in ["", "Content-Length: 1000000\r\n", "Content-Length: 18446744073709551615\r\n"] {
      let start = Array((Self.ok + field + "\r\n").utf8)
      for (before, finding) in [(limit - 2, Finding.status(200)), (limit - 1, .textMissing("ok"))] {
        let answer = start + Array(repeating: UInt8(ascii: "."), count: before) + Array("ok".utf8)
        for pieces in [1000, 16_384, .max] {
          #expect(read(answer, expecting(body: "ok"), pieces: pieces).0 == finding, "\(field), \(before), \(pieces)")
        }
      }
    }
  }

  @Test func status_countsFirst() {
    #expect(found("HTTP/1.1 500 No\r\n\r\nok", expecting(body: "ok")) == .unexpectedStatus(500, expected: [200...399]))
  }

  // MARK: Hostile bytes

  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func finding_isTheSame_howeverTheBytesAreCut(seed: UInt64) {
    var numbers = SeededGenerator(seed: seed)
    let originals = [
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n..ok.",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\n..o\r\n2\r\nk.\r\n0\r\nX: y\r\n\r\n",
      "HTTP/1.0 200 OK\r\nA: b\r\n\r\nno", "HTTP/1.1 503 No\r\n\r\n",
    ].map { Array($0.utf8) }
    for round in 0..<200 {
      var bytes = originals[round % originals.count]
      for _ in 0..<Int.random(in: 0...4, using: &numbers) {
        let from = Int.random(in: 0...bytes.count, using: &numbers)
        let to = min(bytes.count, from + Int.random(in: 0...6, using: &numbers))
        switch Int.random(in: 0..<3, using: &numbers) {
        case 0: bytes.removeSubrange(from..<to)
        case 1: bytes.insert(contentsOf: bytes[from..<to], at: Int.random(in: 0...bytes.count, using: &numbers))
        default: bytes.insert(UInt8.random(in: 0...255, using: &numbers), at: from)
        }
      }
      for expectation in [expecting(), expecting(body: "ok")] {
        let whole = read(bytes, expectation, pieces: .max).atEnd
        for pieces in [1, Int.random(in: 2...9, using: &numbers)] {
          let cut = read(bytes, expectation, pieces: pieces).atEnd
          #expect(
            cut == whole, "seed \(seed), round \(round): \(String(decoding: bytes, as: UTF8.self).debugDescription)")
        }
      }
    }
  }

  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func textSearch_findsWhatIsThere(seed: UInt64) {
    var numbers = SeededGenerator(seed: seed)
    for round in 0..<200 {
      // Few letters, so that beginnings of the text are everywhere.
      let text = (0..<Int.random(in: 1...6, using: &numbers)).map { _ in UInt8.random(in: 0...1, using: &numbers) }
      let bytes = (0..<40).map { _ in UInt8.random(in: 0...1, using: &numbers) }
      let isThere = (0...(bytes.count - text.count)).contains { bytes[$0...].starts(with: text) }
      var search = TextSearch(text)
      var isFound = false
      var rest = bytes[...]
      while !rest.isEmpty && !isFound {
        let count = Int.random(in: 1...9, using: &numbers)
        isFound = search.finds(in: rest.prefix(count))
        rest = rest.dropFirst(count)
      }
      #expect(isFound == isThere, "seed \(seed), round \(round)")
    }
  }
}

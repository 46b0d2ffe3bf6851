import HTTPFraming
import Testing

/// What a chunked body holds: its data, and what comes after its end; nil for the rest of a body that has not ended.
private func decode(_ bytes: [UInt8], pieces: [Int] = []) throws(ChunkError) -> (data: [UInt8], rest: [UInt8]?) {
  var scanner = ChunkScanner()
  var data: [UInt8] = []
  var start = 0
  for end in pieces + [bytes.count] {
    let piece = Array(bytes[start..<end])
    var offset = 0
    scanning: while true {
      switch try scanner.next(piece.span, from: &offset) {
      case .incomplete: break scanning
      case .data(let range): data += piece[range]
      case .end: return (data, Array(bytes[(start + offset)...]))
      }
    }
    start = end
  }
  return (data, nil)
}

@Suite struct ChunkTests {
  @Test(arguments: [
    ("0\r\n\r\n", "", ""),
    ("5\r\nhello\r\n0\r\n\r\nGET /", "hello", "GET /"),
    ("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!", ""),
    ("a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n", "01234567890123456789", ""),
    ("1;name=value;q=\"a b\"\r\nx\r\n0;last\r\n\r\n", "x", ""),
    ("1 ;\tx\r\ny\r\n0\r\n\r\n", "y", ""),
    ("1\r\nx\r\n0\r\nTrailer: 1\r\nOther:\r\n\r\nrest", "x", "rest"),
    ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", ""),
  ])
  func aBodyIsItsChunks(_ text: String, _ data: String, _ rest: String) throws {
    let found = try decode(Array(text.utf8))
    #expect(found.data == Array(data.utf8))
    #expect(found.rest == Array(rest.utf8))
  }

  @Test(arguments: [
    ("\r\n", ChunkError.size),
    ("g\r\n", .size),
    ("-1\r\n", .size),
    ("0x5\r\nhello\r\n", .size),
    (" 5\r\nhello\r\n", .size),
    ("5 5\r\nhello\r\n", .size),
    ("5 \r\nhello\r\n", .size),
    ("10000000000000000\r\n", .size),
    ("FFFFFFFFFFFFFFFFF\r\n", .size),
    ("00000000000000001\r\n", .size),
    ("5\nhello\n0\n\n", .size),
    ("5\rhello", .lineEnd),
    ("5;a\rb\r\nhello", .lineEnd),
    ("5;a\nb\r\nhello", .controlByte),
    ("5;\0\r\nhello", .controlByte),
    ("5\r\nhello0\r\n\r\n", .lineEnd),
    ("5\r\nhello\n0\r\n\r\n", .lineEnd),
    ("5\r\nhello\rX", .lineEnd),
    ("0\r\n\n", .trailer),
    ("0\r\n folded\r\n\r\n", .trailer),
    ("0\r\n\rX", .lineEnd),
    ("0\r\nA: b\rX", .lineEnd),
    ("0\r\nA: \u{1B}\r\n\r\n", .controlByte),
    ("0\r\nA: b\n\r\n", .controlByte),
    ("1;" + String(repeating: "x", count: 9000) + "\r\n", .tooMuchIgnored),
    (String(repeating: "1;xxxxxxxx\r\ny\r\n", count: 1000), .tooMuchIgnored),
    ("0\r\n" + String(repeating: "A: b\r\n", count: 9000), .tooMuchIgnored),
  ])
  func whatIsNoChunkIsRefused(_ text: String, _ error: ChunkError) {
    #expect(throws: error) { try decode(Array(text.utf8)) }
    #expect(!error.description.isEmpty)
  }

  @Test func theLargestSizeIsNoOverflow() throws {
    let found = try decode(Array("FFFFFFFFFFFFFFFF\r\nabc".utf8))
    #expect(found.data == Array("abc".utf8))
    #expect(found.rest == nil)
  }

  @Test func anEndThatHasNotComeIsNoEnd() throws {
    let body = Array("5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n".utf8)
    for count in 0..<body.count { #expect(try decode(Array(body[..<count])).rest == nil) }
    #expect(try decode(body).rest == [])
  }

  @Test(arguments: 0..<300)
  func piecesGiveTheSameAsTheWhole(_ seed: UInt64) {
    var numbers = SeededNumbers(seed: seed)
    var bytes: [UInt8] = []
    for _ in 0..<Int.random(in: 0...6, using: &numbers) {
      let count = Int.random(in: 1...40, using: &numbers)
      bytes += Array(String(count, radix: 16).utf8) + Array(Bool.random(using: &numbers) ? ";x\r\n".utf8 : "\r\n".utf8)
      bytes += (0..<count).map { _ in UInt8.random(in: 0...255, using: &numbers) } + [13, 10]
    }
    bytes += Array("0\r\nA: b\r\n\r\nrest".utf8)
    // A third of them damaged somewhere.
    if seed % 3 == 0 {
      bytes[Int.random(in: 0..<bytes.count, using: &numbers)] = UInt8.random(in: 0...255, using: &numbers)
    }
    let cuts = Set((0..<10).map { _ in Int.random(in: 0...bytes.count, using: &numbers) }).sorted()
    let whole = Result { () throws(ChunkError) in try decode(bytes) }
    let pieces = Result { () throws(ChunkError) in try decode(bytes, pieces: cuts) }
    switch (whole, pieces) {
    case (.success(let one), .success(let other)):
      #expect(one.data == other.data && one.rest == other.rest, "seed \(seed)")
    case (.failure(let one), .failure(let other)): #expect(one == other, "seed \(seed)")
    default: Issue.record("\(whole) as a whole, \(pieces) in pieces; seed \(seed)")
    }
  }
}

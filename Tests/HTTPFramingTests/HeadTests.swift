import HTTPFraming
import Testing

@Suite struct HeadTests {
  @Test func aRequestIsReadAsItWasSent() throws {
    let head = try request(
      "POST /v1/switch?dry=1 HTTP/1.1\r\nHost: bgproxy\r\nX-Name:\t two words \r\nEmpty:\r\nCONTENT-LENGTH: 12\r\n\r\nbody"
    )
    #expect(head.method == "POST")
    #expect(head.target == "/v1/switch?dry=1")
    #expect(head.version == .http11)
    #expect(head.fields.all("x-name") == ["two words"])
    #expect(head.fields.all("empty") == [""])
    #expect(head.body == .bytes(12))
    #expect(head.keepsAlive)
  }

  @Test func emptyLinesBeforeARequestAreSkipped() throws {
    #expect(try request("\r\n\r\nGET / HTTP/1.0\r\n\r\n").method == "GET")
  }

  @Test(arguments: [
    ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", true),
    ("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false),
    ("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade,\tClose\r\n\r\n", false),
    ("GET / HTTP/1.1\r\nHost: x\r\nConnection: closed\r\n\r\n", true),
    ("GET / HTTP/1.0\r\n\r\n", false),
    ("GET / HTTP/1.0\r\nConnection: x\r\nConnection: , Keep-Alive\r\n\r\n", true),
    ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false),
    ("GET / HTTP/1.7\r\nHost: x\r\n\r\n", true),
  ])
  func whetherAConnectionStaysFollowsVersionAndField(_ text: String, _ stays: Bool) throws {
    #expect(try request(text).keepsAlive == stays)
  }

  @Test(arguments: [
    // Lines
    ("GET / HTTP/1.1\nHost: x\n\n", HeadError.bareLineFeed),
    ("GET / HTTP/1.1\r\nHost: x\r\nA: b\n\r\n", .bareLineFeed),
    ("GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", .bareCarriageReturn),
    ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\r\n\r\n", .bareCarriageReturn),
    ("GET /\0 HTTP/1.1\r\n\r\n", .controlByte),
    ("GET / HTTP/1.1\r\nHost: x\r\nA: \u{1B}[2J\r\n\r\n", .controlByte),
    ("GET / HTTP/1.1\r\nHost: x\r\nA: \u{7F}\r\n\r\n", .controlByte),
    ("\u{16}\u{03}\u{01}\u{02}", .controlByte),
    // Request line
    ("GET /\r\n\r\n", .requestLine),
    ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", .requestLine),
    ("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", .requestLine),
    (" GET / HTTP/1.1\r\nHost: x\r\n\r\n", .requestLine),
    ("GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n", .requestLine),
    ("GE(T / HTTP/1.1\r\nHost: x\r\n\r\n", .requestLine),
    ("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", .requestLine),
    ("GET /ü HTTP/1.1\r\nHost: x\r\n\r\n", .requestLine),
    ("GET / http/1.1\r\nHost: x\r\n\r\n", .requestLine),
    ("GET / HTTP/1.10\r\nHost: x\r\n\r\n", .requestLine),
    ("GET / HTTP/11\r\nHost: x\r\n\r\n", .requestLine),
    ("hello\r\n\r\n", .requestLine),
    ("PRI * HTTP/2.0\r\n\r\n", .unsupportedVersion),
    ("GET / HTTP/0.9\r\n\r\n", .unsupportedVersion),
    // Fields
    ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", .fieldName),
    ("GET / HTTP/1.1\r\n: x\r\n\r\n", .fieldName),
    ("GET / HTTP/1.1\r\nHost x\r\n\r\n", .fieldName),
    ("GET / HTTP/1.1\r\nHo st: x\r\n\r\n", .fieldName),
    ("GET / HTTP/1.1\r\nHöst: x\r\n\r\n", .fieldName),
    ("GET / HTTP/1.1\r\n Host: x\r\n\r\n", .foldedField),
    ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n", .foldedField),
    ("GET / HTTP/1.1\r\n\r\n", .host),
    ("GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n", .host),
    ("GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n", .host),
    ("GET / HTTP/1.1\r\n" + String(repeating: "A: b\r\n", count: 101) + "\r\n", .tooManyFields),
    // Body length
    ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", .contentLength),
    ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", .contentLength),
    ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", .contentLength),
    ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x10\r\n\r\n", .contentLength),
    ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1 2\r\n\r\n", .contentLength),
    ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1,\r\n\r\n", .contentLength),
    ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\n", .contentLength),
    ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n", .contentLength),
    ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", .differingContentLengths),
    ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\n", .differingContentLengths),
    (
      "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      .contentLengthAndTransferEncoding
    ),
    (
      "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
      .contentLengthAndTransferEncoding
    ),
    ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .transferEncodingBeforeHTTP11),
    ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", .transferEncoding),
    ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\r\n", .transferEncoding),
    ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", .transferEncoding),
    ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", .transferEncoding),
    ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip, chunked\r\n\r\n", .transferEncoding),
    ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", .transferEncoding),
    (
      "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
      .unknownTransferCoding
    ),
  ])
  func whatIsInDoubtIsRefused(_ text: String, _ error: HeadError) {
    #expect(throws: error) { try request(text) }
  }

  @Test(arguments: [
    ("Content-Length: 0\r\n", BodyLength.bytes(0)),
    ("", .bytes(0)),
    ("Content-Length: 007\r\n", .bytes(7)),
    ("Content-Length: 18446744073709551615\r\n", .bytes(.max)),
    ("Content-Length: 5, 5\r\nContent-Length: 5\r\n", .bytes(5)),
    ("Transfer-Encoding: Chunked\r\n", .chunked),
  ])
  func theBodyOfARequestEndsWhereItsFieldsSay(_ fields: String, _ length: BodyLength) throws {
    #expect(try request("POST / HTTP/1.1\r\nHost: x\r\n\(fields)\r\n").body == length)
  }

  @Test(arguments: [
    ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET", BodyLength.bytes(3), true),
    ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD", .bytes(0), true),
    ("HTTP/1.1 200\r\n\r\n", "GET", .untilClose, false),
    ("HTTP/1.1 204 \r\nContent-Length: 3\r\n\r\n", "GET", .bytes(0), true),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "GET", .bytes(0), true),
    ("HTTP/1.1 100 Continue\r\n\r\n", "POST", .bytes(0), true),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", .chunked, true),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "GET", .untilClose, false),
    ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", "GET", .bytes(3), false),
  ])
  func theBodyOfAnAnswerEndsAsItsHeadSays(_ text: String, _ method: String, _ length: BodyLength, _ stays: Bool) throws
  {
    let head = try response(text, answering: method)
    #expect(head.body == length)
    #expect(head.keepsAlive == stays)
  }

  @Test func anAnswersStatusLineIsRead() throws {
    let head = try response("HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n")
    #expect(head.status == 404)
    #expect(head.reason == "Not Found")
    #expect(head.fields.all("a") == ["b"])
  }

  @Test(arguments: [
    ("HTTP/1.1 20 OK\r\n\r\n", HeadError.statusLine),
    ("HTTP/1.1 2000 OK\r\n\r\n", .statusLine),
    ("HTTP/1.1 099 OK\r\n\r\n", .statusLine),
    ("HTTP/1.1  200 OK\r\n\r\n", .statusLine),
    ("HTTP/1.1\r\n\r\n", .statusLine),
    ("SSH-2.0-OpenSSH_9.2\r\n\r\n", .statusLine),
    ("HTTP/2.0 200 OK\r\n\r\n", .unsupportedVersion),
    (
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", .contentLengthAndTransferEncoding
    ),
  ])
  func whatIsNoAnswerIsRefused(_ text: String, _ error: HeadError) {
    #expect(throws: error) { try response(text) }
  }

  @Test func eachErrorHasAClientStatusAndAText() {
    for error in HeadError.allCases {
      #expect([400, 431, 501, 505].contains(error.status))
      #expect(!error.description.isEmpty)
    }
  }
}

@Suite struct HeadScannerTests {
  @Test func aHeadIsCompleteAtItsEmptyLineAndNotBefore() {
    let bytes = Array("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nrest".utf8)
    var scanner = HeadScanner(limit: 1000)
    let length = bytes.count - 4
    for count in 0..<length { #expect(scanner.scan(bytes.span.extracting(0..<count)) == .incomplete) }
    #expect(scanner.scan(bytes.span) == .complete(length: length))
  }

  @Test func theLimitIsTheLengthOfTheLongestHead() throws {
    let text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    #expect(try headLength(Array(text.utf8), limit: text.utf8.count) == text.utf8.count)
    #expect(throws: HeadError.tooLong) { try headLength(Array(text.utf8), limit: text.utf8.count - 1) }
    #expect(throws: HeadError.tooLong) { try headLength(Array(repeating: 65, count: 100), limit: 100) }
    #expect(throws: HeadError.tooLong) { try headLength(Array(repeating: 10, count: 100), limit: 100) }
  }

  @Test(arguments: 0..<200)
  func piecesGiveTheSameAsTheWhole(_ seed: UInt64) {
    var numbers = SeededNumbers(seed: seed)
    let alphabet = Array("GET / HTTP/1.1\r\n\r\n:\n\r\n\ta".utf8)
    let bytes = (0..<Int.random(in: 1...80, using: &numbers)).map { _ in alphabet.randomElement(using: &numbers)! }
    var whole = HeadScanner(limit: 60)
    let expected = whole.scan(bytes.span)
    var scanner = HeadScanner(limit: 60)
    var progress = HeadScanner.Progress.incomplete
    var end = 0
    while end < bytes.count, progress == .incomplete {
      end += Int.random(in: 1...bytes.count - end, using: &numbers)
      progress = scanner.scan(bytes.span.extracting(0..<end))
    }
    #expect(progress == expected, "seed \(seed)")
  }
}

import HTTPFraming

/// `ExchangeTracker` as the relay drives it, and the scanner of chunks. One operation is one exchange: a request and
/// its answer.
let framingBenchmarks = [
  exchange("framing/wrk", Connection(wrkRequest, nginxAnswer)),
  exchange("framing/browser", Connection(browserRequest, nginxAnswer)),
  exchange("framing/chunked-64k", Connection(wrkRequest, chunkedHead + chunkedBody(64 * 1024, chunk: 1024))),
  exchange(
    "framing/pipelined-16",
    Connection(
      Array(repeating: wrkRequest, count: 16).flatMap(\.self), Array(repeating: nginxAnswer, count: 16).flatMap(\.self),
      exchanges: 16)),
  Benchmark("framing/random-cuts") {
    // Cut in advance: choosing would be measured otherwise.
    var generator = SeededGenerator(seed: 4)
    let answer = chunkedHead + chunkedBody(2048, chunk: 128)
    let connections = (0..<64).map { _ in
      Connection(browserRequest, answer, pieces: 1...64, using: &generator)
    }
    var tracker = ExchangeTracker()
    return { count in
      var done = 0
      for round in 0..<count { done += exchangeOnce(&tracker, connections[round & 63]) }
      return done
    }
  },
  Benchmark("framing/chunk-scanner-64k") {
    let body = chunkedBody(64 * 1024, chunk: 1024)
    return { count in
      var done = 0
      for _ in 0..<count where dataBytes(of: body) == 64 * 1024 { done += 1 }
      return done
    }
  },
]

private func exchange(_ name: String, _ connection: Connection) -> Benchmark {
  Benchmark(name, operationsInRound: connection.exchanges) {
    var tracker = ExchangeTracker()
    return { count in
      var done = 0
      for _ in 0..<count { done += exchangeOnce(&tracker, connection) }
      return done
    }
  }
}

// MARK: What is sent

/// What a client and its backend send, and where it is cut.
private struct Connection {
  let requests: [UInt8]
  let answers: [UInt8]
  let requestCuts: [Int]
  let answerCuts: [Int]
  let exchanges: Int

  init(_ requests: [UInt8], _ answers: [UInt8], exchanges: Int = 1) {
    (self.requests, self.answers, self.exchanges) = (requests, answers, exchanges)
    (requestCuts, answerCuts) = ([requests.count], [answers.count])
  }

  init(
    _ requests: [UInt8], _ answers: [UInt8], pieces: ClosedRange<Int>, using generator: inout some RandomNumberGenerator
  ) {
    func cuts(_ count: Int) -> [Int] {
      var cuts: [Int] = []
      while cuts.last != count {
        cuts.append(min(count, (cuts.last ?? 0) + Int.random(in: pieces, using: &generator)))
      }
      return cuts
    }
    (self.requests, self.answers, exchanges) = (requests, answers, 1)
    (requestCuts, answerCuts) = (cuts(requests.count), cuts(answers.count))
  }
}

private func lines(_ lines: String...) -> [UInt8] { lines.flatMap { Array(($0 + "\r\n").utf8) } + Array("\r\n".utf8) }

private let wrkRequest = lines("GET / HTTP/1.1", "Host: 127.0.0.1:8080")

private let nginxAnswer =
  lines(
    "HTTP/1.1 200 OK", "Server: nginx/1.22.1", "Date: Mon, 23 Nov 2026 08:00:00 GMT", "Content-Type: text/plain",
    "Content-Length: 7", "Connection: keep-alive") + Array("App v1\n".utf8)

/// A little more than 1 KiB, with what Chromium sends and the cookies of a shop.
private let browserRequest = lines(
  "GET /catalog/shoes?color=blue&size=42&page=3 HTTP/1.1", "Host: shop.example.com", "Connection: keep-alive",
  "Cache-Control: max-age=0",
  "sec-ch-ua: \"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\"", "sec-ch-ua-mobile: ?0",
  "sec-ch-ua-platform: \"Linux\"", "Upgrade-Insecure-Requests: 1",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
  "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-User: ?1", "Sec-Fetch-Dest: document",
  "Referer: https://shop.example.com/catalog/shoes?color=blue&size=42&page=2",
  "Accept-Encoding: gzip, deflate, br, zstd", "Accept-Language: en-US,en;q=0.9,de;q=0.8",
  "Cookie: session=" + String(repeating: "0123456789abcdef", count: 8) + "; consent=all; _ga=GA1.1.1234567890."
    + "1700000000; cart=" + String(repeating: "fedcba98", count: 8))

private let chunkedHead = lines(
  "HTTP/1.1 200 OK", "Server: nginx/1.22.1", "Date: Mon, 23 Nov 2026 08:00:00 GMT", "Content-Type: text/html",
  "Transfer-Encoding: chunked", "Connection: keep-alive")

private func chunkedBody(_ size: Int, chunk: Int) -> [UInt8] {
  let data = [UInt8](repeating: UInt8(ascii: "x"), count: chunk)
  let one = Array((String(chunk, radix: 16) + "\r\n").utf8) + data + Array("\r\n".utf8)
  return Array(repeating: one, count: size / chunk).flatMap(\.self) + Array("0\r\n\r\n".utf8)
}

// MARK: How it is watched

/// As `Requests` and `Answers` of the relay do it. Answers how many exchanges have ended where they should.
private func exchangeOnce(_ tracker: inout ExchangeTracker, _ connection: Connection) -> Int {
  let requests = connection.requests.span
  var start = 0
  for cut in connection.requestCuts {
    admitRequests(requests.extracting(start..<cut), &tracker)
    start = cut
  }
  guard tracker.outstanding == connection.exchanges else { return 0 }
  let answers = connection.answers.span
  start = 0
  for cut in connection.answerCuts {
    admitAnswers(answers.extracting(start..<cut), &tracker)
    start = cut
  }
  return tracker.isIdle ? connection.exchanges : 0
}

private func admitRequests(_ bytes: Span<UInt8>, _ tracker: inout ExchangeTracker) {
  var offset = 0
  while offset < bytes.count, !tracker.isOpaque {
    if tracker.isBetweenRequests {
      offset = tracker.skipEmptyLines(bytes, from: offset)
      guard offset < bytes.count, tracker.mayBegin else { return }
      tracker.beginRequest()
    }
    offset = tracker.takeRequest(bytes, from: offset)
  }
}

private func admitAnswers(_ bytes: Span<UInt8>, _ tracker: inout ExchangeTracker) {
  var offset = 0
  while offset < bytes.count {
    let next = tracker.takeAnswer(bytes, from: offset)
    if next == offset { return }
    offset = next
  }
}

/// Bytes of data in a chunked body; -1 where it is none, or does not end.
private func dataBytes(of body: [UInt8]) -> Int {
  let bytes = body.span
  var scanner = ChunkScanner()
  var offset = 0
  var count = 0
  do throws(ChunkError) {
    while true {
      switch try scanner.next(bytes, from: &offset) {
      case .data(let range): count += range.count
      case .end: return count
      case .incomplete: return -1
      }
    }
  } catch {
    return -1
  }
}

import HTTPFraming
import Testing

/// A reader of requests that takes liberties, as servers and proxies are known to do. Where the tracker claims that a
/// request ends, it has to end there for all of them, or they have to refuse it.
private struct LenientReader: CustomStringConvertible {
  enum Fold: CaseIterable { case joined, dropped, ownField, refused }
  enum Duplicate: CaseIterable { case first, last, refused }
  enum Number: CaseIterable { case strict, prefix, lenient }
  enum Coding: CaseIterable { case exact, lastOfList, contained }

  var endsLinesAtCR = false
  var trimsLines = false
  var passesBlanksBeforeColon = false
  var fold = Fold.joined
  var duplicate = Duplicate.last
  var number = Number.strict
  var coding = Coding.exact
  var prefersLength = false
  var passesOddChunks = false

  var description: String {
    "CR \(endsLinesAtCR) trims \(trimsLines) blanks \(passesBlanksBeforeColon) \(fold) \(duplicate) \(number) \(coding) "
      + "length \(prefersLength) odd chunks \(passesOddChunks)"
  }

  init() {}

  init(_ random: inout SeededNumbers) {
    endsLinesAtCR = Bool.random(using: &random)
    trimsLines = Bool.random(using: &random)
    passesBlanksBeforeColon = Bool.random(using: &random)
    fold = Fold.allCases.randomElement(using: &random) ?? .joined
    duplicate = Duplicate.allCases.randomElement(using: &random) ?? .last
    number = Number.allCases.randomElement(using: &random) ?? .strict
    coding = Coding.allCases.randomElement(using: &random) ?? .exact
    prefersLength = Bool.random(using: &random)
    passesOddChunks = Bool.random(using: &random)
  }

  /// Where the request ends; nil where it is refused, or has not come as a whole.
  func end(of bytes: [UInt8]) -> Int? {
    var position = 0
    guard nextLine(bytes, &position) != nil else { return nil }
    var fields: [(name: String, value: String)] = []
    while true {
      guard var line = nextLine(bytes, &position) else { return nil }
      if trimsLines, line.allSatisfy({ $0 == " " || $0 == "\t" }) { line = "" }
      if line.isEmpty { break }
      if line.first == " " || line.first == "\t" {
        switch fold {
        case .refused: return nil
        case .dropped: continue
        case .joined:
          guard let last = fields.popLast() else { return nil }
          fields.append((last.name, last.value + " " + trimmed(line)))
          continue
        case .ownField: line = trimmed(line)
        }
      }
      guard let colon = line.firstIndex(of: ":") else { continue }
      var name = String(line[..<colon])
      if passesBlanksBeforeColon { name = trimmed(name) }
      fields.append((name.lowercased(), trimmed(String(line[line.index(after: colon)...]))))
    }
    return bodyEnd(bytes, position, fields)
  }

  private func bodyEnd(_ bytes: [UInt8], _ start: Int, _ fields: [(name: String, value: String)]) -> Int? {
    let codings = fields.filter { $0.name == "transfer-encoding" }.map { $0.value.lowercased() }
    let lengths = fields.filter { $0.name == "content-length" }.map(\.value)
    let isChunked =
      switch coding {
      case .exact: codings.last == "chunked"
      case .lastOfList: trimmed(codings.last.map { String($0.split(separator: ",").last ?? "") } ?? "") == "chunked"
      case .contained: codings.contains { $0.contains("chunked") }
      }
    if isChunked, !(prefersLength && !lengths.isEmpty) { return chunksEnd(bytes, start) }
    guard let text = duplicate == .first ? lengths.first : lengths.last else { return start }
    if duplicate == .refused, lengths.count > 1 { return nil }
    guard let length = length(text), length <= bytes.count - start else { return nil }
    return start + length
  }

  private func length(_ text: String) -> Int? {
    switch number {
    case .strict: return text.allSatisfy { "0123456789".contains($0) } ? Int(text) : nil
    case .prefix: return Int(String(text.prefix { "0123456789".contains($0) }))
    case .lenient:
      if text.hasPrefix("0x") { return Int(text.dropFirst(2), radix: 16) }
      return Int(text.replacing("_", with: "").split(separator: ",").first.map { trimmed(String($0)) } ?? "")
    }
  }

  private func chunksEnd(_ bytes: [UInt8], _ start: Int) -> Int? {
    var position = start
    while true {
      guard let line = nextLine(bytes, &position) else { return nil }
      var digits = String(line.prefix { $0 != ";" })
      if passesOddChunks {
        digits = trimmed(digits)
        if digits.hasPrefix("0x") { digits = String(digits.dropFirst(2)) }
      }
      guard let size = Int(digits, radix: 16), size >= 0, size <= bytes.count - position else { return nil }
      if size == 0 { break }
      position += size
      guard let rest = nextLine(bytes, &position) else { return nil }
      if !rest.isEmpty, !passesOddChunks { return nil }
    }
    while let line = nextLine(bytes, &position) {
      if line.isEmpty { return position }
    }
    return nil
  }

  private func nextLine(_ bytes: [UInt8], _ position: inout Int) -> String? {
    let start = position
    for index in start..<bytes.count {
      let isEnd = bytes[index] == 10 || endsLinesAtCR && bytes[index] == 13
      guard isEnd else { continue }
      position = index + 1
      var end = index
      if bytes[index] == 13, position < bytes.count, bytes[position] == 10 { position += 1 }
      if bytes[index] == 10, end > start, bytes[end - 1] == 13 { end -= 1 }
      // Each byte is a character of its own, CR LF as well.
      return String(String.UnicodeScalarView(bytes[start..<end].map { Unicode.Scalar($0) }))
    }
    return nil
  }

  private func trimmed(_ text: String) -> String {
    let scalars = text.unicodeScalars.drop { $0 == " " || $0 == "\t" }
    guard let last = scalars.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return "" }
    return String(String.UnicodeScalarView(scalars[...last]))
  }
}

@Suite struct LenientReaderTests {
  private static let lines = [
    "Host: x", "Content-Length: 5", "Content-Length: 0", "content-length:7", "Transfer-Encoding: chunked",
    "Transfer-Encoding: identity", "TRANSFER-ENCODING:chunked", "Transfer-Encoding: gzip, chunked", "X: y",
    "Accept: */*",
    " folded", " ", "\tTransfer-Encoding: chunked", " Content-Length: 3", "Connection: keep-alive", "Content-Length",
    "X-Y:",
    "Upgrade-Insecure-Requests: 1", "Expect: 100-continue", "Content-Length : 4", "",
  ]
  private static let bodies = [
    "", "hello", "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "0\r\nX: y\r\n\r\n", "3;a=b\r\nabc\r\n00\r\n\r\n",
    "1\r\nx\r\n2\r\nxy\r\n0\r\n\r\n",
    "GET /b HTTP/1.1\r\n\r\n",
  ]
  private static let oddities = Array(" \t\r\n\0\u{B}:;,+-_0x5".utf8)

  /// A request of common and odd lines, with a few bytes changed at random.
  private func request(_ random: inout SeededNumbers) -> [UInt8] {
    let lineEnd = Int.random(in: 0..<8, using: &random) == 0 ? "\n" : "\r\n"
    var text = "POST / HTTP/1.1" + lineEnd
    for _ in 0..<Int.random(in: 0...4, using: &random) {
      text += (Self.lines.randomElement(using: &random) ?? "") + lineEnd
    }
    text += lineEnd + (Self.bodies.randomElement(using: &random) ?? "")
    var bytes = Array(text.utf8)
    for _ in 0..<max(0, Int.random(in: -2...2, using: &random)) {
      let place = Int.random(in: 0..<bytes.count, using: &random)
      let odd = Self.oddities.randomElement(using: &random) ?? 0
      switch Int.random(in: 0..<3, using: &random) {
      case 0: bytes.insert(odd, at: place)
      case 1: bytes[place] = odd
      default: bytes.remove(at: place)
      }
    }
    return bytes + Array("GET /next HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
  }

  @Test(arguments: 1...40 as ClosedRange<UInt64>)
  func noRequestEnds_whereAnotherReaderSeesItGoOn(seed: UInt64) {
    var random = SeededNumbers(seed: seed)
    var (claimed, opaque, agreed) = (0, 0, 0)
    for _ in 0..<500 {
      let bytes = request(&random)
      var watcher = Watcher()
      watcher.fromClient(bytes)
      guard let end = watcher.ends.first else {
        opaque += 1
        continue
      }
      claimed += 1
      for _ in 0..<20 {
        let reader = LenientReader(&random)
        guard let other = reader.end(of: bytes) else { continue }
        agreed += 1
        #expect(other == end, "seed \(seed): \(reader): \(String(decoding: bytes, as: UTF8.self))")
      }
    }
    // Of nothing that is claimed, or that nobody reads, nothing would have been shown.
    #expect(claimed > 50 && opaque > 50 && agreed > claimed * 5, "\(claimed) \(opaque) \(agreed)")
  }

  /// The readers do fall for what they are here for.
  @Test func lenientReaders_disagree() {
    let bytes = Array("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".utf8)
    var one = LenientReader()
    let end = one.end(of: bytes)
    #expect(end == bytes.count)
    one.prefersLength = true
    #expect(one.end(of: bytes) == bytes.count)
    let other = Array(
      "POST / HTTP/1.1\r\nContent-Length: 2\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".utf8)
    one.fold = .ownField
    #expect(one.end(of: other) == other.count - 3)
    one.prefersLength = false
    #expect(one.end(of: other) == other.count)
  }
}

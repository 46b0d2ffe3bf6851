/// Any bytes as the head of a request and of an answer, and as a chunked body: nothing traps, and what comes out does
/// not depend on the pieces in which the bytes come. Compiled together with the sources of HTTPFraming.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHTTPHead(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count >= 2 else { return 0 }
  let bytes = Array(UnsafeBufferPointer(start: data, count: count))
  // The first two bytes say where the rest is cut.
  let step = Int(bytes[0] % 16) + 1
  let limit = bytes[1] < 16 ? Int(bytes[1]) : 4096
  let input = Array(bytes[2...])
  checkHead(input, step, limit)
  checkChunks(input, step)
  return 0
}

private func checkHead(_ input: [UInt8], _ step: Int, _ limit: Int) {
  var whole = HeadScanner(limit: limit)
  let expected = whole.scan(input.span)
  var scanner = HeadScanner(limit: limit)
  var progress = HeadScanner.Progress.incomplete
  var end = 0
  while progress == .incomplete, end < input.count {
    end = min(input.count, end + step)
    progress = scanner.scan(input.span.extracting(0..<end))
  }
  precondition(input.isEmpty || progress == expected, "pieces of \(step): \(progress) instead of \(expected)")
  guard case .complete(let length) = expected else { return }
  precondition(length <= limit && length <= input.count)
  let head = input.span.extracting(0..<length)
  if let request = try? RequestHead(head) {
    precondition(request.body != .untilClose && !request.method.isEmpty && !request.target.isEmpty)
    precondition(!request.fields.entries.contains { $0.name.isEmpty || $0.value.contains("\r") })
    _ = request.keepsAlive
  }
  for method in ["GET", "HEAD"] {
    if let response = try? ResponseHead(head, answering: method) {
      precondition((100...999).contains(response.status))
      _ = response.keepsAlive
    }
  }
}

private func checkChunks(_ input: [UInt8], _ step: Int) {
  let whole = decode(input, step: max(1, input.count))
  let pieces = decode(input, step: step)
  precondition(whole.data == pieces.data && whole.end == pieces.end && whole.error == pieces.error)
}

private func decode(_ input: [UInt8], step: Int) -> (data: [UInt8], end: Int?, error: ChunkError?) {
  var scanner = ChunkScanner()
  var data: [UInt8] = []
  var start = 0
  while start < input.count {
    let piece = Array(input[start..<min(input.count, start + step)])
    var offset = 0
    do throws(ChunkError) {
      pieces: while true {
        switch try scanner.next(piece.span, from: &offset) {
        case .incomplete:
          precondition(offset == piece.count)
          break pieces
        case .data(let range):
          precondition(!range.isEmpty && range.upperBound == offset)
          data += piece[range]
        case .end: return (data, start + offset, nil)
        }
      }
    } catch {
      return (data, nil, error)
    }
    start += piece.count
  }
  return (data, nil, nil)
}

import HTTPFraming

/// What a scanner and a parser make of a text, as a whole.
func request(_ text: String, limit: Int = 16_384) throws -> RequestHead {
  let bytes = Array(text.utf8)
  return try RequestHead(bytes.span.extracting(0..<headLength(bytes, limit: limit)))
}

func response(_ text: String, answering method: String = "GET") throws -> ResponseHead {
  let bytes = Array(text.utf8)
  return try ResponseHead(bytes.span.extracting(0..<headLength(bytes, limit: 16_384)), answering: method)
}

struct Incomplete: Error {}

func headLength(_ bytes: [UInt8], limit: Int) throws -> Int {
  var scanner = HeadScanner(limit: limit)
  switch scanner.scan(bytes.span) {
  case .complete(let length): return length
  case .refused(let error): throw error
  case .incomplete: throw Incomplete()
  }
}

/// The same numbers for the same seed, so that a failure can be repeated.
struct SeededNumbers: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  /// splitmix64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

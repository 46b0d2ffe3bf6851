import FoundationEssentials
import Switching
import Testing

/// SplitMix64: the same numbers for the same seed, on every machine. Tests name the seed when they fail.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}

extension Receipt {
  static func sample(reason: String? = nil) -> Receipt {
    Receipt(
      generation: 2, from: .blue, to: .green, at: "2026-01-31T10:00:00.000Z", by: Requester(uid: 1, pid: 99),
      reason: reason)
  }

  /// The promise of every receipt: each session that was open is in exactly one of the outcomes.
  var isBalanced: Bool { open == ended + moved + returned + spread + cut + remaining }
}

func json(_ value: some Encodable) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = .sortedKeys
  return String(decoding: try encoder.encode(value), as: UTF8.self)
}

func fromJSON<Value: Decodable>(_ text: String, as type: Value.Type) throws -> Value {
  try JSONDecoder().decode(type, from: Data(text.utf8))
}

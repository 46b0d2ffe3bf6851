import Configuration
import FoundationEssentials
import LinuxIO
import Testing

/// SplitMix64: the same numbers for the same seed everywhere.
private struct Numbers: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

@Suite struct MutationTests {
  private static let pieces =
    [
      "{", "}", "[", "]", ",", ":", "\"", "'", "\\", "\\u", "\\uD800", "\\x", "/*", "*/", "//", "\n", "\r", "0x", "-",
      "1e",
      "9223372036854775808", "null", "true", "Infinity", "unix:/", "[::1]:80", ":0", "1h", "listeners", "\u{FEFF}", "é",
    ].map { Array($0.utf8) } + [[0xFF], [0xC3], [0x00], [0xED, 0xA0, 0x80]]

  /// What the sample shows in comments only.
  private static let commentedOut = """
    {listeners:[{bind:':80',protocol:'http',blue:['a:1'],green:['b:1'],source:['10.0.0.5'],tcp:{keepalive:'2m'},
      health:{rise:9,http:{path:'/a',status:'200,300-399'}}}],
     health:{http:{body:'ok',host:'h'}},bake:{resets:'off',firstByte:'123.45%'},checks:{before:['a'],after:['b c']}}
    """

  private func mutate(_ bytes: inout [UInt8], _ numbers: inout Numbers) {
    let from = Int.random(in: 0...bytes.count, using: &numbers)
    let to = min(bytes.count, from + Int.random(in: 0...8, using: &numbers))
    switch Int.random(in: 0..<5, using: &numbers) {
    case 0: bytes.replaceSubrange(from..<to, with: Self.pieces.randomElement(using: &numbers) ?? [])
    case 1: bytes.removeSubrange(from..<to)
    case 2: bytes.insert(contentsOf: bytes[from..<to], at: Int.random(in: 0...bytes.count, using: &numbers))
    case 3: bytes.replaceSubrange(from..<from, with: [UInt8.random(in: 0...255, using: &numbers)])
    default: bytes.removeSubrange(from...)
    }
  }

  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func load_answersOrNamesAPlace_whenBytesAreMutated(seed: UInt64) throws {
    var numbers = Numbers(state: seed)
    let originals = [try sampleFile(), Array(smallest.utf8), Array(Self.commentedOut.utf8)]
    var accepted = 0
    for round in 0..<1000 {
      var bytes = originals[round % originals.count]
      for _ in 0..<Int.random(in: 1...3, using: &numbers) { mutate(&bytes, &numbers) }
      do {
        let settings = try Settings.load(text: bytes, file: "m", environment: rootPaths)
        let written = Array(try JSONEncoder().encode(settings))
        #expect(
          try Settings.load(text: written, file: "w", environment: rootPaths) == settings, "seed \(seed), \(round)")
        accepted += 1
      } catch let error as SettingsError {
        #expect(error.file == "m" && error.line > 0 && error.column > 0, "seed \(seed), round \(round): \(error)")
      }
    }
    #expect(accepted > 0, "some mutations leave a valid file")
  }
}

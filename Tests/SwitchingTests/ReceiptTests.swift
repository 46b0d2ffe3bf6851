import Testing

@testable import Switching

@Suite struct AccountingTests {
  /// Workers that count on their own, reports in between, and at the end perhaps a return to the old color, after which
  /// what happens to those sessions is no longer this receipt's business.
  @Test(arguments: 1...200 as ClosedRange<UInt64>)
  func receipt_accountsForEverySession_whateverBecomesOfThem(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var workers = (0..<Int.random(in: 1...4, using: &random)).map { _ in
      var tally = DrainTally()
      tally.open = Int.random(in: 0...30, using: &random)
      return tally
    }
    let open = workers.reduce(0) { $0 + $1.open }
    var counted: [DrainOutcome: Int] = [:]
    var failures = 0
    var receipt = Receipt.sample()
    func sweep(returned: Int) {
      #expect(receipt.isBalanced)
      #expect(receipt.open == open && receipt.returned == returned)
      #expect(receipt.ended == counted[.ended, default: 0] && receipt.moved == counted[.moved, default: 0])
      #expect(receipt.spread == counted[.spread, default: 0] && receipt.cut == counted[.cut, default: 0])
      #expect(receipt.connectFailures == failures && failures <= receipt.ended)
      #expect(receipt.remaining >= 0)
    }
    receipt.record(workers.reduce(DrainTally(), +))
    sweep(returned: 0)
    let steps = Int.random(in: 0...(2 * open), using: &random)
    for _ in 0..<steps {
      let worker = workers.indices.randomElement(using: &random)!
      guard workers[worker].remaining > 0 else { continue }
      let outcome = [DrainOutcome.ended, .moved, .spread, .cut].randomElement(using: &random)!
      workers[worker].count(outcome)
      counted[outcome, default: 0] += 1
      if outcome == .ended, Bool.random(using: &random) {
        workers[worker].connectFailures += 1
        failures += 1
      }
      if Int.random(in: 0..<3, using: &random) == 0 {
        receipt.record(workers.reduce(DrainTally(), +))
        sweep(returned: 0)
      }
    }
    let last = workers.reduce(DrainTally(), +)
    receipt.record(last)
    #expect(receipt.remaining == last.remaining)
    if Bool.random(using: &random) {
      receipt.returnRemaining()
      sweep(returned: last.remaining)
      #expect(receipt.remaining == 0)
      // A report that was under way, or a second return, must not count anybody twice.
      receipt.record(last)
      receipt.returnRemaining()
    }
    sweep(returned: receipt.returned)
    #expect(receipt.returned + receipt.remaining == last.remaining)
  }

  @Test func tallies_addUp_inEveryPart() {
    var one = DrainTally()
    (one.open, one.ended, one.moved, one.spread, one.cut, one.connectFailures) = (100, 1, 2, 3, 4, 1)
    var two = DrainTally()
    (two.open, two.ended, two.moved, two.spread, two.cut, two.connectFailures) = (1000, 10, 20, 30, 40, 10)
    var sum = DrainTally()
    (sum.open, sum.ended, sum.moved, sum.spread, sum.cut, sum.connectFailures) = (1100, 11, 22, 33, 44, 11)
    #expect(one + two == sum)
    #expect((one + two).remaining == 990 && one.remaining == 90)
  }
}

@Suite struct ReceiptJSONTests {
  /// Stands for a value that a test is not interested in.
  private struct Anything: Decodable { init(from decoder: any Decoder) {} }

  @Test func reasonAndCause_areNull_whenThereIsNone() throws {
    let text = try json(Receipt.sample())
    #expect(text.contains("\"reason\":null"))
    #expect(text.contains("\"cause\":null"))
    #expect(try fromJSON(text, as: Receipt.self) == Receipt.sample())
  }

  @Test func receipt_isReadBack_whenEveryPartIsSet() throws {
    var receipt = Receipt.sample(reason: "v2 „quoted“ \"\\\n")
    receipt.cause = Receipt.Cause(signal: .resets, value: 0.25, limit: 0.05)
    (receipt.automatic, receipt.forced, receipt.persisted, receipt.settled) = (true, true, true, true)
    (receipt.flipMicroseconds, receipt.confirmMicroseconds, receipt.persistMicroseconds) = (1, 2, 3)
    (receipt.heldMilliseconds, receipt.connectFailures) = (4, 5)
    (receipt.open, receipt.ended, receipt.moved, receipt.returned) = (40, 10, 9, 8)
    (receipt.spread, receipt.cut, receipt.remaining) = (7, 5, 1)
    #expect(try fromJSON(json(receipt), as: Receipt.self) == receipt)
  }

  @Test func keys_areThoseOfTheInterface_inEveryReceipt() throws {
    let keys = try fromJSON(json(Receipt.sample()), as: [String: Anything].self).keys
    let promised = [
      "generation", "from", "to", "at", "by", "automatic", "forced", "reason", "cause", "flipMicroseconds",
      "persistMicroseconds", "persisted", "heldMilliseconds", "open", "ended", "moved", "returned", "spread", "cut",
      "remaining", "connectFailures", "settled",
    ]
    #expect(Set(promised).subtracting(keys).isEmpty)
  }

  @Test(arguments: [nil, Color.blue])
  func pairState_isReadBack_whetherThereIsAWayBackOrNot(previous: Color?) throws {
    let state = PairState(active: .green, previous: previous, generation: 1 << 60)
    let text = try json(state)
    #expect(text.contains(previous == nil ? "\"previous\":null" : "\"previous\":\"blue\""))
    #expect(try fromJSON(text, as: PairState.self) == state)
  }

  @Test(arguments: ["\"red\"", "\"Blue\"", "0", "null"])
  func color_isRefused_whenItIsNeither(text: String) {
    #expect(throws: (any Error).self) { try fromJSON(text, as: Color.self) }
  }
}

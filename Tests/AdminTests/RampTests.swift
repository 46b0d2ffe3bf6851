import Admin
import Switching
import Testing

@Suite struct RampTests {
  private func call(_ fields: String) throws -> AdminCall {
    let body = #"{"to":"green",\#(fields)}"#
    return try AdminCall.decode(method: "POST", path: "/v1/switch", query: nil, body: Array(body.utf8))
  }

  @Test func aReleaseIsUnderstood_withItsRampItsBakeAndItsForce() throws {
    var request = SwitchRequest(to: .green)
    (request.bake, request.force) = ("60s", true)
    request.ramp = [RampStep(percent: 1, time: "100ms"), RampStep(percent: 99, time: "24h")]
    let fields = #""bake":"60s","force":true,"ramp":[{"percent":1,"time":"100ms"},{"time":"24h","percent":99}]"#
    #expect(try call(fields) == .switchColor(request))
    request = SwitchRequest(to: .green)
    (request.bake, request.handover) = ("0s", true)
    #expect(try call(#""bake":"0s","handover":true,"ramp":null"#) == .switchColor(request))
  }

  @Test(arguments: [
    (#""bake":60"#, "bake: expected a text"),
    (#""bake":"soon""#, #"bake: expected a duration up to 24h such as 60s, found "soon""#),
    (#""bake":"25h""#, #"bake: expected a duration up to 24h such as 60s, found "25h""#),
    (#""bake":false"#, "bake: expected a text"),
    (#""bake":[]"#, "bake: expected a text"),
    (#""force":[{}]"#, "force: expected true or false"),
    (#""expect":[{}]"#, "expect: expected blue or green"),
    (#""ramp":"10%:1m""#, #"ramp: expected a list of steps such as {"percent": 10, "time": "1m"}"#),
    (#""ramp":{"percent":10,"time":"1m"}"#, #"ramp: expected a list of steps such as {"percent": 10, "time": "1m"}"#),
    (#""ramp":[10]"#, #"ramp: expected a list of steps such as {"percent": 10, "time": "1m"}"#),
    (#""ramp":[null]"#, #"ramp: expected a list of steps such as {"percent": 10, "time": "1m"}"#),
    (
      #""ramp":[[{"percent":10,"time":"1m"}]]"#,
      #"ramp: expected a list of steps such as {"percent": 10, "time": "1m"}"#
    ),
    (#""ramp":[]"#, "ramp: expected 1 to 20 steps, found 0"),
    (#""ramp":[{}]"#, "ramp: step 1: percent: expected a whole number from 1 to 99"),
    (#""ramp":[{"percent":"10","time":"1m"}]"#, "ramp: step 1: percent: expected a whole number from 1 to 99"),
    (#""ramp":[{"percent":10.5,"time":"1m"}]"#, "ramp: step 1: percent: expected a whole number from 1 to 99"),
    (#""ramp":[{"percent":1e400,"time":"1m"}]"#, "ramp: step 1: percent: expected a whole number from 1 to 99"),
    (#""ramp":[{"percent":true,"time":"1m"}]"#, "ramp: step 1: percent: expected a whole number from 1 to 99"),
    (#""ramp":[{"percent":{"a":1},"time":"1m"}]"#, "ramp: step 1: percent: expected a whole number from 1 to 99"),
    (#""ramp":[{"percent":0,"time":"1m"}]"#, "ramp: step 1: percent: expected a whole number from 1 to 99, found 0"),
    (
      #""ramp":[{"percent":100,"time":"1m"}]"#, "ramp: step 1: percent: expected a whole number from 1 to 99, found 100"
    ),
    (
      #""ramp":[{"percent":10,"time":"1m"},{"percent":10,"time":"1m"}]"#,
      "ramp: step 2: percent: expected more than the 10 of the step before, found 10"
    ),
    (#""ramp":[{"percent":10}]"#, "ramp: step 1: time: expected a duration from 100ms to 24h"),
    (#""ramp":[{"percent":10,"time":60}]"#, "ramp: step 1: time: expected a duration from 100ms to 24h"),
    (
      #""ramp":[{"percent":10,"time":"99ms"}]"#,
      #"ramp: step 1: time: expected a duration from 100ms to 24h, found "99ms""#
    ),
    (
      #""ramp":[{"percent":10,"time":"25h"}]"#,
      #"ramp: step 1: time: expected a duration from 100ms to 24h, found "25h""#
    ),
    (
      #""ramp":[{"percent":10,"time":"1m"},{"percent":20,"time":"1m","bake":1}]"#,
      #"ramp: step 2: unknown field "bake""#
    ),
    (#""ramp":[{"percent":10,"percent":20,"time":"1m"}]"#, #"the field "percent" is there twice"#),
    (#""ramp":[{"percent":10,"\u0074ime":"1m","time":"2m"}]"#, #"unknown field "\u0074ime""#),
    (
      #""ramp":[{"percent":10,"time":"1m"}],"handover":true"#, "ramp and handover exclude each other"
    ),
  ])
  func aBadReleaseIsRefusedWithThePlaceThatIsWrong(_ fields: String, _ message: String) {
    let refusal = #expect(throws: AdminRefusal.self) { try call(fields) }
    #expect(refusal?.status == 400)
    #expect(refusal?.report == ErrorReport(code: "bad-request", message: message))
  }

  @Test func twentyStepsAreTheMost() throws {
    func steps(_ count: Int) -> String {
      (1...count).map { #"{"percent":\#($0),"time":"1m"}"# }.joined(separator: ",")
    }
    _ = try call(#""ramp":[\#(steps(20))]"#)
    #expect(throws: AdminRefusal.self) { try call(#""ramp":[\#(steps(21))]"#) }
  }

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

  /// Sound steps are accepted and survive being written, others are refused; whether they are is known from how they
  /// were made.
  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func aRampIsAcceptedIfAndOnlyIfItIsSound(seed: UInt64) throws {
    var numbers = Numbers(state: seed)
    var accepted = 0
    for round in 0..<500 {
      var percents = Set(
        (0..<Int.random(in: 1...20, using: &numbers)).map { _ in Int.random(in: 1...99, using: &numbers) }
      )
      .sorted().map { "\($0)" }
      var times = percents.map { _ in ["100ms", "1s", "1m", "24h", "86400000ms"].randomElement(using: &numbers) ?? "1s"
      }
      var isSound = true
      let place = Int.random(in: 0..<percents.count, using: &numbers)
      switch Int.random(in: 0..<6, using: &numbers) {
      case 0:
        (percents[place], isSound) = (
          ["0", "100", "-1", "1.5", "null", #""5""#].randomElement(using: &numbers) ?? "0", false
        )
      case 1:
        (times[place], isSound) = (
          ["99ms", "0s", "86400001ms", "1", "", "1m "].randomElement(using: &numbers) ?? "", false
        )
      case 2 where percents.count > 1:
        percents.reverse()
        isSound = false
      case 3:
        percents.append(percents[place])
        times.append("1m")
        isSound = false
      default: break
      }
      let steps = zip(percents, times).map { #"{"percent":\#($0),"time":"\#($1)"}"# }.joined(separator: ",")
      do {
        let call = try call(#""ramp":[\#(steps)]"#)
        #expect(isSound, "seed \(seed), round \(round): \(steps)")
        guard case .switchColor(let request) = call else { continue }
        let again = try AdminCall.decode(
          method: "POST", path: "/v1/switch", query: nil, body: try AdminJSON.line(request))
        #expect(again == call)
        accepted += 1
      } catch let error as AdminRefusal {
        #expect(!isSound, "seed \(seed), round \(round): \(steps): \(error)")
        #expect(error.report.error.message.hasPrefix("ramp: "))
      }
    }
    #expect(accepted > 100)
  }

  /// Any change of a byte: understood or refused with a message, nothing traps, what was understood survives.
  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func anyBytesAreUnderstoodOrRefused(seed: UInt64) throws {
    var numbers = Numbers(state: seed)
    let pieces = [
      "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0074", "null", "true", "1e999", "-", "\"time\"", "\"percent\":",
      "10", "é",
    ]
    let original = #"{"to":"green","bake":"60s","ramp":[{"percent":10,"time":"1m"},{"percent":50,"time":"5m"}]}"#
    for _ in 0..<2000 {
      var bytes = Array(original.utf8)
      for _ in 0..<Int.random(in: 1...3, using: &numbers) {
        let from = Int.random(in: 0...bytes.count, using: &numbers)
        let to = min(bytes.count, from + Int.random(in: 0...8, using: &numbers))
        let piece =
          Int.random(in: 0..<4, using: &numbers) == 0
          ? [UInt8.random(in: 0...255, using: &numbers)] : Array((pieces.randomElement(using: &numbers) ?? "").utf8)
        bytes.replaceSubrange(from..<to, with: piece)
      }
      do {
        let call = try AdminCall.decode(method: "POST", path: "/v1/switch", query: nil, body: bytes)
        guard case .switchColor(let request) = call else { continue }
        let again = try AdminCall.decode(
          method: "POST", path: "/v1/switch", query: nil, body: try AdminJSON.line(request))
        #expect(again == call, "seed \(seed): \(String(decoding: bytes, as: UTF8.self))")
      } catch let error as AdminRefusal {
        #expect(error.status == 400 && !error.report.error.message.isEmpty)
      }
    }
  }
}

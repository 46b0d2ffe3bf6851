/// Numbers as people read them.
enum Units {
  /// `512 B`, `1.5 KiB`, `20 MiB`.
  static func bytes(_ count: UInt64) -> String {
    let names = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    if count < 1024 { return "\(count) B" }
    var value = Double(count) / 1024
    var name = 0
    // 1023.95 and more would be shown as 1024.0 of the smaller unit.
    while value >= 1023.95, name < names.count - 1 {
      value /= 1024
      name += 1
    }
    return "\(threeDigits(value)) \(names[name])"
  }

  /// `0s`, `3s`, `2m`, `2m 5s`, `3h 12m`, `2d 4h`. Rounded down.
  static func duration(seconds: Double) -> String {
    // Also false for what is no number.
    guard seconds >= 1 else { return "0s" }
    let whole = Int64(min(seconds, 1e12))
    let steps: [(name: String, length: Int64)] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)]
    guard let first = steps.firstIndex(where: { whole >= $0.length }) else { return "0s" }
    let head = "\(whole / steps[first].length)\(steps[first].name)"
    if first + 1 == steps.count { return head }
    let rest = whole % steps[first].length / steps[first + 1].length
    return rest == 0 ? head : "\(head) \(rest)\(steps[first + 1].name)"
  }

  /// `4 µs`, `1.2 ms`, `2.5 s`.
  static func microseconds(_ count: Int64) -> String {
    if count < 1000 { return "\(count) µs" }
    if count < 1_000_000 { return "\(threeDigits(Double(count) / 1000)) ms" }
    return "\(threeDigits(Double(count) / 1_000_000)) s"
  }

  /// `1 session`, `3 sessions`.
  static func sessions(_ count: Int) -> String { count == 1 ? "1 session" : "\(count) sessions" }

  /// A share as `5 %`, `12.5 %`, `0.25 %`. What is there, but too little to be written so, is `<0.01 %`.
  static func percent(_ share: Double) -> String {
    // Also false for what is no number.
    guard share > 0 else { return "0 %" }
    let hundredths = Int((min(share, 1e6) * 10_000).rounded())
    if hundredths == 0 { return "<0.01 %" }
    let digits = String(hundredths % 100 + 100).dropFirst()
    let fraction = digits.hasSuffix("00") ? "" : "." + (digits.hasSuffix("0") ? digits.dropLast() : digits)
    return "\(hundredths / 100)\(fraction) %"
  }

  /// A whole number that came as another.
  static func count(_ value: Double) -> String { String(Int(min(1e9, max(0, value)))) }

  /// One decimal below 100, none above and none that is zero.
  private static func threeDigits(_ value: Double) -> String {
    let tenths = (value * 10).rounded()
    if tenths >= 1000 || tenths.truncatingRemainder(dividingBy: 10) == 0 { return "\(Int(value.rounded()))" }
    return "\(Int(tenths) / 10).\(Int(tenths) % 10)"
  }
}

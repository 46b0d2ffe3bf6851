/// A length of time in whole milliseconds, 0 or more.
public typealias Milliseconds = Int64

/// The longest duration that can be written: 365 days. Far beyond any drain, and far from where sums could overflow.
public let longestDuration: Milliseconds = 365 * 24 * 3_600_000

private let durationUnits: [(suffix: String, milliseconds: Milliseconds)] = [
  ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
]

/// Reads `250ms`, `30s`, `5m` or `1h`: decimal digits and one unit, from 0 to 365 days. nil for any other text.
public func parseDuration(_ text: String) -> Milliseconds? {
  let digits = text.unicodeScalars.prefix { ("0"..."9").contains($0) }
  guard let count = Milliseconds(String(digits)),
    let unit = durationUnits.first(where: { $0.suffix == text[digits.endIndex...] })
  else { return nil }
  let (product, overflow) = count.multipliedReportingOverflow(by: unit.milliseconds)
  return overflow || product > longestDuration ? nil : product
}

/// Writes a duration in the largest unit that takes no fraction: `90s`, not `1.5m`; 0 is `0s`.
public func formatDuration(_ milliseconds: Milliseconds) -> String {
  if milliseconds == 0 { return "0s" }
  let unit = durationUnits.first { milliseconds % $0.milliseconds == 0 } ?? ("ms", 1)
  return "\(milliseconds / unit.milliseconds)\(unit.suffix)"
}

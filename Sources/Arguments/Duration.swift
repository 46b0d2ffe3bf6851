/// The milliseconds of `250ms`, `30s`, `5m` or `1h`; nil where the text is none of these, or over a year.
public func milliseconds(ofDuration text: String) -> Int64? {
  let digits = text.prefix { $0.isASCII && $0.isNumber }
  let units: [Substring: Int64] = ["ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000]
  guard let count = Int64(digits), let unit = units[text.dropFirst(digits.count)] else { return nil }
  let (product, overflow) = count.multipliedReportingOverflow(by: unit)
  return overflow || product > longestDuration ? nil : product
}

/// 365 days, as in the config file.
private let longestDuration: Int64 = 365 * 24 * 3_600_000

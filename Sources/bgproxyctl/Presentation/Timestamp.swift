/// The times in the answers of the front door: RFC 3339, UTC, `2026-01-31T10:00:00.000Z`.
enum Timestamp {
  /// Seconds since 1970; nil where the text is no such time.
  static func seconds(_ text: String) -> Double? {
    let bytes = Array(text.utf8)
    let isShaped = zip("0000-00-00T00:00:00".utf8, bytes).allSatisfy { pattern, byte in
      pattern == UInt8(ascii: "0") ? isDigit(byte) : pattern == byte
    }
    guard isShaped, bytes.count >= 20, bytes.last == UInt8(ascii: "Z") else { return nil }
    func number(_ range: Range<Int>) -> Int { bytes[range].reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) } }
    let fraction = bytes[19..<(bytes.count - 1)]
    guard fraction.first ?? UInt8(ascii: ".") == UInt8(ascii: "."), fraction.dropFirst().allSatisfy(isDigit),
      (1...12).contains(number(5..<7))
    else { return nil }
    let days = daysSince1970(year: number(0..<4), month: number(5..<7), day: number(8..<10))
    let whole = days * 86_400 + number(11..<13) * 3600 + number(14..<16) * 60 + number(17..<19)
    return Double(whole) + (Double("0" + String(decoding: fraction, as: UTF8.self)) ?? 0)
  }

  /// The time until then, rounded up so that it is not 0s while there is any; nil where there is none, or the text is no
  /// such time.
  static func left(until text: String, now: Double) -> String? {
    guard let end = seconds(text) else { return nil }
    let left = (end - now).rounded(.up)
    return left > 0 ? Units.duration(seconds: left) : nil
  }

  /// `2026-01-31 10:00:00`, or the text itself where it is no such time.
  static func readable(_ text: String) -> String {
    seconds(text) == nil ? escaped(text) : "\(text.prefix(10)) \(text.dropFirst(11).prefix(8))"
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

  /// In the Gregorian calendar, with years that begin in March so that the leap day comes last.
  private static func daysSince1970(year: Int, month: Int, day: Int) -> Int {
    let marchYear = month > 2 ? year : year - 1
    let monthsSinceMarch = (month + 9) % 12
    let dayOfYear = (153 * monthsSinceMarch + 2) / 5 + day - 1
    return marchYear * 365 + marchYear / 4 - marchYear / 100 + marchYear / 400 + dayOfYear - 719_468
  }
}

public import Arguments
public import Switching

/// How a release is watched: for how long after a switch, and what takes it back.
///
/// A limit that is nil: that signal is not watched.
public struct BakeSettings: Equatable, Sendable {
  /// After each switch that says nothing else: 0, which is not at all, to 24 h.
  public var time: Milliseconds
  /// Shares that the new color may be worse than the old one: 0 % to 100 %.
  public var connectFailures: Percentage?
  public var resets: Percentage?
  public var serverErrors: Percentage?
  /// Of the old color's 90th percentile of the time to the first byte: what takes longer is late. 100 % to 10000 %.
  public var firstByte: Percentage?
  /// Client addresses from which a signal that clients can cause has to come before it counts: 1 to 10000.
  public var minimumClients: Int
  /// What a share has to be of before it counts: 1 to 1000000.
  public var minimumSamples: Int

  public init(
    time: Milliseconds = 0, connectFailures: Percentage? = Percentage(hundredths: 100),
    resets: Percentage? = Percentage(hundredths: 500), serverErrors: Percentage? = Percentage(hundredths: 500),
    firstByte: Percentage? = Percentage(hundredths: 40_000), minimumClients: Int = 10, minimumSamples: Int = 20
  ) {
    self.time = time
    (self.connectFailures, self.resets, self.serverErrors) = (connectFailures, resets, serverErrors)
    (self.firstByte, self.minimumClients, self.minimumSamples) = (firstByte, minimumClients, minimumSamples)
  }

  public var limits: Limits {
    Limits(
      connectFailures: connectFailures?.share, resets: resets?.share, serverErrors: serverErrors?.share,
      firstByte: firstByte?.share, minimumClients: minimumClients, minimumSamples: UInt64(minimumSamples))
  }
}

/// A share with at most two decimals: `1%`, `0.25%`.
public struct Percentage: Equatable, Sendable {
  /// Of a percent, 0 to 1000000.
  public let hundredths: Int
  public init(hundredths: Int) { self.hundredths = hundredths }

  /// 1 is all of it.
  public var share: Double { Double(hundredths) / 10_000 }

  /// As in the file.
  init?(_ text: String) {
    guard text.hasSuffix("%") else { return nil }
    let parts = text.dropLast().split(separator: ".", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), (1...5).contains(parts[0].utf8.count), parts[0].utf8.allSatisfy(isDigit),
      let whole = Int(parts[0])
    else { return nil }
    var hundredths = whole * 100
    if parts.count == 2 {
      let decimals = parts[1]
      guard (1...2).contains(decimals.utf8.count), decimals.utf8.allSatisfy(isDigit), let part = Int(decimals) else {
        return nil
      }
      hundredths += decimals.utf8.count == 1 ? part * 10 : part
    }
    self.hundredths = hundredths
  }

  var text: String {
    let (whole, part) = hundredths.quotientAndRemainder(dividingBy: 100)
    if part == 0 { return "\(whole)%" }
    return part % 10 == 0 ? "\(whole).\(part / 10)%" : "\(whole).\(part < 10 ? "0" : "")\(part)%"
  }
}

extension BakeSettings {
  private static let shares = Percentage(hundredths: 0)...Percentage(hundredths: 10_000)
  private static let multiples = Percentage(hundredths: 10_000)...Percentage(hundredths: 1_000_000)

  mutating func read(_ cursor: Cursor) throws(SettingsError) {
    let members = try cursor.object(CodingKeys.self)
    if let value = members[.time] {
      time = try value.duration(in: 0...Trial.longestStage, example: "\"30s\" or \"5m\"", step: 1)
    }
    if let value = members[.connectFailures] { connectFailures = try value.limit(in: Self.shares, example: "\"1%\"") }
    if let value = members[.resets] { resets = try value.limit(in: Self.shares, example: "\"5%\"") }
    if let value = members[.serverErrors] { serverErrors = try value.limit(in: Self.shares, example: "\"0.5%\"") }
    if let value = members[.firstByte] { firstByte = try value.limit(in: Self.multiples, example: "\"400%\"") }
    if let value = members[.minimumClients] { minimumClients = try value.wholeNumber(in: 1...10_000) }
    if let value = members[.minimumSamples] { minimumSamples = try value.wholeNumber(in: 1...1_000_000) }
  }
}

extension Percentage: Comparable {
  public static func < (a: Percentage, b: Percentage) -> Bool { a.hundredths < b.hundredths }
}

extension Cursor {
  /// nil: `off`.
  fileprivate func limit(in range: ClosedRange<Percentage>, example: String) throws(SettingsError) -> Percentage? {
    let expected =
      "\"off\" or a percentage such as \(example) from \(range.lowerBound.text) to \(range.upperBound.text),"
      + " with at most two decimals"
    let text = try text(expected).value
    if text == "off" { return nil }
    guard let value = Percentage(text), range.contains(value) else { throw failure(expected: expected) }
    return value
  }
}

extension BakeSettings: Encodable {
  enum CodingKeys: String, CodingKey, CaseIterable {
    case time, connectFailures, resets, serverErrors, firstByte, minimumClients, minimumSamples
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(formatDuration(time), forKey: .time)
    try container.encode(connectFailures?.text ?? "off", forKey: .connectFailures)
    try container.encode(resets?.text ?? "off", forKey: .resets)
    try container.encode(serverErrors?.text ?? "off", forKey: .serverErrors)
    try container.encode(firstByte?.text ?? "off", forKey: .firstByte)
    try container.encode(minimumClients, forKey: .minimumClients)
    try container.encode(minimumSamples, forKey: .minimumSamples)
  }
}

import Arguments

/// `busyPoll`: whether a worker looks for events for a moment before it sleeps.
public enum BusyPollSetting: Equatable, Sendable {
  case auto
  case off
  /// Before every sleep, for so long: 1 to 1000 µs.
  case microseconds(Int)

  static let range = 1...1000

  /// As in the file: `auto`, `off`, `50us`.
  init?(_ text: String) {
    switch text {
    case "auto": self = .auto
    case "off": self = .off
    default:
      guard text.hasSuffix("us"), text.utf8.dropLast(2).allSatisfy(isDigit), let count = Int(text.dropLast(2)),
        Self.range.contains(count)
      else { return nil }
      self = .microseconds(count)
    }
  }

  var text: String {
    switch self {
    case .auto: "auto"
    case .off: "off"
    case .microseconds(let count): "\(count)us"
    }
  }
}

extension BusyPollSetting: Encodable {
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }
}

/// `splice`: whether sustained transfers go through pipes instead of being copied.
public enum SpliceSetting: String, Codable, Sendable, CaseIterable { case auto, off }

extension Cursor {
  func busyPoll() throws(SettingsError) -> BusyPollSetting {
    let expected = "\"auto\", \"off\" or microseconds such as \"50us\", from \"1us\" to \"1000us\""
    guard let setting = BusyPollSetting(try text(expected).value) else { throw failure(expected: expected) }
    return setting
  }

  func splice() throws(SettingsError) -> SpliceSetting {
    let expected = "\"auto\" or \"off\""
    guard let setting = SpliceSetting(rawValue: try text(expected).value) else { throw failure(expected: expected) }
    return setting
  }
}

import LinuxIO

/// A value in a log line.
public enum LogValue: Sendable, Equatable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByBooleanLiteral
{
  case string(String)
  case int(Int64)
  case bool(Bool)

  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .int(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }

  /// A number that may be larger than the format's; it stops at the largest.
  public static func count(_ value: some BinaryInteger) -> LogValue { .int(Int64(clamping: value)) }
}

/// The two forms of a line. In both, a value can hold any text without forging a field or a line.
enum LogLine {
  static func render(
    _ format: LogFormat, time: WallTime, level: LogLevel, event: String,
    _ fields: some Sequence<(key: String, value: LogValue)>
  ) -> String {
    var line: String
    switch format {
    case .text:
      line = "\(time) \(level.name) \(event)"
      for (key, value) in fields { line += " \(key)=\(text(value))" }
    case .json:
      line = #"{"time":"\#(time)","level":"\#(level.name)","event":\#(quoted(event))"#
      for (key, value) in fields { line += ",\(quoted(key)):\(json(value))" }
      line += "}"
    }
    return line + "\n"
  }

  private static func text(_ value: LogValue) -> String {
    switch value {
    case .string(let string):
      let isPlain = !string.isEmpty && string.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x3D }
      return isPlain ? string : quoted(string)
    case .int(let number): return String(number)
    case .bool(let flag): return String(flag)
    }
  }

  private static func json(_ value: LogValue) -> String {
    if case .string(let string) = value { return quoted(string) }
    return text(value)
  }

  /// A JSON string, RFC 8259 §7. Control characters, C1 and the line separators are escaped, so that neither a line nor
  /// a terminal takes them for its own.
  private static func quoted(_ string: String) -> String {
    var result = "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where mayMislead(scalar):
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  private static func mayMislead(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || (0x2028...0x2029).contains(scalar.value)
  }
}

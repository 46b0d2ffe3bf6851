import FoundationEssentials

/// How values are written on the admin channel.
public enum AdminJSON {
  public static let contentType = "application/json"
  /// Of `GET /v1/events`: a JSON text on each line.
  public static let linesContentType = "application/x-ndjson"

  /// One line with its LF. Throws where a number is no JSON number (infinity, say).
  public static func line(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
    return Array(try encoder.encode(value)) + [0x0A]
  }

  public static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
    try JSONDecoder().decode(type, from: Data(bytes))
  }
}

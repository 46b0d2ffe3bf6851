import FoundationEssentials
import Switching

/// The JSON object that is a request's body. Each field is taken by the call that knows it; what is left at the end is
/// unknown, and an error.
struct AdminBody {
  /// The longest text in a field, in bytes: a reason is a line or two, nothing else comes close.
  static let longestText = 1024

  private var fields: [String: Field]

  private enum Field: Decodable {
    case text(String)
    case flag(Bool)
    case null
    case objects([[String: Part]])
    case other

    init(from decoder: any Decoder) throws {
      guard let value = try? decoder.singleValueContainer() else {
        self = .other
        return
      }
      if value.decodeNil() {
        self = .null
      } else if let flag = try? value.decode(Bool.self) {
        self = .flag(flag)
      } else if let text = try? value.decode(String.self) {
        self = .text(text)
      } else if let objects = try? value.decode([[String: Part]].self) {
        self = .objects(objects)
      } else {
        self = .other
      }
    }
  }

  /// A field of an object in a list. It has no fields of its own: nothing in a body is nested deeper.
  private enum Part: Decodable {
    case text(String)
    case number(Int)
    case null
    case other

    init(from decoder: any Decoder) throws {
      guard let value = try? decoder.singleValueContainer() else {
        self = .other
        return
      }
      if value.decodeNil() {
        self = .null
      } else if let number = try? value.decode(Int.self) {
        self = .number(number)
      } else if let text = try? value.decode(String.self) {
        self = .text(text)
      } else {
        self = .other
      }
    }
  }

  /// Understands one JSON object (RFC 8259), in UTF-8; an empty body counts as `{}`.
  init(_ bytes: [UInt8]) throws(AdminRefusal) {
    fields = [:]
    if bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }) { return }
    // NUL bytes and a byte order mark would make the decoder take the body for UTF-16 or UTF-32, in which the check
    // for equal keys below would see other keys than the decoder does.
    guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0), !text.hasPrefix("\u{FEFF}") else {
      throw .badRequest("the body is not UTF-8")
    }
    do {
      fields = try JSONDecoder().decode([String: Field].self, from: Data(bytes))
    } catch {
      throw .badRequest("the body is not a JSON object")
    }
    try Self.refuseEqualKeys(bytes)
  }

  /// RFC 8259 §4 leaves open what two equal keys mean, and the decoder keeps one of them in silence.
  ///
  /// The bytes are known to be a JSON object. A string that a colon follows is a key: at the first level of the body, at
  /// the third of an object in a list. Keys that are written with escapes are refused: no known one needs them, and they
  /// would be equal without looking equal.
  private static func refuseEqualKeys(_ bytes: [UInt8]) throws(AdminRefusal) {
    var seen: [Int: Set<[UInt8]>] = [:]
    var depth = 0
    var index = 0
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        seen[depth] = []
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      case UInt8(ascii: "\""):
        let start = index + 1
        index = start
        var hasEscapes = false
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
          if bytes[index] == UInt8(ascii: "\\") {
            hasEscapes = true
            index += 1
          }
          index += 1
        }
        let end = min(index, bytes.count)
        let next = bytes[min(end + 1, bytes.count)...].first { $0 > 0x20 }
        guard depth == 1 || depth == 3, next == UInt8(ascii: ":") else { break }
        let name = String(decoding: bytes[start..<end], as: UTF8.self)
        if hasEscapes { throw .badRequest("unknown field \(quoted(name))") }
        if !seen[depth, default: []].insert(Array(bytes[start..<end])).inserted {
          throw .badRequest("the field \(quoted(name)) is there twice")
        }
      default: break
      }
      index += 1
    }
  }

  mutating func text(_ name: String) throws(AdminRefusal) -> String? {
    switch fields.removeValue(forKey: name) {
    case nil, .null: return nil
    case .text(let text):
      guard text.utf8.count <= Self.longestText else {
        throw .badRequest("\(name): over \(Self.longestText) bytes")
      }
      guard text.unicodeScalars.allSatisfy(isPrintable) else {
        throw .badRequest("\(name): control characters other than line ends and tabs")
      }
      return text
    case .flag, .objects, .other: throw .badRequest("\(name): expected a text")
    }
  }

  mutating func flag(_ name: String) throws(AdminRefusal) -> Bool? {
    switch fields.removeValue(forKey: name) {
    case nil, .null: return nil
    case .flag(let flag): return flag
    case .text, .objects, .other: throw .badRequest("\(name): expected true or false")
    }
  }

  mutating func color(_ name: String) throws(AdminRefusal) -> Color? {
    switch fields.removeValue(forKey: name) {
    case nil, .null: return nil
    case .text(let text):
      guard let color = Color(rawValue: text) else { throw .badRequest("\(name): expected blue or green") }
      return color
    case .flag, .objects, .other: throw .badRequest("\(name): expected blue or green")
    }
  }

  /// The steps of a ramp. Whether they make sense together is not looked at.
  mutating func steps(_ name: String) throws(AdminRefusal) -> [RampStep]? {
    let objects: [[String: Part]]
    switch fields.removeValue(forKey: name) {
    case nil, .null: return nil
    case .objects(let list): objects = list
    case .text, .flag, .other:
      throw .badRequest("\(name): expected a list of steps such as {\"percent\": 10, \"time\": \"1m\"}")
    }
    var steps: [RampStep] = []
    for (index, object) in objects.enumerated() {
      let place = "\(name): step \(index + 1)"
      // The smallest, so that the same body gets the same answer.
      if let unknown = object.keys.filter({ $0 != "percent" && $0 != "time" }).min() {
        throw .badRequest("\(place): unknown field \(quoted(unknown))")
      }
      guard case .number(let percent) = object["percent"] else {
        throw .badRequest("\(place): percent: expected a whole number from 1 to 99")
      }
      guard case .text(let time) = object["time"] else {
        throw .badRequest("\(place): time: expected a duration from 100ms to 24h")
      }
      steps.append(RampStep(percent: percent, time: time))
    }
    return steps
  }

  func finish() throws(AdminRefusal) {
    // The smallest, so that the same body gets the same answer.
    if let first = fields.keys.min() { throw .badRequest("unknown field \(quoted(first))") }
  }
}

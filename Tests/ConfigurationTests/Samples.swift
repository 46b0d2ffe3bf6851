import Configuration
import LinuxIO
import Switching
import Testing

let rootPaths = DefaultPaths(uid: 0) { _ in nil }

func load(_ text: String, _ overrides: Overrides = Overrides()) throws(SettingsError) -> Settings {
  try Settings.load(text: Array(text.utf8), file: "test.json5", overrides: overrides, environment: rootPaths)
}

/// The sample that users start from.
func sampleFile() throws -> [UInt8] {
  let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
  return try #require(try DurableFile.read(root + "/config/bgproxy.json5", limit: 1 << 20))
}

let smallest = "{listeners:[{bind:':80',blue:['a:1'],green:['b:1']}]}"

func address(_ text: String) throws -> Address { try Address(text, for: .listening) }

/// A change, and the texts that should come of it.
struct Change<Subject>: Sendable, CustomTestStringConvertible {
  let texts: [String]
  let apply: @Sendable (inout Subject) -> Void

  init(_ texts: String..., apply: @escaping @Sendable (inout Subject) -> Void) {
    (self.texts, self.apply) = (texts, apply)
  }

  var testDescription: String { texts.joined(separator: ": ") }
}

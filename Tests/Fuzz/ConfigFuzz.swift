// A libFuzzer target: no bytes may trap the reader of the configuration, and what it accepts it accepts again after
// writing it out. Tests/Fuzz/run-config compiles the rooms it needs, each as its own module, with
// `swiftc -sanitize=fuzzer,address -parse-as-library`, links this file to them, and runs it.

import Configuration
import FoundationEssentials
import LinuxIO

private let environment = DefaultPaths(uid: 0) { _ in nil }

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzConfiguration(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let text = unsafe Array(UnsafeBufferPointer(start: start, count: count))
  do {
    let settings = try Settings.load(text: text, file: "fuzz", environment: environment)
    let written = try JSONEncoder().encode(settings)
    let again = try Settings.load(text: Array(written), file: "written", environment: environment)
    precondition(again == settings, "\(again) is not \(settings)")
  } catch let error as SettingsError {
    precondition(error.file == "fuzz", "\(error): what was accepted is not accepted again")
    precondition(error.line > 0 && error.column > 0 && !error.description.contains("\n"), error.description)
  } catch {
    preconditionFailure("\(error)")
  }
  return 0
}

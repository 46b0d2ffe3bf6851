import Foundation
import LinuxIO
import Switching
import Testing

@testable import FrontDoor

/// A folder of its own for each test, gone afterwards.
final class ScratchFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "/bgproxy-state-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  var state: String { path + "/state.json" }

  func write(_ text: String, to name: String = "state.json") throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/" + name))
  }
}

private func receipt(_ generation: UInt64, settled: Bool) -> Receipt {
  var receipt = Receipt(
    generation: generation, from: .blue, to: .green, at: "2026-01-31T10:00:00.000Z", by: Requester(uid: 0, pid: 1),
    reason: nil)
  receipt.settled = settled
  return receipt
}

@Suite struct StateStoreTests {
  @Test func open_findsNothing_whenThereIsNoFile() throws {
    let folder = try ScratchFolder()
    let (_, found) = try StateStore.open(path: folder.state, replacingDamagedWith: nil)
    #expect(found.record == nil)
    #expect(found.history.isEmpty)
  }

  @Test func open_makesTheFolder_whenItIsMissing() throws {
    let folder = try ScratchFolder()
    _ = try StateStore.open(path: folder.path + "/a/b/state.json", replacingDamagedWith: nil)
    #expect(FileManager.default.fileExists(atPath: folder.path + "/a/b"))
  }

  @Test func write_isReadBack_whenOpenedAgain() async throws {
    let folder = try ScratchFolder()
    let record = StateRecord(
      pair: PairState(active: .green, previous: .blue, generation: 7), switchedAt: "2026-01-31T10:00:00.000Z")
    do {
      let (store, _) = try StateStore.open(path: folder.state, replacingDamagedWith: nil)
      try await store.write(record)
    }
    #expect(try found(in: folder, replacingWith: nil).record == record)
  }

  /// The lock of the store before is gone with its last reference, which its threads may hold a moment longer: so the
  /// file is read through a copy.
  private func found(in folder: ScratchFolder, replacingWith color: Color?) throws -> StateStore.Found {
    let copy = try ScratchFolder()
    for name in ["state.json", "state.json.history"]
    where FileManager.default.fileExists(atPath: folder.path + "/" + name) {
      try FileManager.default.copyItem(atPath: folder.path + "/" + name, toPath: copy.path + "/" + name)
    }
    return try StateStore.open(path: copy.state, replacingDamagedWith: color).found
  }

  @Test(arguments: [
    "", "{", "null", "[]", "\u{0}\u{0}\u{0}",
    #"{"version":1,"active":"red","previous":null,"generation":1,"switchedAt":null}"#,
    #"{"version":2,"active":"blue","previous":null,"generation":1,"switchedAt":null}"#,
    #"{"version":1,"active":"blue","previous":"blue","generation":1,"switchedAt":null}"#,
    #"{"version":1,"active":"blue","previous":null,"generation":-1,"switchedAt":null}"#,
    #"{"version":1,"active":"blue","previous":null,"generation":18446744073709551615,"switchedAt":null}"#,
  ])
  func open_refusesByName_whenTheFileIsDamaged(text: String) throws {
    let folder = try ScratchFolder()
    try folder.write(text)
    let failure = #expect(throws: StartFailure.self) {
      try StateStore.open(path: folder.state, replacingDamagedWith: nil)
    }
    #expect(failure?.description.contains(folder.state) == true)
    #expect(failure?.description.contains("--active") == true)
  }

  @Test func open_takesTheGivenColor_whenTheFileIsDamaged() throws {
    let folder = try ScratchFolder()
    try folder.write("{")
    let (_, found) = try StateStore.open(path: folder.state, replacingDamagedWith: .green)
    #expect(found.record?.pair == PairState(active: .green, previous: nil, generation: 0))
  }

  @Test func open_ignoresTheGivenColor_whenTheFileIsSound() throws {
    let folder = try ScratchFolder()
    try folder.write(#"{"version":1,"active":"blue","previous":null,"generation":3,"switchedAt":null}"#)
    let (_, found) = try StateStore.open(path: folder.state, replacingDamagedWith: .green)
    #expect(found.record?.pair.active == .blue)
  }

  @Test func open_namesTheHolder_whenAnotherFrontDoorHasTheFile() throws {
    let folder = try ScratchFolder()
    let first = try StateStore.open(path: folder.state, replacingDamagedWith: nil)
    let failure = #expect(throws: StartFailure.self) {
      try StateStore.open(path: folder.state, replacingDamagedWith: nil)
    }
    #expect(failure?.description.contains("\(Process.identifier)") == true)
    withExtendedLifetime(first) {}
  }

  @Test func history_keepsTheLastForm_whenAReceiptWasWrittenTwice() async throws {
    let folder = try ScratchFolder()
    let (store, _) = try StateStore.open(path: folder.state, replacingDamagedWith: nil)
    try await store.append([receipt(1, settled: false)], all: [])
    try await store.append([receipt(1, settled: true)], all: [])
    try await store.append([receipt(2, settled: false)], all: [])
    let history = try found(in: folder, replacingWith: nil).history
    #expect(history.map(\.generation) == [1, 2])
    #expect(history.map(\.settled) == [true, false])
  }

  @Test func history_isRead_whenAFrontDoorWroteItThatKnewNoKinds() async throws {
    let folder = try ScratchFolder()
    let (store, _) = try StateStore.open(path: folder.state, replacingDamagedWith: nil)
    try await store.append([receipt(1, settled: true)], all: [])
    let path = folder.state + ".history"
    let old = try String(contentsOfFile: path, encoding: .utf8).replacing(/"kind":"switch",|,"kind":"switch"/, with: "")
    #expect(!old.contains("kind"))
    try folder.write(old, to: "state.json.history")
    try await store.append([receipt(2, settled: true)], all: [])
    #expect(try found(in: folder, replacingWith: nil).history.map(\.kind) == [nil, .switch])
  }

  @Test func history_leavesOutALine_whenACrashCutItShort() async throws {
    let folder = try ScratchFolder()
    let (store, _) = try StateStore.open(path: folder.state, replacingDamagedWith: nil)
    try await store.append([receipt(1, settled: true)], all: [])
    let path = folder.state + ".history"
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    try (whole + whole.prefix(20)).write(to: URL(fileURLWithPath: path))
    try await store.append([receipt(2, settled: true)], all: [])
    #expect(try found(in: folder, replacingWith: nil).history.map(\.generation) == [1, 2])
  }

  @Test func history_isBounded_whenThereAreManySwitches() async throws {
    let folder = try ScratchFolder()
    let (store, _) = try StateStore.open(path: folder.state, replacingDamagedWith: nil)
    var all: [Receipt] = []
    for generation in 1...2600 {
      all.append(receipt(UInt64(generation), settled: true))
      all = all.suffix(StateStore.historyLimit)
      try await store.append([all[all.count - 1]], all: all)
    }
    let text = try String(contentsOfFile: folder.state + ".history", encoding: .utf8)
    #expect(text.split(separator: "\n").count <= 4 * StateStore.historyLimit)
    let history = try found(in: folder, replacingWith: nil).history
    #expect(history.map(\.generation) == Array(2101...2600).map(UInt64.init))
  }
}

import EventCore
import FoundationEssentials
import Glibc
import LinuxIO
import Switching

/// Why the front door could not start; the text is for people.
public struct StartFailure: Error, Sendable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// What the state file holds.
struct StateRecord: Codable, Equatable, Sendable {
  /// Of the format.
  var version = 1
  var pair: PairState
  /// RFC 3339, UTC; nil before the first switch.
  @Nullable var switchedAt: String?

  static let currentVersion = 1
  /// A generation must fit the active word with room to spare.
  static let largestGeneration: UInt64 = 1 << 50

  init(pair: PairState, switchedAt: String?) {
    self.pair = pair
    self.switchedAt = switchedAt
  }

  private enum Key: String, CodingKey { case version, active, previous, generation, switchedAt, trial }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    version = try container.decode(Int.self, forKey: .version)
    pair = PairState(
      active: try container.decode(Color.self, forKey: .active),
      previous: try container.decodeIfPresent(Color.self, forKey: .previous),
      generation: try container.decode(UInt64.self, forKey: .generation),
      trial: try container.decodeIfPresent(Trial.self, forKey: .trial))
    switchedAt = try container.decodeIfPresent(String.self, forKey: .switchedAt)
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(version, forKey: .version)
    try container.encode(pair.active, forKey: .active)
    try container.encode(pair.previous, forKey: .previous)
    try container.encode(pair.generation, forKey: .generation)
    try container.encode(switchedAt, forKey: .switchedAt)
    try container.encodeIfPresent(pair.trial, forKey: .trial)
  }

  /// Whether the values make sense together.
  var isSound: Bool {
    version == Self.currentVersion && pair.generation <= Self.largestGeneration
      && (pair.previous == nil || pair.previous == pair.active.other) && pair.trial?.isSound != false
      && (pair.trial == nil || pair.trial?.isRamp == true || pair.previous != nil)
  }
}

/// The state file and the history beside it, on a thread of their own: a slow disk makes nobody wait but the switch
/// that it concerns.
actor StateStore {
  /// Receipts that are kept.
  static let historyLimit = 500
  /// Lines in the history file before it is written anew. A receipt has a line when its switch is made and another
  /// when it has settled.
  private static let lineLimit = 4 * historyLimit
  private static let fileLimit = 16 << 20

  private let reactor: Reactor
  private let thread: LoopThread
  private let path: String
  // Held for as long as the front door lives.
  private let lock: FileLock
  private var historyLines: Int

  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }

  private var historyPath: String { path + ".history" }

  /// What was found at the start.
  struct Found {
    /// nil: there is no state file yet.
    var record: StateRecord?
    var history: [Receipt]
  }

  /// Takes the lock and reads what is there.
  /// - Parameter replacingWith: given on the command line; the color that a damaged file is replaced with.
  static func open(path: String, replacingDamagedWith color: Color?) throws -> (store: StateStore, found: Found) {
    do {
      try FileSystem.makeFolders(parentFolder(of: path), mode: 0o755)
    } catch {
      throw StartFailure("\(parentFolder(of: path)): cannot make the folder of the state file: \(error)")
    }
    let lock: FileLock
    do {
      lock = try FileLock(path: path + ".lock")
    } catch let held as FileLock.Held {
      let holder = held.holder.map { "process \($0)" } ?? "another process"
      throw StartFailure("\(path): in use by \(holder); two front doors cannot share a state file")
    } catch {
      throw StartFailure("\(path).lock: cannot be locked: \(error)")
    }
    let record = try readRecord(path, replacingDamagedWith: color)
    let (history, lines) = try readHistory(path + ".history")
    let store = try StateStore(path: path, lock: lock, historyLines: lines)
    return (store, Found(record: record, history: history))
  }

  private init(path: String, lock: consuming FileLock, historyLines: Int) throws(Errno) {
    self.path = path
    self.lock = lock
    self.historyLines = historyLines
    (reactor, thread) = try Reactor.onOwnThread(named: "disk")
  }

  private static func readRecord(_ path: String, replacingDamagedWith color: Color?) throws(StartFailure)
    -> StateRecord?
  {
    let bytes: [UInt8]?
    do {
      bytes = try DurableFile.read(path, limit: 1 << 16)
    } catch {
      throw StartFailure("\(path): cannot be read: \(error)")
    }
    guard let bytes else { return nil }
    if let record = try? JSONDecoder().decode(StateRecord.self, from: Data(bytes)), record.isSound { return record }
    // The color is the operator's word, so it is taken; what a rollback would lead to is not known any more.
    if let color { return StateRecord(pair: PairState(active: color, previous: nil, generation: 0), switchedAt: nil) }
    throw StartFailure(
      "\(path): the state file is damaged, so the active color is not known. "
        + "Look which environment should serve and start once with --active blue or --active green, which replaces it.")
  }

  /// A line that cannot be read is left out: the last one may have been cut short by a crash.
  private static func readHistory(_ path: String) throws(StartFailure) -> (receipts: [Receipt], lines: Int) {
    let bytes: [UInt8]
    do {
      bytes = try DurableFile.read(path, limit: fileLimit) ?? []
    } catch {
      throw StartFailure("\(path): the history cannot be read: \(error)")
    }
    var receipts: [Receipt] = []
    let lines = bytes.split(separator: 0x0A)
    for line in lines {
      guard let receipt = try? JSONDecoder().decode(Receipt.self, from: Data(line)) else { continue }
      if receipts.last?.generation == receipt.generation { receipts.removeLast() }
      receipts.append(receipt)
    }
    return (receipts.suffix(historyLimit), lines.count)
  }

  /// Returns when the record is on disk, fsync of file and folder included.
  func write(_ record: StateRecord) throws(Errno) {
    guard let json = try? JSONEncoder().encode(record) else { throw Errno(rawValue: EINVAL) }
    try DurableFile.replace(path, with: [UInt8](json) + [0x0A])
  }

  /// Adds receipts, a line each; `all` is what the file is to hold when it has grown too long.
  func append(_ receipts: [Receipt], all: [Receipt]) throws(Errno) {
    if historyLines + receipts.count > Self.lineLimit {
      try DurableFile.replace(historyPath, with: all.flatMap(Self.line))
      historyLines = all.count
    } else {
      // A newline comes first as well, so that a line cut short by a crash does not spoil these.
      try DurableFile.append(historyPath, [0x0A] + receipts.flatMap(Self.line))
      historyLines += receipts.count
    }
  }

  private static func line(_ receipt: Receipt) -> [UInt8] {
    guard let json = try? JSONEncoder().encode(receipt) else { return [] }
    return [UInt8](json) + [0x0A]
  }
}

import Configuration
import LinuxIO
import Relay
import Switching

/// Which line of the target board belongs to which target. Lines survive a reload for as long as their target is
/// configured or has sessions.
struct TargetBook {
  private struct Key: Hashable {
    let listener: ListenerID
    let color: Color
    let address: Address
  }

  let board = TargetBoard()
  private var slots: [Key: Int32] = [:]
  private var keys: [Int32: Key] = [:]
  private var nextUnused: Int32 = 0
  private var free: [Int32] = []
  /// Not configured any more when the routes were last made. Workers may have used the routes before until then, so
  /// their lines are given up one reload later.
  private var retired: Set<Key> = []
  /// Of the latest routes.
  private(set) var edition: UInt64 = 0

  /// Routes for a set of listeners; lines that nobody needs any more are given up.
  /// - Parameter fresh: of the listeners, those that were not there before.
  mutating func routes(
    for listeners: [(id: ListenerID, settings: ListenerSettings)], fresh: [ListenerID] = [],
    resolved: [Address: [SocketAddress]]
  ) throws(StartFailure) -> Routes {
    var wanted: Set<Key> = []
    for (id, settings) in listeners {
      for color in Color.allCases {
        for address in settings.targets[color] { wanted.insert(Key(listener: id, color: color, address: address)) }
      }
    }
    for (key, slot) in slots where !wanted.contains(key) && retired.contains(key) && !board.isInUse(slot) {
      slots[key] = nil
      keys[slot] = nil
      free.append(slot)
    }
    retired = Set(slots.keys.filter { !wanted.contains($0) })
    let before = Set(slots.values)
    var routes = Routes(targets: [:])
    for (id, settings) in listeners {
      var targets = ByColor<[Target]>(both: [])
      let approach = Approach(settings)
      for color in Color.allCases {
        for address in settings.targets[color] {
          let slot = try slot(for: Key(listener: id, color: color, address: address))
          targets[color].append(Target(slot: slot, addresses: resolved[address] ?? [], approach: approach))
        }
      }
      routes.targets[id] = targets
    }
    routes.slotCount = Int(nextUnused)
    routes.freshListeners = fresh
    edition += 1
    routes.edition = edition
    routes.freshSlots = slots.values.filter { !before.contains($0) }
    return routes
  }

  func sessions(_ listener: ListenerID, _ color: Color, _ address: Address) -> Int {
    slot(listener, color, address).map(board.sessions) ?? 0
  }

  func slot(_ listener: ListenerID, _ color: Color, _ address: Address) -> Int32? {
    slots[Key(listener: listener, color: color, address: address)]
  }

  /// nil: its line was given up.
  func owner(of slot: Int32) -> (listener: ListenerID, color: Color)? { keys[slot].map { ($0.listener, $0.color) } }

  /// One line that is in use, by what it stands for.
  struct Entry {
    let slot: Int32
    let listener: ListenerID
    let color: Color
    let address: Address
  }

  var entries: [Entry] {
    slots.map { Entry(slot: $0.value, listener: $0.key.listener, color: $0.key.color, address: $0.key.address) }
  }

  /// For people; a target that is not configured any more has no name left once its line was given up.
  func name(of slot: Int32) -> String { keys[slot].map { "\($0.address)" } ?? "" }

  private mutating func slot(for key: Key) throws(StartFailure) -> Int32 {
    if let slot = slots[key] { return slot }
    let slot: Int32
    if let reused = free.popLast() {
      slot = reused
    } else {
      guard Int(nextUnused) < TargetBoard.capacity else {
        throw StartFailure("too many targets: sessions of earlier configurations still use \(nextUnused) of them")
      }
      slot = nextUnused
      nextUnused += 1
    }
    board.clear(slot)
    slots[key] = slot
    keys[slot] = key
    return slot
  }
}

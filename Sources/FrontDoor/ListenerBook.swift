import Relay

/// Which row of the workers' ledgers belongs to which listener. Rows are used again, numbers never: whatever names a
/// listener that is gone, names no other.
struct ListenerBook {
  private var lastNumber: UInt32 = 0
  /// Every row that a listener has, or had, is below it.
  private(set) var rowCount: UInt32 = 0
  private var free: [UInt32] = []

  /// A listener that was not there before. What its row counted for another one is the workers' to clear.
  mutating func add() -> ListenerID {
    lastNumber += 1
    if let row = free.popLast() { return ListenerID(number: lastNumber, row: row) }
    defer { rowCount += 1 }
    return ListenerID(number: lastNumber, row: rowCount)
  }

  /// Only of a listener without doors and sessions: whatever it has still to count would be counted for another one.
  mutating func giveUp(_ listener: ListenerID) { free.append(listener.row) }
}

import Switching

/// Receipts on their way to the history file, in order.
struct HistoryQueue {
  var unwritten: [Receipt] = []
  var isWriting = false
  /// Wait for what is unwritten at present.
  var waiting: [OneShot<Void>] = []
}

extension FrontDoor {
  /// Milliseconds that an operator's answer waits for the record of what was done.
  private static let historyPatience: Int64 = 1000

  /// Writes a receipt's present form to the history. The record of a switch is not the switch: where it cannot be
  /// written, the log says so and everything goes on.
  func remember(_ receipt: Receipt) {
    history.unwritten.append(receipt)
    guard !history.isWriting else { return }
    history.isWriting = true
    start { await $0.writeHistory() }
  }

  /// Returns when all that was remembered is on disk, or could not be written; at the latest after a second.
  func historyIsWritten() async {
    guard history.isWriting else { return }
    await withCheckedContinuation { continuation in
      let oneShot = OneShot<Void>(continuation)
      history.waiting.append(oneShot)
      reactor.after(milliseconds: Self.historyPatience) { oneShot.resume(()) }
    }
  }

  private func writeHistory() async {
    // Also where nothing is unwritten but somebody came to wait while the last lines were under way.
    while !history.unwritten.isEmpty || !history.waiting.isEmpty {
      let (lines, waiting) = (history.unwritten, history.waiting)
      (history.unwritten, history.waiting) = ([], [])
      do {
        if !lines.isEmpty { try await store.append(lines, all: receipts) }
      } catch {
        log.error("history-not-written", ["reason": .string("\(error)")])
      }
      for oneShot in waiting { oneShot.resume(()) }
    }
    history.isWriting = false
  }
}

import LinuxIO

/// Messages from any thread to the one thread that runs an event loop, in the order they were posted.
public final class Mailbox<Message: Sendable>: Sendable {
  /// Messages that an empty batch keeps room for, at most.
  private static var mostKept: Int { 1024 }

  private let messages = Protected<[Message]>([])
  private let wakeUp: WakeUp

  public init() throws(Errno) { wakeUp = try WakeUp() }

  /// To be watched for reading by the loop that owns the mailbox.
  public var descriptor: Int32 { wakeUp.descriptor.number }

  /// Never waits for the reader. Only the first message of a batch wakes it.
  public func post(_ message: Message) {
    let wasEmpty = messages.withLock { messages in
      messages.append(message)
      return messages.count == 1
    }
    if wasEmpty { wakeUp.signal() }
  }

  /// Puts all that has come since the last time into `batch`, in place of what is there. The wake-up is drained first: a
  /// message that is posted in between wakes the loop once more rather than never.
  ///
  /// The array that was brought is the one that is posted to from now on: a reader that brings the same one each time
  /// makes neither side allocate, once both have grown to what a batch takes. The memory of a rare large batch is given
  /// back. A message lives until the next call unless the reader removes it before.
  public func takeAll(into batch: inout [Message]) {
    wakeUp.drain()
    batch.removeAll(keepingCapacity: batch.capacity <= Self.mostKept)
    messages.withLock { swap(&$0, &batch) }
  }
}

import LinuxIO

/// Messages from any thread to the one thread that runs an event loop, in the order they were posted.
public final class Mailbox<Message: Sendable>: Sendable {
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

  /// All that has come since the last time. The wake-up is drained first: a message that is posted in between wakes
  /// the loop once more rather than never.
  public func takeAll() -> [Message] {
    wakeUp.drain()
    return messages.withLock { messages in
      let taken = messages
      messages = []
      return taken
    }
  }
}

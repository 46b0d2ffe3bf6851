import EventCore
import LinuxIO
import Synchronization

/// How many pipes all workers together may have.
public final class PipeBudget: Sendable {
  /// Where the system sets no limit.
  private static let mostWithoutLimit = 64

  private let used = Atomic<Int>(0)
  public let limit: Int

  /// - Parameter limit: 0: nothing is spliced.
  public init(limit: Int) { self.limit = limit }

  /// At most half of what one user's pipes may take before the kernel makes new ones small: others have pipes too.
  public static func ofThisSystem() -> PipeBudget {
    let bytes = PipeLimits.softBytesOfUser
    return PipeBudget(limit: bytes == 0 ? mostWithoutLimit : bytes / 2 / PipePool.largestPipe)
  }

  public var inUse: Int { used.load(ordering: .relaxed) }

  func take() -> Bool {
    if used.add(1, ordering: .relaxed).newValue <= limit { return true }
    giveBack()
    return false
  }

  func giveBack() { used.subtract(1, ordering: .relaxed) }
}

/// A worker's pipes. A flow has one only while there are bytes in it.
struct PipePool: ~Copyable {
  /// The largest that a user without privileges may have by default: fs.pipe-max-size, proc(5).
  static let largestPipe = 1 << 20
  /// Smaller ones do not pay.
  private static let smallestPipe = 1 << 18
  /// Kept for the next transfer.
  private static let mostKept = 4
  /// Requests that are declined after one could not be made: whatever the reason is, it will not pass at once.
  private static let pause = 1024

  /// Whether the operator wants it.
  var isUsed = true
  private let budget: PipeBudget
  private var pipes: Slab<SplicePipe>
  private var free: [Token] = []
  private var declined = 0
  /// Bytes that went through pipes.
  private(set) var bytes: UInt64 = 0

  init(budget: PipeBudget) {
    self.budget = budget
    pipes = Slab(capacity: max(1, budget.limit))
    free.reserveCapacity(Self.mostKept + 1)
  }

  /// An empty pipe; nil where there is none to be had, and the bytes have to be copied.
  mutating func take() -> Token? {
    guard isUsed else { return nil }
    if let pipe = free.popLast() { return pipe }
    guard declined == 0 else {
      declined -= 1
      return nil
    }
    guard budget.take() else { return nil }
    var size = Self.largestPipe
    while size >= Self.smallestPipe {
      if let pipe = try? SplicePipe.make(capacity: Int32(size)), let token = pipes.insert(pipe) { return token }
      size /= 2
    }
    budget.giveBack()
    declined = Self.pause
    return nil
  }

  /// An empty pipe is not needed any more.
  mutating func giveBack(_ pipe: Token) {
    if free.count < Self.mostKept { free.append(pipe) } else { drop(pipe) }
  }

  /// Closes a pipe, whatever is in it.
  mutating func drop(_ pipe: Token) {
    _ = pipes.remove(pipe)
    budget.giveBack()
  }

  mutating func fill(_ pipe: Token, from socket: borrowing Descriptor, atMost count: Int) -> Transfer {
    let result = pipes[pipe].fill(from: socket, atMost: min(count, pipes[pipe].capacity))
    if case .bytes(let count) = result { bytes &+= UInt64(count) }
    return result
  }

  func drain(_ pipe: Token, into socket: borrowing Descriptor, atMost count: Int) -> Transfer {
    pipes[pipe].drain(into: socket, atMost: count)
  }
}

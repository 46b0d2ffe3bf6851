import LinuxIO

/// Deadlines in a heap whose entries know where they are, so that moving or cancelling one is cheap.
///
/// All operations are O(log n) in the number of armed timers; none allocates once the queue has reached its largest
/// size. Timers with equal deadlines fire in no particular order.
public struct TimerQueue: ~Copyable {
  /// Names an armed timer. Invalid once it has fired or was cancelled.
  public struct Handle: Hashable, Sendable {
    @usableFromInline let node: Int32
    @usableFromInline init(node: Int32) { self.node = node }
    /// No timer.
    public static let none = Handle(node: -1)
  }

  private struct Entry {
    var deadline: Instant
    var node: Int32
  }

  private struct Node {
    /// Where the entry stands in the heap; for a free node, the next free one.
    var position: Int32
    var token: Token
  }

  private var heap: [Entry] = []
  private var nodes: [Node] = []
  private var firstFree: Int32 = -1

  public init() {}

  public var count: Int { heap.count }

  /// When the next timer fires; nil where none is armed.
  public var nextDeadline: Instant? { heap.first?.deadline }

  public mutating func arm(at deadline: Instant, _ token: Token) -> Handle {
    let node: Int32
    if firstFree >= 0 {
      node = firstFree
      firstFree = nodes[Int(node)].position
      nodes[Int(node)].token = token
    } else {
      node = Int32(nodes.count)
      nodes.append(Node(position: 0, token: token))
    }
    heap.append(Entry(deadline: deadline, node: node))
    siftUp(heap.count - 1)
    return Handle(node: node)
  }

  public mutating func move(_ handle: Handle, to deadline: Instant) {
    let position = Int(nodes[Int(handle.node)].position)
    let earlier = deadline < heap[position].deadline
    heap[position].deadline = deadline
    if earlier { siftUp(position) } else { siftDown(position) }
  }

  /// Cancels an armed timer; `.none` is no timer and does nothing.
  public mutating func cancel(_ handle: Handle) {
    guard handle != .none else { return }
    remove(at: Int(nodes[Int(handle.node)].position))
  }

  /// Takes out a timer whose deadline is not after `now`; nil where there is none.
  public mutating func popExpired(_ now: Instant) -> (handle: Handle, token: Token)? {
    guard let first = heap.first, first.deadline <= now else { return nil }
    let token = nodes[Int(first.node)].token
    remove(at: 0)
    return (Handle(node: first.node), token)
  }

  private mutating func remove(at position: Int) {
    let node = heap[position].node
    let last = heap.removeLast()
    if position < heap.count {
      heap[position] = last
      nodes[Int(last.node)].position = Int32(position)
      siftUp(position)
      siftDown(Int(nodes[Int(last.node)].position))
    }
    nodes[Int(node)].position = firstFree
    firstFree = node
  }

  private mutating func siftUp(_ start: Int) {
    var position = start
    let entry = heap[position]
    while position > 0 {
      let parent = (position - 1) / 2
      if heap[parent].deadline <= entry.deadline { break }
      place(heap[parent], at: position)
      position = parent
    }
    place(entry, at: position)
  }

  private mutating func siftDown(_ start: Int) {
    var position = start
    let entry = heap[position]
    while true {
      var child = 2 * position + 1
      if child >= heap.count { break }
      if child + 1 < heap.count, heap[child + 1].deadline < heap[child].deadline { child += 1 }
      if entry.deadline <= heap[child].deadline { break }
      place(heap[child], at: position)
      position = child
    }
    place(entry, at: position)
  }

  private mutating func place(_ entry: Entry, at position: Int) {
    heap[position] = entry
    nodes[Int(entry.node)].position = Int32(position)
  }
}

import LinuxIO

/// A continuation that the first of several resumes.
final class OneShot<Value: Sendable>: Sendable {
  private let continuation: Protected<CheckedContinuation<Value, Never>?>

  init(_ continuation: CheckedContinuation<Value, Never>) { self.continuation = Protected(continuation) }

  func resume(_ value: Value) {
    let taken = continuation.withLock { continuation in
      defer { continuation = nil }
      return continuation
    }
    taken?.resume(returning: value)
  }
}

/// Lets one at a time pass, in the order of arrival. For the code of one actor.
struct Turn {
  private var isTaken = false
  private var waiting: [CheckedContinuation<Void, Never>] = []

  /// True: it is the caller's turn at once. Else it has to queue up with `wait`.
  mutating func tryTake() -> Bool {
    guard !isTaken else { return false }
    isTaken = true
    return true
  }

  mutating func wait(_ continuation: CheckedContinuation<Void, Never>) { waiting.append(continuation) }

  mutating func give() {
    if waiting.isEmpty { isTaken = false } else { waiting.removeFirst().resume() }
  }
}

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
final class Turn {
  private var isTaken = false
  private var waiting: [CheckedContinuation<Void, Never>] = []

  func take() async {
    if isTaken { await withCheckedContinuation { waiting.append($0) } }
    isTaken = true
  }

  /// Passes the turn on: it stays taken where somebody waits for it.
  func give() {
    isTaken = !waiting.isEmpty
    if isTaken { waiting.removeFirst().resume() }
  }
}

extension FrontDoor {
  /// Starts something on the control thread. With the preference a continuation that is resumed comes straight back
  /// to it, too, instead of by way of the runtime's own threads.
  func start(_ work: @escaping @Sendable (isolated FrontDoor) async -> Void) {
    Task(executorPreference: reactor) { await work(self) }
  }
}

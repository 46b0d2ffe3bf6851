import Glibc

/// A thread of its own for an event loop.
public final class LoopThread: @unchecked Sendable {
  // Written by `init` before the thread is shared with anybody; `join` is called once, by the owner.
  private var thread: pthread_t = 0
  private var isJoined = false

  private final class Body {
    let name: String
    let run: @Sendable () -> Void
    init(name: String, run: @escaping @Sendable () -> Void) { (self.name, self.run) = (name, run) }
  }

  /// Starts the thread. Throws `EAGAIN` where the system allows no more of them.
  /// - Parameter name: shown by ps and top; 15 bytes at most.
  public init(name: String, _ run: @escaping @Sendable () -> Void) throws(Errno) {
    let body = unsafe Unmanaged.passRetained(Body(name: name, run: run))
    let failure = unsafe pthread_create(
      &thread, nil,
      { argument in
        let body = unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue()
        Process.nameThread(body.name)
        body.run()
        return nil
      }, body.toOpaque())
    if failure != 0 {
      thread = 0
      unsafe body.release()
      throw Errno(rawValue: failure)
    }
  }

  /// Where nobody has waited for its end, the thread goes on by itself and leaves nothing behind.
  deinit { if thread != 0 && !isJoined { pthread_detach(thread) } }

  /// Waits until the thread's body has returned. At most once.
  public func join() {
    pthread_join(thread, nil)
    isJoined = true
  }
}

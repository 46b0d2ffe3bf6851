import Admin
import EventCore
import LinuxIO

/// The sample backends of `bgproxy --demo`: two small web servers that say which release they are.
public final class SampleBackends: Sendable {
  /// Where the two listen: 127.0.0.1 and a port that the kernel chose.
  public let blue: SocketAddress
  public let green: SocketAddress
  private let thread: LoopThread

  /// Starts both on a thread of their own; they serve until the process ends.
  public init() throws {
    let blueSocket = try Self.listen()
    let greenSocket = try Self.listen()
    guard let blue = blueSocket.localAddress, let green = greenSocket.localAddress else {
      throw StartFailure("the sample backends have no address")
    }
    (self.blue, self.green) = (blue, green)
    let (reactor, thread) = try Reactor.onOwnThread(named: "sample-backends")
    self.thread = thread
    let numbers = (blueSocket.release(), greenSocket.release())
    reactor.post {
      Self.serve(Descriptor(owning: numbers.0), "App v1\n", on: reactor)
      Self.serve(Descriptor(owning: numbers.1), "App v2\n", on: reactor)
    }
  }

  private static func listen() throws -> Descriptor {
    guard let address = try SocketAddress.resolve(host: "127.0.0.1", port: 0).first else {
      throw StartFailure("127.0.0.1 cannot be used")
    }
    return try Descriptor.listen(at: address)
  }
}

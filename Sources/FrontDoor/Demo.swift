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
    let reactor: Reactor
    (reactor, thread) = try Reactor.onOwnThread(named: "sample-backends")
    let numbers = (blue: blueSocket.release(), green: greenSocket.release())
    reactor.post {
      Self.serve(Descriptor(owning: numbers.blue), "App v1\n", on: reactor)
      Self.serve(Descriptor(owning: numbers.green), "App v2\n", on: reactor)
    }
  }

  private static func listen() throws -> Descriptor {
    guard let address = try SocketAddress.resolve(host: "127.0.0.1", port: 0).first else {
      throw StartFailure("127.0.0.1 cannot be used")
    }
    return try Descriptor.listen(at: address)
  }

  /// On the reactor's thread. Where the system is out of descriptors there is no backend, and the front door says so.
  private static func serve(_ socket: consuming Descriptor, _ text: String, on reactor: Reactor) {
    var limits = HTTPServer.Limits()
    limits.connections = 1024
    let server = Box<HTTPServer>()
    server.value = try? HTTPServer(reactor: reactor, listener: socket, limits: limits) { _, id in
      server.value?.respond(to: id, HTTPResponse(text: text))
    }
  }

  /// Lets a server's handler answer through the server.
  private final class Box<Value> { var value: Value? }
}

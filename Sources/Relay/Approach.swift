public import LinuxIO
import Synchronization

/// How connections to the targets of a listener are made, where that is not left to the system.
public final class Approach: Sendable {
  let options: TCPOptions
  let ipv4: Sources
  let ipv6: Sources

  /// - Parameters:
  ///   - options: for every connection.
  ///   - sources: addresses of this machine, with port 0, that connections are made from. A target of a family that has
  ///     none is connected to from where the system chooses.
  public init(options: TCPOptions, sources: [SocketAddress]) {
    self.options = options
    ipv4 = Sources(sources.filter { $0.family == .ipv4 })
    ipv6 = Sources(sources.filter { $0.family == .ipv6 })
  }

  /// Addresses of one family, used in turn by all workers together.
  struct Sources: ~Copyable, Sendable {
    let addresses: [SocketAddress]
    private let turns = Atomic<UInt>(0)

    init(_ addresses: [SocketAddress]) { self.addresses = addresses }

    /// Where a connection begins to look; those that follow are for when this one cannot be used.
    func takeTurn() -> Int {
      addresses.isEmpty ? 0 : Int(turns.add(1, ordering: .relaxed).oldValue % UInt(addresses.count))
    }
  }
}

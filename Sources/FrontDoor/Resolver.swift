import Configuration
import EventCore
import LinuxIO

/// Names to addresses, on a thread of its own: a slow name server makes nobody wait but the reload that asked.
actor Resolver {
  private let reactor: Reactor
  private let thread: LoopThread

  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }

  init() throws(Errno) { (reactor, thread) = try Reactor.onOwnThread(named: "resolver") }

  func read(_ file: String) throws(StartFailure) -> [UInt8] { try readConfig(file) }

  /// The addresses of every target, by the text of the target.
  func resolve(_ settings: Settings) throws(ResolutionFailure) -> [Address: [SocketAddress]] {
    try Self.resolve(settings)
  }

  /// The same on the calling thread, which may wait: at the start.
  static func resolve(_ settings: Settings) throws(ResolutionFailure) -> [Address: [SocketAddress]] {
    var found: [Address: [SocketAddress]] = [:]
    for listener in settings.listeners {
      for address in listener.targets.blue + listener.targets.green where found[address] == nil {
        found[address] = try address.resolve()
      }
      for address in [listener.bind, listener.preview].compactMap(\.self) where found[address] == nil {
        if case .wildcard = address { continue }
        found[address] = try address.resolve()
      }
    }
    return found
  }
}

/// The bytes of a config file. The calling thread may have to wait for the disk.
public func readConfig(_ file: String) throws(StartFailure) -> [UInt8] {
  let bytes: [UInt8]?
  do {
    // One byte more than a config file may have, so that a longer one is noticed.
    bytes = try DurableFile.read(file, limit: 1 << 20 + 1)
  } catch {
    throw StartFailure("\(file): cannot be read: \(error)")
  }
  guard let bytes else { throw StartFailure("\(file): no such file") }
  return bytes
}

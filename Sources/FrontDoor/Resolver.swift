import Configuration
import EventCore
import LinuxIO

/// Names to addresses, and the config file to bytes, on a thread of its own: a slow name server makes nobody wait but the
/// reload that asked.
actor Resolver {
  /// What a configuration's addresses came to.
  struct Resolved: Sendable {
    /// By the text of the configuration; a target that has none is left out.
    var addresses: [Address: [SocketAddress]] = [:]
    /// Of targets.
    var failures: [ResolutionFailure] = []
  }

  private let reactor: Reactor
  private let thread: LoopThread

  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }

  init() throws(Errno) { (reactor, thread) = try Reactor.onOwnThread(named: "resolver") }

  func read(_ file: String) throws(StartFailure) -> [UInt8] { try readConfig(file) }

  func resolve(_ settings: Settings) throws(StartFailure) -> Resolved { try Self.resolve(settings) }

  /// The same on the calling thread, which may wait: at the start. Throws only for an address to listen at.
  static func resolve(_ settings: Settings) throws(StartFailure) -> Resolved {
    var resolved = Resolved()
    if let address = settings.admin.metrics {
      do {
        resolved.addresses[address] = try address.resolve()
      } catch {
        throw StartFailure("metrics: cannot listen at \(address): \(error)")
      }
    }
    for listener in settings.listeners {
      for address in [listener.bind, listener.preview].compactMap(\.self) {
        do {
          resolved.addresses[address] = try address.resolve()
        } catch {
          throw StartFailure("\(listener.name): cannot listen at \(address): \(error)")
        }
      }
      for address in listener.targets.blue + listener.targets.green where resolved.addresses[address] == nil {
        do {
          resolved.addresses[address] = try address.resolve()
        } catch {
          if !resolved.failures.contains(error) { resolved.failures.append(error) }
        }
      }
    }
    return resolved
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

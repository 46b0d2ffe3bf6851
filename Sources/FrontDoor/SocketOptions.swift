import Configuration
import LinuxIO
import Relay

extension ListenerSettings {
  /// For the listening sockets; connections inherit it.
  var clientOptions: TCPOptions { TCPOptions(tcp.towardsClients, defersAccept: tcp.deferAccept ?? false) }
}

extension TCPOptions {
  init(_ settings: TCPSettings.SideSettings, defersAccept: Bool = false) {
    self.init(
      congestion: settings.congestion, keepaliveSeconds: settings.keepalive.map { Int32(clamping: $0 / 1000) },
      userTimeoutMilliseconds: settings.userTimeout.map { Int32(clamping: $0) }, defersAccept: defersAccept)
  }
}

extension Approach {
  /// nil where everything is left to the system. A source address whose interface is gone meanwhile is left out.
  convenience init?(_ settings: ListenerSettings) {
    let options = TCPOptions(settings.tcp.towardsTargets)
    if options.isEmpty && settings.source.isEmpty { return nil }
    self.init(options: options, sources: settings.source.compactMap { try? $0.resolve() })
  }
}

/// What of a listener's options only the kernel can tell, and what a reload does to sockets that stay open.
enum SocketOptions {
  /// Asks the kernel, on sockets that are used for nothing else. Throws a text that names the key.
  static func check(_ settings: ListenerSettings) throws(StartFailure) {
    for (side, path) in [
      (settings.tcp.both, "tcp"), (settings.tcp.client, "tcp.client"), (settings.tcp.target, "tcp.target"),
    ] {
      if let name = side.congestion { try check(congestion: name, "\(settings.name): \(path).congestion") }
    }
    for source in settings.source { try check(source: source, "\(settings.name): source \(source.text)") }
  }

  private static func check(congestion name: String, _ place: String) throws(StartFailure) {
    do {
      let probe = try Descriptor.streamSocket(for: SocketAddress.wildcard(port: 0).ipv4)
      try probe.setCongestion(name)
    } catch {
      switch error {
      case .noSuchFile:
        let known = kernelList("tcp_available_congestion_control")
        throw StartFailure("\(place): the kernel has no congestion control \(name)\(known)")
      case .notPermitted:
        let allowed = kernelList("tcp_allowed_congestion_control")
        throw StartFailure("\(place): this user may not choose congestion control \(name)\(allowed)")
      default: throw StartFailure("\(place): \(name): \(error)")
      }
    }
  }

  /// ` (net.ipv4.…: reno cubic)`, or nothing where the kernel does not tell.
  private static func kernelList(_ name: String) -> String {
    guard let bytes = try? DurableFile.read("/proc/sys/net/ipv4/\(name)", limit: 4096) else { return "" }
    let text = String(decoding: bytes, as: UTF8.self)
    return " (net.ipv4.\(name): \(text.split(whereSeparator: \.isWhitespace).joined(separator: " ")))"
  }

  private static func check(source: SourceAddress, _ place: String) throws(StartFailure) {
    let errno: Errno?
    do {
      let address = try source.resolve()
      let probe = try Descriptor.streamSocket(for: address)
      errno = probe.bindSource(address)
    } catch {
      throw StartFailure("\(place): \(error)")
    }
    switch errno {
    case nil: break
    case .addressNotAvailable?: throw StartFailure("\(place): this machine has no such address")
    case let errno?: throw StartFailure("\(place): cannot connect from there: \(errno)")
    }
  }

  /// Gives sockets that go on listening the options of their listener where these have changed.
  static func update(from old: [OpenListener], to new: [OpenListener]) {
    var before: [ObjectIdentifier: TCPSettings] = [:]
    for listener in old { for door in listener.doors { before[ObjectIdentifier(door.socket)] = listener.settings.tcp } }
    for listener in new {
      for door in listener.doors {
        guard let was = before[ObjectIdentifier(door.socket)], was != listener.settings.tcp else { continue }
        door.socket.replaceOptions(by: listener.settings.clientOptions)
      }
    }
  }
}

extension FrontDoor {
  /// Milliseconds in which the kernel asks every client once more that has connected and not sent anything: 1 s after
  /// the last of them came (the first retransmission of SYN-ACK), and some to spare.
  private static let lastCallTime: Int64 = 1200

  /// A connection whose accept is deferred is in no queue, and would be reset with the socket that it came to. So sockets
  /// that are about to be closed stop deferring first, and what waits becomes a connection like any other.
  func lastCall(at old: [OpenListener], keeping kept: [Door]) async {
    var isDeferring = false
    for listener in old where listener.settings.tcp.deferAccept == true {
      for door in listener.doors where !kept.contains(where: { $0.socket === door.socket }) {
        guard door.socket.address.family != .local else { continue }
        door.socket.replaceOptions(by: TCPOptions(listener.settings.tcp.towardsClients))
        isDeferring = true
      }
    }
    guard isDeferring else { return }
    await withCheckedContinuation { continuation in
      reactor.after(milliseconds: Self.lastCallTime) { continuation.resume() }
    }
  }
}

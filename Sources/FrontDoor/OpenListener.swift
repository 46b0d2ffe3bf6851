import Configuration
import LinuxIO
import Relay

/// A listener as it is configured, and the doors that are open for it.
struct OpenListener {
  let id: ListenerID
  let settings: ListenerSettings
  let production: Door
  let preview: Door?

  /// Opens what is not open yet.
  /// - Parameter reusing: sockets that are open at an address already; they are taken over instead of being bound
  ///   again, so that no connection in their backlog is lost.
  init(
    id: ListenerID, _ settings: ListenerSettings, resolved: [Address: [SocketAddress]],
    reusing open: [Address: BoundSocket]
  ) throws(StartFailure) {
    func door(_ address: Address, isPreview: Bool) throws(StartFailure) -> Door {
      let socket: BoundSocket
      if let reused = open[address] { socket = reused } else { socket = try Listening.bind(address, resolved: resolved) }
      return Door(listener: id, isPreview: isPreview, socket: socket)
    }
    self.id = id
    self.settings = settings
    production = try door(settings.bind, isPreview: false)
    if let address = settings.preview { preview = try door(address, isPreview: true) } else { preview = nil }
  }

  var doors: [Door] { [production] + [preview].compactMap(\.self) }

  /// The open sockets by the address they were asked for.
  var sockets: [(Address, BoundSocket)] {
    [(settings.bind, production.socket)] + [settings.preview].compactMap(\.self).map { ($0, preview!.socket) }
  }
}

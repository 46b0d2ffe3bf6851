import Configuration
import LinuxIO
import Relay

/// A listener as it is configured, and the doors that are open for it.
struct OpenListener {
  let id: ListenerID
  let settings: ListenerSettings
  /// With the port that the kernel chose.
  let address: SocketAddress
  let previewAddress: SocketAddress?
  /// One for production, and one for the preview where there is any; none once the listener was let go.
  private(set) var doors: [Door]

  /// What an open socket is found by at a reload: its address; with port 0, which is another port in every place, also
  /// the place.
  struct SocketKey: Hashable {
    private let address: Address
    private let place: String?

    init(_ address: Address, of settings: ListenerSettings, isPreview: Bool) {
      self.address = address
      switch address {
      case .host(_, port: 0), .wildcard(port: 0): place = (isPreview ? "preview " : "production ") + settings.name
      case .host, .wildcard, .local: place = nil
      }
    }
  }

  /// Opens what is not open yet. Where it throws, files that were made for AF_UNIX sockets are gone again.
  /// - Parameter open: sockets that are open at an address already; they are taken over instead of being bound again,
  ///   so that no connection in their backlog is lost.
  init(
    id: ListenerID, _ settings: ListenerSettings, resolved: [Address: [SocketAddress]],
    reusing open: [SocketKey: BoundSocket]
  ) throws(StartFailure) {
    func socket(_ wanted: Address, isPreview: Bool) throws(StartFailure) -> BoundSocket {
      if let reused = open[SocketKey(wanted, of: settings, isPreview: isPreview)] { return reused }
      return try Listening.bind(wanted, resolved: resolved)
    }
    self.id = id
    self.settings = settings
    let production = try socket(settings.bind, isPreview: false)
    address = production.address
    doors = [Door(listener: id, isPreview: false, socket: production)]
    guard let wanted = settings.preview else {
      previewAddress = nil
      return
    }
    do throws(StartFailure) {
      let preview = try socket(wanted, isPreview: true)
      previewAddress = preview.address
      doors.append(Door(listener: id, isPreview: true, socket: preview))
    } catch {
      if !open.values.contains(where: { $0 === production }) { Listening.removeFile(of: production) }
      throw error
    }
  }

  var sockets: [(SocketKey, BoundSocket)] {
    doors.compactMap { door in
      let address = door.isPreview ? settings.preview : settings.bind
      return address.map { (SocketKey($0, of: settings, isPreview: door.isPreview), door.socket) }
    }
  }

  /// Gives the doors up. Their sockets are closed with the last reference.
  mutating func letGo() { doors = [] }
}

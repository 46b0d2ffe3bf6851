import Configuration
import LinuxIO
import Relay

/// A listener as it is configured, and the doors that are open for it.
struct OpenListener {
  /// What an open door is found by at a reload: its address; with port 0, which is another port in every place, also
  /// the place.
  struct DoorKey: Hashable {
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

  let id: ListenerID
  let settings: ListenerSettings
  /// With the port that the kernel chose.
  let address: SocketAddress
  let previewAddress: SocketAddress?
  /// One for production, and one for the preview where there is any; none once the listener was let go.
  private(set) var doors: [Door]

  /// Opens what is not open yet. Where it throws, files that were made for AF_UNIX sockets are gone again.
  /// - Parameter open: doors that are open already. One that means the same is kept as it is; else its socket is taken
  ///   over instead of being bound again, so that no connection in its backlog is lost.
  init(
    id: ListenerID, _ settings: ListenerSettings, resolved: [Address: [SocketAddress]], reusing open: [DoorKey: Door]
  ) throws(StartFailure) {
    func door(_ wanted: Address, isPreview: Bool) throws(StartFailure) -> Door {
      let old = open[DoorKey(wanted, of: settings, isPreview: isPreview)]
      let isHTTP = settings.protocol == .http
      if let old, old.listener == id, old.isPreview == isPreview, old.isHTTP == isHTTP { return old }
      let socket: BoundSocket
      if let old {
        socket = old.socket
      } else {
        socket = try Listening.bind(wanted, resolved: resolved, options: settings.clientOptions)
      }
      return Door(listener: id, isPreview: isPreview, isHTTP: isHTTP, socket: socket)
    }
    try SocketOptions.check(settings)
    self.id = id
    self.settings = settings
    let production = try door(settings.bind, isPreview: false)
    address = production.socket.address
    doors = [production]
    guard let wanted = settings.preview else {
      previewAddress = nil
      return
    }
    do throws(StartFailure) {
      let preview = try door(wanted, isPreview: true)
      previewAddress = preview.socket.address
      doors.append(preview)
    } catch {
      if !open.values.contains(where: { $0.socket === production.socket }) {
        Listening.removeFile(of: production.socket)
      }
      throw error
    }
  }

  /// Opens several; where one fails, none is left open that was not before.
  static func open(
    _ wanted: [(id: ListenerID, settings: ListenerSettings)], resolved: [Address: [SocketAddress]],
    reusing open: [DoorKey: Door] = [:]
  ) throws(StartFailure) -> [OpenListener] {
    var opened: [OpenListener] = []
    for (id, settings) in wanted {
      do throws(StartFailure) {
        opened.append(try OpenListener(id: id, settings, resolved: resolved, reusing: open))
      } catch {
        discard(opened, keeping: open)
        throw error
      }
    }
    return opened
  }

  /// Takes back what was opened for something that has failed.
  static func discard(_ opened: [OpenListener], keeping open: [DoorKey: Door] = [:]) {
    let kept = Set(open.values.map { ObjectIdentifier($0.socket) })
    for door in opened.flatMap(\.doors) where !kept.contains(ObjectIdentifier(door.socket)) {
      Listening.removeFile(of: door.socket)
    }
  }

  var keyedDoors: [(DoorKey, Door)] {
    doors.compactMap { door in
      let address = door.isPreview ? settings.preview : settings.bind
      return address.map { (DoorKey($0, of: settings, isPreview: door.isPreview), door) }
    }
  }

  /// Gives the doors up. Their sockets are closed with the last reference.
  mutating func letGo() { doors = [] }
}

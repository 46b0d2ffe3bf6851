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

  /// Opens what is not open yet. Where it throws, files that were made for AF_UNIX sockets are gone again.
  /// - Parameter open: sockets that are open at an address already; they are taken over instead of being bound again,
  ///   so that no connection in their backlog is lost.
  init(
    id: ListenerID, _ settings: ListenerSettings, resolved: [Address: [SocketAddress]],
    reusing open: [Address: BoundSocket]
  ) throws(StartFailure) {
    func socket(_ wanted: Address) throws(StartFailure) -> BoundSocket {
      if let reused = open[wanted] { return reused }
      return try Listening.bind(wanted, resolved: resolved)
    }
    self.id = id
    self.settings = settings
    let production = try socket(settings.bind)
    address = production.address
    doors = [Door(listener: id, isPreview: false, socket: production)]
    guard let wanted = settings.preview else {
      previewAddress = nil
      return
    }
    do throws(StartFailure) {
      let preview = try socket(wanted)
      previewAddress = preview.address
      doors.append(Door(listener: id, isPreview: true, socket: preview))
    } catch {
      if open[settings.bind] == nil { Listening.removeFile(of: production) }
      throw error
    }
  }

  /// The open sockets by the address they were asked for.
  var sockets: [(Address, BoundSocket)] {
    doors.compactMap { door in
      (door.isPreview ? settings.preview : settings.bind).map { ($0, door.socket) }
    }
  }

  /// Gives the doors up. Their sockets are closed with the last reference.
  mutating func letGo() { doors = [] }
}

import Admin
import Configuration
import FoundationEssentials
import LinuxIO
import Relay
import Switching
import Telemetry

/// Reading the configuration again.
extension FrontDoor {
  /// All of it is checked, resolved and opened before anything changes; running sessions are not touched.
  func reload(by requester: Requester?) async -> Result<ReloadReport, ErrorReport> {
    guard let file = launch.configFile else {
      return .failure(ErrorReport(code: "no-config", message: "started without a config file: nothing to reload"))
    }
    await takeTurn()
    defer { turn.give() }
    if isStopping { return .failure(ErrorReport(code: "stopping", message: "the front door is stopping")) }
    do {
      let text = try await resolver.read(file)
      let settings = try Settings.load(text: text, file: file, overrides: launch.overrides)
      let resolved = try await resolver.resolve(settings)
      let report = try await replace(with: settings, resolved)
      log.info(
        "reload",
        [
          "uid": .count(requester?.uid ?? Process.effectiveUserID), "pid": .count(requester?.pid ?? Process.identifier),
          "added": .string(report.added.joined(separator: ",")),
          "removed": .string(report.removed.joined(separator: ",")),
          "changed": .string(report.changed.joined(separator: ",")),
          "needsRestart": .string(report.needsRestart.joined(separator: ",")),
        ])
      publish("reload", "the configuration was read again")
      return .success(report)
    } catch {
      return .failure(ErrorReport(code: "bad-config", message: "\(error)"))
    }
  }

  private func replace(with new: Settings, _ resolved: [Address: [SocketAddress]]) async throws(StartFailure)
    -> ReloadReport
  {
    let plan = ReloadPlan(from: settings, to: new)
    let old = listeners
    let open = Dictionary(old.flatMap(\.sockets)) { first, _ in first }
    let ids = Dictionary(uniqueKeysWithValues: old.map { ($0.settings.name, $0.id) })
    var number = lastListenerNumber
    var opened: [OpenListener] = []
    for listener in new.listeners {
      if ids[listener.name] == nil { number += 1 }
      let id = ids[listener.name] ?? ListenerID(number: number)
      do throws(StartFailure) {
        opened.append(try OpenListener(id: id, listener, resolved: resolved, reusing: open))
      } catch {
        discard(opened, keeping: open)
        throw error
      }
    }
    let routes: Routes
    do throws(StartFailure) {
      routes = try targetBook.routes(for: opened.map { ($0.id, $0.settings) }, resolved: resolved)
    } catch {
      discard(opened, keeping: open)
      throw error
    }

    // Nothing fails from here on.
    settings = keepingWhatNeedsRestart(of: settings, in: new)
    listeners = opened
    lastListenerNumber = number
    for listener in opened { listenerNames[listener.id] = listener.settings.name }
    workers.apply(routes, RelaySettings(settings.timeouts))
    budget.setLimit(sessionLimit)
    // An address that goes on under another name, or as another kind of door, is watched by the new door after the
    // old one was let go; connections wait in the backlog meanwhile.
    let kept = Set(opened.flatMap(\.sockets).map { ObjectIdentifier($0.1) })
    for listener in old {
      for door in listener.doors where !isOpen(door, in: opened) {
        await workers.close(door)
        if !kept.contains(ObjectIdentifier(door.socket)) { Listening.removeFile(of: door.socket) }
      }
    }
    for listener in opened { for door in listener.doors where !isOpen(door, in: old) { workers.open(door) } }
    return ReloadReport(
      added: plan.added, removed: plan.removed, changed: plan.changed, needsRestart: plan.needsRestart)
  }

  /// Whether a door with the same socket and the same meaning is among those of the listeners.
  private func isOpen(_ door: Door, in listeners: [OpenListener]) -> Bool {
    listeners.contains { listener in
      listener.doors.contains {
        $0.socket === door.socket && $0.listener == door.listener && $0.isPreview == door.isPreview
      }
    }
  }

  private func keepingWhatNeedsRestart(of old: Settings, in new: Settings) -> Settings {
    var settings = new
    settings.workers = old.workers
    settings.stateFile = old.stateFile
    settings.admin = old.admin
    settings.active = old.active
    return settings
  }

  /// Takes back what was opened for a reload that has failed.
  private func discard(_ opened: [OpenListener], keeping open: [OpenListener.SocketKey: BoundSocket]) {
    for (key, socket) in opened.flatMap(\.sockets) where open[key] == nil { Listening.removeFile(of: socket) }
  }

  func closeDoors(of listener: OpenListener) async {
    for door in listener.doors {
      await workers.close(door)
      Listening.removeFile(of: door.socket)
    }
  }
}

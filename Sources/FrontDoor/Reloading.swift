import Admin
import Configuration
import LinuxIO
import Relay
import Switching
import Telemetry

/// Reading the configuration again.
extension FrontDoor {
  /// All of it is checked, resolved and opened before anything changes; running sessions are not touched. Switches go
  /// on while the file is read and names are looked up, however long that takes.
  func reload(by requester: Requester) async -> Result<ReloadReport, ErrorReport> {
    guard let file = launch.configFile else {
      return .failure(
        refuse("no-config", "started without a config file: nothing to reload", by: requester))
    }
    await reloadTurn.take()
    defer { reloadTurn.give() }
    do {
      let text = try await resolver.read(file)
      let new = try Settings.load(text: text, file: file, overrides: launch.overrides)
      let resolved = try await resolver.resolve(new)
      await turn.take()
      defer { turn.give() }
      if isStopping { return .failure(ErrorReport(code: "stopping", message: "the front door is stopping")) }
      let report = try await replace(with: new, resolved.addresses)
      audit(
        "reload", by: requester,
        [
          "added": .string(report.added.joined(separator: ",")),
          "removed": .string(report.removed.joined(separator: ",")),
          "changed": .string(report.changed.joined(separator: ",")),
          "needsRestart": .string(report.needsRestart.joined(separator: ",")),
        ])
      tallies.reloads += 1
      publish("reload", "the configuration was read again")
      retryNames(resolved.failures)
      return .success(report)
    } catch {
      return .failure(refuse("bad-config", "\(error)", by: requester))
    }
  }

  private func refuse(_ code: String, _ message: String, by requester: Requester) -> ErrorReport {
    tallies.reloadsRefused += 1
    log.error(
      "reload-refused",
      ["uid": .count(requester.uid), "pid": .count(requester.pid), "reason": .string(message)])
    publish("reload-refused", "nothing was changed: \(message)")
    return ErrorReport(code: code, message: message)
  }

  private func replace(with new: Settings, _ resolved: [Address: [SocketAddress]]) async throws(StartFailure)
    -> ReloadReport
  {
    let plan = ReloadPlan(from: settings, to: new)
    let old = listeners
    let open = Dictionary(old.flatMap(\.keyedDoors)) { first, _ in first }
    let ids = Dictionary(uniqueKeysWithValues: old.map { ($0.settings.name, $0.id) })
    // Listeners that go keep their routes: connections in their backlogs, and those that are just being made, are still
    // served, and sessions of protocol http may need another backend for as long as they live.
    let names = Set(new.listeners.map(\.name))
    let leaving = old.filter { !names.contains($0.settings.name) }.map { (id: $0.id, settings: $0.settings) }
    let inUse = await departedInUse()
    let departed = inUse + leaving
    // Their doors were closed by an earlier reload and their last session has ended: nothing is counted for them any more.
    var listenerBook = self.listenerBook
    for (id, _) in self.departed where !inUse.contains(where: { $0.id == id }) { listenerBook.giveUp(id) }
    var wanted: [(id: ListenerID, settings: ListenerSettings)] = []
    var fresh: [ListenerID] = []
    for listener in new.listeners {
      if let id = ids[listener.name] {
        wanted.append((id, listener))
      } else {
        fresh.append(listenerBook.add())
        wanted.append((fresh[fresh.count - 1], listener))
      }
    }
    let known = withAddresses(of: departed, resolved)
    let opened = try OpenListener.open(wanted, resolved: resolved, reusing: open)
    var book = targetBook
    let routes: Routes
    do throws(StartFailure) {
      routes = try book.routes(for: wanted + departed, fresh: fresh, resolved: known)
    } catch {
      OpenListener.discard(opened, keeping: open)
      throw error
    }

    // Nothing fails from here on. Lines that the routes give up have no sessions any more: their counts are final.
    let counts = await workers.measures()
    let before = listenersAndTargets
    targetBook = book
    addresses = known
    self.departed = departed
    settings = keepingWhatNeedsRestart(of: settings, in: new)
    listeners = opened
    self.listenerBook = listenerBook
    for listener in opened { listenerNames[listener.id] = listener.settings.name }
    keepCounts(counts, of: before)
    workers.apply(routes, RelaySettings(settings))
    probeWhatIsConfigured()
    renewWatch()
    budget.setLimit(sessionLimit)
    SocketOptions.update(from: old, to: opened)
    // An address that goes on under another name, or as another kind of door, is watched by the new door after the
    // old one was let go; connections wait in the backlog meanwhile.
    let oldDoors = old.flatMap(\.doors)
    let newDoors = opened.flatMap(\.doors)
    await lastCall(at: old, keeping: newDoors)
    for door in oldDoors where !newDoors.contains(where: { $0 === door }) {
      await workers.close(door)
      if !newDoors.contains(where: { $0.socket === door.socket }) { Listening.removeFile(of: door.socket) }
    }
    for door in newDoors where !oldDoors.contains(where: { $0 === door }) { workers.open(door) }
    return ReloadReport(
      added: plan.added, removed: plan.removed, changed: plan.changed + plan.atOnce, needsRestart: plan.needsRestart)
  }

  /// Listeners of earlier configurations that still have sessions.
  private func departedInUse() async -> [(id: ListenerID, settings: ListenerSettings)] {
    if departed.isEmpty { return [] }
    let used = Set(await workers.sessions().map(\.listener))
    return departed.filter { used.contains($0.id) }
  }

  /// What names came to, those of departed listeners included: nobody looks these up again.
  private func withAddresses(
    of departed: [(id: ListenerID, settings: ListenerSettings)], _ resolved: [Address: [SocketAddress]]
  ) -> [Address: [SocketAddress]] {
    var known = resolved
    for target in departed.flatMap({ $0.settings.targets.blue + $0.settings.targets.green }) where known[target] == nil
    {
      known[target] = addresses[target]
    }
    return known
  }

  private func keepingWhatNeedsRestart(of old: Settings, in new: Settings) -> Settings {
    var settings = new
    settings.workers = old.workers
    settings.stateFile = old.stateFile
    settings.admin = old.admin
    settings.active = old.active
    return settings
  }

  // MARK: Names

  /// Milliseconds between two looks at names that have no address.
  private static let nameRetryPause: Int64 = 5000

  /// A name that does not resolve is a target that cannot be reached, no reason not to serve: it is looked up again
  /// until it resolves.
  func retryNames(_ failures: [ResolutionFailure]) {
    for failure in failures { tell("target-unreachable", "\(failure)") }
    guard !failures.isEmpty, !isRetryingNames else { return }
    isRetryingNames = true
    reactor.after(milliseconds: Self.nameRetryPause) { [self] in start { await $0.resolveAgain() } }
  }

  private func resolveAgain() async {
    await reloadTurn.take()
    defer { reloadTurn.give() }
    isRetryingNames = false
    guard !isStopping, let resolved = try? await resolver.resolve(settings) else { return }
    var book = targetBook
    let wanted = listeners.map { (id: $0.id, settings: $0.settings) } + departed
    let known = withAddresses(of: departed, resolved.addresses)
    if let routes = try? book.routes(for: wanted, resolved: known) {
      let counts = await workers.measures()
      let before = listenersAndTargets
      targetBook = book
      keepCounts(counts, of: before)
      addresses = known
      workers.apply(routes, RelaySettings(settings))
      probeWhatIsConfigured()
    }
    retryNames(resolved.failures)
  }
}

import Admin
import Configuration
import Health
import LinuxIO
import Relay
import Switching
import Telemetry

/// Health: what is probed, what the probes say of a color, and the gate.
extension FrontDoor {
  // MARK: Probing

  func beginProbing() {
    prober = Prober(
      reactor: reactor,
      observer: Prober.Observer(
        changed: { [self] in targetChanged($0) },
        shortage: { [self] name, errno in tell("limit", "\(name) could not be probed: \(errno)") }))
    probeWhatIsConfigured()
  }

  /// With the start, after a reload, and when a name has got another address.
  func probeWhatIsConfigured() {
    let targets = allTargets()
    let wanted = Set(targets.map(\.id))
    for target in probed.subtracting(wanted) { targetBook.board.setUnhealthy(target, false) }
    for target in targets where target.settings.kind == .off { targetBook.board.setUnhealthy(target.id, false) }
    probed = wanted
    prober?.watch(targets)
  }

  private func allTargets() -> [ProbeTarget<Int32>] {
    var targets: [ProbeTarget<Int32>] = []
    for listener in listeners {
      let settings = ProbeSettings(settings.health(of: listener.settings))
      let sources = listener.settings.source.compactMap { try? $0.resolve() }
      for color in Color.allCases {
        for address in listener.settings.targets[color] {
          guard let slot = targetBook.slot(listener.id, color, address) else { continue }
          targets.append(
            ProbeTarget(
              id: slot, name: "\(address)", addresses: addresses[address] ?? [], sources: sources, settings: settings))
        }
      }
    }
    return targets
  }

  private func targetChanged(_ change: HealthChange<Int32>) {
    targetBook.board.setUnhealthy(change.id, !change.isHealthy)
    let owner = targetBook.owner(of: change.id)
    let listener = owner.flatMap { listenerNames[$0.listener] } ?? ""
    let color = owner?.color.rawValue ?? ""
    log.write(
      change.isHealthy ? .info : .warning, change.isHealthy ? "target-up" : "target-down",
      [
        (key: "target", value: .string(change.name)), (key: "color", value: .string(color)),
        (key: "listener", value: .string(listener)), (key: "result", value: .string(change.result.text)),
      ])
    publish(
      change.isHealthy ? "target-up" : "target-down", "\(color) \(listener) \(change.name): \(change.result.text)")
    if watch != nil { start { await $0.lookAtTrial() } }
  }

  // MARK: Colors

  private func health(_ listener: ListenerID, _ color: Color, _ address: Address) -> TargetHealth? {
    targetBook.slot(listener, color, address).flatMap { prober?.health(of: $0) }
  }

  func isHealthy(_ listener: ListenerID, _ color: Color, _ address: Address) -> Bool? {
    health(listener, color, address)?.isHealthy
  }

  func lastResult(_ listener: ListenerID, _ color: Color, _ address: Address) -> String? {
    health(listener, color, address)?.result?.text
  }

  /// Whether a listener has a target of the color that can serve; nil: it is not known.
  private func isHealthy(_ listener: OpenListener, _ color: Color) -> Bool? {
    let verdicts = listener.settings.targets[color].map { isHealthy(listener.id, color, $0) }
    if verdicts.contains(true) { return true }
    return verdicts.allSatisfy { $0 == false } ? false : nil
  }

  /// Whether every listener has; nil: it is not known.
  func isHealthy(_ color: Color) -> Bool? {
    let verdicts = listeners.map { isHealthy($0, color) }
    if verdicts.contains(false) { return false }
    return verdicts.allSatisfy { $0 == true } ? true : nil
  }

  /// Listeners that have no target of the color which could serve.
  func deadListeners(_ color: Color) -> Int { listeners.count { isHealthy($0, color) == false } }

  var limits: Limits { settings.bake.limits }

  /// Why a color cannot serve, for people; nil where it can, or nobody knows.
  private func objection(to color: Color) -> String? {
    guard let listener = listeners.first(where: { isHealthy($0, color) == false }) else { return nil }
    return reason(listener, color) { health(listener.id, color, $0)?.result?.text ?? "" }
  }

  private func reason(_ listener: OpenListener, _ color: Color, _ text: (Address) -> String) -> String {
    let targets = listener.settings.targets[color]
    let named = targets.prefix(3).map { "\($0): \(text($0))" }.joined(separator: "; ")
    let rest = targets.count > 3 ? "; and \(targets.count - 3) more" : ""
    return (listeners.count > 1 ? "listener \(listener.settings.name): " : "") + named + rest
  }

  // MARK: The gate

  /// What a transaction is judged by.
  func facts(_ terms: Terms) -> Facts {
    var unhealthy = ByColor<String?>(blue: objection(to: .blue), green: objection(to: .green))
    if let (color, reason) = terms.objection { unhealthy[color] = reason }
    return Facts(unhealthy: unhealthy, isForced: terms.isForced)
  }

  /// Asks every target of the color that a switch leads to, now: a listener that has none which is healthy and answers is a
  /// reason against it.
  func passGate(_ change: SwitchMachine.Request, to color: Color, _ terms: inout Terms) async {
    guard let prober, !terms.isForced else { return }
    switch machine.preview(change) {
    case .persist, .hold, .store: break
    case .barrier, .awaitQuiet, .release, .giveUpHandover, .done, .unchanged, .refused: return
    }
    let slots = listeners.flatMap { listener in
      listener.settings.targets[color].compactMap { targetBook.slot(listener.id, color, $0) }
    }
    let answers = await withCheckedContinuation { continuation in
      prober.probe(slots) { continuation.resume(returning: $0) }
    }
    for listener in listeners {
      let targets = listener.settings.targets[color]
      func answer(_ address: Address) -> FreshProbe? {
        targetBook.slot(listener.id, color, address).flatMap { answers[$0] }
      }
      if targets.contains(where: { serves(listener.id, color, $0, answer($0)) }) { continue }
      terms.objection = (color, reason(listener, color) { doubt(listener.id, color, $0, answer($0)) })
      return
    }
  }

  /// Whether a target is healthy and has just answered, or is not probed at all.
  private func serves(_ listener: ListenerID, _ color: Color, _ address: Address, _ answer: FreshProbe?) -> Bool {
    let verdict = isHealthy(listener, color, address)
    switch answer {
    case .found(let result): return result.passed && verdict == true
    case .off, .gone, nil: return verdict != false
    // This machine could not ask: what is known counts.
    case .shortage, .notInTime: return verdict == true
    }
  }

  /// For people.
  private func doubt(_ listener: ListenerID, _ color: Color, _ address: Address, _ answer: FreshProbe?) -> String {
    switch answer {
    case .found(let result) where !result.passed: result.text
    case .found: "answers again, and has to go on for some more probes"
    case .shortage(let errno): "could not be asked: \(errno)"
    case .notInTime: "could not be asked in time"
    case .off, .gone, nil: health(listener, color, address)?.result?.text ?? "nothing is known of it"
    }
  }

  // MARK: The report

  func healthReport() -> HealthReport {
    var reports: [TargetHealthReport] = []
    for listener in listeners {
      let probe = ProbeSettings(settings.health(of: listener.settings)).kind.name
      for color in Color.allCases {
        for address in listener.settings.targets[color] {
          let health = health(listener.id, color, address)
          reports.append(
            TargetHealthReport(
              listener: listener.settings.name, color: color, address: "\(address)", probe: probe,
              healthy: health?.isHealthy, since: health?.since?.description, checkedAt: health?.checkedAt?.description,
              result: health?.result?.text, latencyMicroseconds: health?.latencyMicroseconds,
              against: health?.against ?? 0))
        }
      }
    }
    return HealthReport(health: reports)
  }
}

extension ProbeSettings {
  init(_ health: HealthSettings) {
    let kind: Kind
    switch (health.probe, health.http) {
    case (.off, _): kind = .off
    case (.auto, nil): kind = .tcp
    case (.auto, let http?):
      kind = .http(HTTPExpectation(path: http.path, host: http.host, statuses: http.status.ranges, body: http.body))
    }
    self.init(kind, interval: health.interval, timeout: health.timeout, rise: health.rise, fall: health.fall)
  }
}

extension ProbeSettings.Kind {
  fileprivate var name: String {
    switch self {
    case .off: "off"
    case .tcp: "tcp"
    case .http: "http"
    }
  }
}

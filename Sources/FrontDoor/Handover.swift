import Admin
import Arguments
import LinuxIO
import Relay
import Switching
import Telemetry

/// What a handover waits for. Used on the control thread alone.
final class Handover: @unchecked Sendable {
  /// The operator's client; its end is the handover's end.
  let client: UInt64?
  /// The operator runs a command while nothing serves, and says when to go on.
  let waitsForOperator: Bool
  /// What ends the wait. To give up overrides everything until the transaction has taken it.
  private(set) var outcome: SwitchMachine.Event?
  private var waiting: CheckedContinuation<Void, Never>?
  private var isClosed = false
  /// Nothing is in flight any more.
  private(set) var isQuiet = false
  /// Told when nothing serves (nil), or how the transaction has ended before that.
  var operatorWaiter: OneShot<FrontDoor.SwitchOutcome?>?
  /// Told how the transaction has ended.
  var endWaiters: [OneShot<FrontDoor.SwitchOutcome>] = []

  init(client: UInt64?, waitsForOperator: Bool) {
    self.client = client
    self.waitsForOperator = waitsForOperator
  }

  func becameQuiet() {
    isQuiet = true
    if waitsForOperator { operatorWaiter?.resume(nil) } else { decide(.quiet) }
  }

  func decide(_ event: SwitchMachine.Event) {
    if isClosed { return }
    if case .givenUp = outcome { return }
    outcome = event
    waiting?.resume()
    waiting = nil
  }

  /// No word counts any more: what has been decided is this.
  func close() -> SwitchMachine.Event {
    isClosed = true
    return outcome ?? .givenUp("nobody decided")
  }

  func wait() async {
    if outcome == nil { await withCheckedContinuation { waiting = $0 } }
  }
}

/// The waiting part of a handover: from its hold until nothing is in flight, and the operator's command has ended.
extension FrontDoor {
  /// Milliseconds before the first client would notice: the handover is given up so long before the shorter of drain and
  /// hold time ends.
  private static let handoverReserve: Int64 = 1000
  /// Milliseconds below which a handover is not tried.
  private static let shortestHandover: Int64 = 100

  /// Begins the hold of a handover. With `--force` what runs is reset when its time is up; where a command is to follow,
  /// that is half of the time.
  func beginHandover(to color: Color, _ handover: Handover, _ terms: Terms) async {
    let shorter = min(terms.drainTimeout ?? settings.drain.timeout, settings.timeouts.hold)
    let time = max(shorter - Self.handoverReserve, shorter / 2)
    let cutTime = handover.waitsForOperator ? time / 2 : time
    self.handover = handover
    let isLonger = terms.isForced && !handover.waitsForOperator
    await beginHold(
      by: terms.by, milliseconds: isLonger ? time + Self.handoverReserve / 2 : time, handover: color)
    if let client = handover.client, admin?.isConnected(client) != true {
      handover.decide(.givenUp(Self.clientHasGone))
    }
    if terms.isForced {
      reactor.after(milliseconds: cutTime) { [self] in start { $0.cutWhatRuns(of: handover) } }
    }
  }

  /// Returns when the handover has been decided.
  func awaitQuiet(_ handover: Handover) async {
    await isQuietNow()
    await handover.wait()
  }

  /// The answer to a switch with `proceed`: the handover of this client goes on, or is given up.
  func proceed(_ request: SwitchRequest, client: UInt64) async -> Result<StatusReport, ErrorReport> {
    guard let handover, handover.isQuiet, handover.client == client, holding?.handover == request.to else {
      let ended = lastGivenUp.flatMap { $0.client == client ? "the handover was given up: \($0.reason)" : nil }
      return .failure(ErrorReport(code: "no-handover", message: ended ?? "no handover of this connection waits"))
    }
    return await answer(
      outcome: withCheckedContinuation { continuation in
        handover.endWaiters.append(OneShot(continuation))
        handover.decide(request.proceed == true ? .quiet : .givenUp(request.reason ?? "the operator gave it up"))
      })
  }

  /// The answer to a switch with `handover`, once the transaction is begun by it.
  func answerHandover(
    _ change: SwitchMachine.Request, _ request: SwitchRequest, _ terms: Terms, client: UInt64
  ) async -> Result<StatusReport, ErrorReport> {
    let window = min(terms.drainTimeout ?? settings.drain.timeout, settings.timeouts.hold)
    guard window >= Self.shortestHandover else {
      return .failure(
        ErrorReport(
          code: "too-short",
          message:
            "a handover needs a drain time and a hold time of at least \(formatDuration(Self.shortestHandover)), "
            + "not \(formatDuration(window))"))
    }
    var terms = terms
    let handover = Handover(client: client, waitsForOperator: request.during == true)
    terms.handover = handover
    guard handover.waitsForOperator else { return await answer(outcome: transact(change, terms)) }
    // The transaction goes on after this answer.
    let result: SwitchOutcome? = await withCheckedContinuation { continuation in
      let first = OneShot<SwitchOutcome?>(continuation)
      handover.operatorWaiter = first
      start { [terms] in
        first.resume(await $0.transact(change, terms))
      }
    }
    if let result { return await answer(outcome: result) }
    // The client runs its command now, silently; how long it may, the hold decides.
    admin?.allowSilence(on: client, milliseconds: settings.timeouts.hold + settings.drain.timeout)
    return .success(await status())
  }

  /// Returns when the handover that is under way, if any, has ended.
  func handoverEnds() async {
    guard let handover else { return }
    let _: SwitchOutcome = await withCheckedContinuation { handover.endWaiters.append(OneShot($0)) }
  }

  func recordGivenUp(_ reason: String, from: Color, _ terms: Terms, held: Int64) {
    tallies.handoversGivenUp += 1
    lastGivenUp = terms.handover?.client.map { (client: $0, reason: reason) }
    audit(
      "handover-given-up", by: terms.by,
      [
        "from": .string(from.rawValue), "to": .string(from.other.rawValue), "reason": .string(terms.reason ?? ""),
        "cause": .string(reason), "heldMilliseconds": .count(held),
      ])
    publish("handover-given-up", "\(from.rawValue) goes on: \(reason)")
  }

  /// Why a handover whose time is up did not come about, for people.
  func reasonToGiveUp(after current: Holding) async -> String {
    let time = formatDuration(Instant.now().milliseconds(since: current.since) / 100 * 100)
    let report = await workers.report()
    if report.inFlight == 0 { return "the command did not end within \(time)" }
    return "after \(time) there was still work in flight: \(await whatRuns())"
  }

  /// With `--force`: resets what has not ended in time.
  private func cutWhatRuns(of handover: Handover) {
    guard self.handover === handover, handover.outcome == nil else { return }
    var order = HoldOrder(isHandover: true)
    order.cuts = true
    workers.hold(order)
  }
}

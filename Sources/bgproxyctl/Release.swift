import Admin
import Switching

/// A release that the front door has begun, for as long as this program has to do with it: the checks after the switch,
/// and the wait for its verdict and its drain.
struct Release {
  private let context: Context
  private var watch: ReleaseWatch
  private let checks: Checks
  private let runner: CheckRunner
  private var hasBaked = false

  /// nil where the answer to the request tells of no switch.
  init?(_ answer: StatusReport, to color: Color, _ checks: Checks, _ runner: CheckRunner, _ context: Context) {
    guard let watch = ReleaseWatch(answer, to: color) else { return nil }
    (self.context, self.watch, self.checks, self.runner) = (context, watch, checks, runner)
  }

  /// - Parameter answer: to the request.
  mutating func conclude(_ answer: Answer<StatusReport>) throws(Failure) -> Reply {
    if !context.waits {
      if watch.isRamp { return rampHasBegun(answer) }
      if checks.after.isEmpty, let receipt = watch.receipt { return reply(inForce: receipt, answer) }
    }
    var (verdict, last) = try follow(from: answer, until: .inForce)
    if verdict.isInForce, !checks.after.isEmpty {
      if let failed = try runner.run(checks.after, "after") { return try rollBack(failed) }
      // They took their time.
      (verdict, last) = try follow(from: nil, until: .inForce)
    }
    if verdict == .inForce, context.waits { (verdict, last) = try follow(from: last, until: .verdict) }
    if case .takenBack(let receipt) = verdict { return reply(takenBack: receipt, last) }
    guard let receipt = watch.receipt else { throw .incomprehensible("/v1/status") }
    if !context.waits { return reply(inForce: receipt, last) }
    return last.content.process == watch.process ? try waitForDrain(last) : reply(restarted: receipt, last)
  }

  // MARK: Waiting

  private enum Goal { case inForce, verdict }

  private enum Verdict: Equatable {
    /// And watched.
    case inForce
    case passed
    case takenBack(Receipt)

    var isInForce: Bool {
      switch self {
      case .inForce, .passed: true
      case .takenBack: false
      }
    }
  }

  private enum Waiting {
    static let pollMilliseconds: UInt32 = 100
    /// A receipt is in the history a barrier after its switch.
    static let historyPolls = 100
    /// Seconds for a front door to come back.
    static let patience = 30.0
  }

  /// Asks until the goal is reached. Not bounded by `--timeout`: the release ends it.
  /// - Parameter answer: the last one; nil: it is too old.
  private mutating func follow(
    from answer: Answer<StatusReport>?, until goal: Goal
  ) throws(Failure) -> (Verdict, Answer<StatusReport>) {
    var display = ProgressDisplay(context)
    defer { display.clear() }
    var known = answer
    var unclear = 0
    while true {
      let last = if let known { known } else { try insist(&display, context.status) }
      var finding = watch.finding(last.content, [last.content.lastSwitch].compactMap(\.self))
      if finding == .unclear {
        finding = watch.finding(last.content, try insist(&display, context.history).content.history)
      }
      if let verdict = verdict(finding, goal) { return (verdict, last) }
      unclear = finding == .unclear ? unclear + 1 : 0
      if unclear > Waiting.historyPolls { throw .lost(watch, "the history does not hold its receipt") }
      if let text = TrialText(status: last.content, now: context.clock.now()) { display.show(text) }
      context.clock.sleep(Waiting.pollMilliseconds)
      known = nil
    }
  }

  /// Asks until there is an answer: a front door that has ended comes back, and the release goes on then.
  private func insist<Content>(
    _ display: inout ProgressDisplay, _ ask: () throws(Failure) -> Answer<Content>
  ) throws(Failure) -> Answer<Content> {
    let beginning = context.clock.now()
    while true {
      do throws(Failure) { return try ask() } catch {
        guard error.exitCode == .unreachable else { throw error }
        guard context.clock.now() - beginning < Waiting.patience else {
          throw .lost(watch, "the front door went away: \(error.message)")
        }
      }
      display.show(PlainText(text: "the front door does not answer at present"))
      context.clock.sleep(Waiting.pollMilliseconds)
    }
  }

  private mutating func verdict(_ finding: ReleaseWatch.Finding, _ goal: Goal) -> Verdict? {
    switch finding {
    case .passed: return .passed
    case .takenBack(let receipt): return .takenBack(receipt)
    case .baking:
      hasBaked = true
      return goal == .inForce ? .inForce : nil
    case .ramping, .unclear: return nil
    }
  }

  // MARK: What is said of it

  private func text(_ receipt: Receipt) -> String {
    ReceiptText(receipt: receipt, paint: context.paint).full(heading: "switched")
  }

  private func rampHasBegun(_ answer: Answer<StatusReport>) -> Reply {
    let progress = TrialText(status: answer.content, now: context.clock.now())?.line(context.paint)
    return Reply(text: (progress ?? "ramping \(context.paint(watch.color))") + "\n", json: answer.json)
  }

  private func reply(inForce receipt: Receipt, _ last: Answer<StatusReport>) -> Reply {
    var reply = Reply(text: text(receipt), json: last.json)
    if last.content.generation == watch.generation, last.content.isBaking {
      let left = last.content.bake.flatMap { Timestamp.left(until: $0.until, now: context.clock.now()) }
      reply.text += "  bake      under way\(left.map { ", \($0) left" } ?? "")\n"
    }
    return reply
  }

  private func reply(takenBack receipt: Receipt, _ last: Answer<StatusReport>) -> Reply {
    let color = watch.color.rawValue
    var reply = Reply(
      text: ReceiptText(receipt: receipt, paint: context.paint).full(heading: "rolled back"), json: last.json)
    if receipt.automatic {
      let cause = receipt.cause.map { SignalText.cause($0) } ?? "the cause is not known"
      (reply.exitCode, reply.notice) = (.takenBack, "\(color) was taken back by the front door: \(cause)")
    } else {
      (reply.exitCode, reply.notice) = (.refused, "\(color) was taken back by \(receipt.requester)")
    }
    return reply
  }

  private func reply(restarted receipt: Receipt, _ last: Answer<StatusReport>) -> Reply {
    var reply = Reply(text: text(receipt) + (hasBaked ? Self.passed : ""), json: last.json)
    // Where all had ended before, nothing was lost.
    if receipt.settled { return reply }
    reply.notice =
      "the front door was restarted (pid \(last.content.pid) answers now): "
      + "what became of the sessions that were open before is not known"
    return reply
  }

  private static let passed = "  bake      passed\n"

  private func waitForDrain(_ answer: Answer<StatusReport>) throws(Failure) -> Reply {
    let (settled, last) = try waitUntilSettled(answer, generation: watch.generation, context)
    var reply = Reply(text: text(settled) + (hasBaked ? Self.passed : ""), json: last.json)
    if settled.closedSessions { reply.exitCode = .closedSessions }
    reply.notice = last.content.noticeOfAnotherColor(than: settled.to)
    return reply
  }

  // MARK: The way back

  /// After a check has failed.
  private mutating func rollBack(_ failed: FailedCheck) throws(Failure) -> Reply {
    let problem = "the check after the switch failed: \(failed.name): \(failed.problem)"
    do throws(Failure) {
      let now = try context.status()
      guard now.content.generation == watch.generation else { return try reply(tooLate: problem, now) }
      let request = RollbackRequest(
        drain: context.arguments.value(of: Command.Options.drainWindow),
        reason: "after-check failed: \(failed.name): \(failed.problem)")
      let answer = try context.channel.post("/v1/rollback", request, StatusReport.self)
      guard answer.content.generation != watch.generation, let receipt = answer.content.lastSwitch else {
        throw Failure(exitCode: .refused, message: "there was nothing to roll back", json: answer.json)
      }
      return Reply(
        text: ReceiptText(receipt: receipt, paint: context.paint).full(heading: "rolled back"), json: answer.json,
        exitCode: .refused, notice: "\(problem); rolled back")
    } catch {
      throw Failure(
        exitCode: error.exitCode, message: "\(problem); \(watch.color) could not be taken back: \(error.message)",
        json: error.json)
    }
  }

  /// What is active now is not this release any more, so a rollback would undo something else.
  private mutating func reply(tooLate problem: String, _ now: Answer<StatusReport>) throws(Failure) -> Reply {
    let (verdict, last) = try follow(from: now, until: .inForce)
    guard case .takenBack(let receipt) = verdict else {
      throw Failure(
        exitCode: .refused, message: "generation \(now.content.generation) came after it, which is not undone",
        json: now.json)
    }
    var reply = reply(takenBack: receipt, last)
    reply.notice = "\(problem); \(reply.notice ?? "")"
    return reply
  }
}

extension StatusReport {
  /// nil where the color is active.
  func noticeOfAnotherColor(than color: Color) -> String? {
    active == color ? nil : "\(active) is active again since generation \(generation)"
  }
}

extension Failure {
  fileprivate static func lost(_ watch: ReleaseWatch, _ reason: String) -> Failure {
    let what =
      watch.receipt == nil
      ? "the ramp to \(watch.color.rawValue) has begun" : "switched (generation \(watch.generation))"
    return .unreachable("\(what), but what became of it is not known: \(reason)")
  }
}

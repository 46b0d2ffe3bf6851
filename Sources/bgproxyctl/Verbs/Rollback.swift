import Admin
import Arguments
import Switching

/// `rollback`: the way back, once.
func runRollback(_ context: Context) throws(Failure) -> Reply {
  let request = RollbackRequest(
    drain: context.arguments.value(of: Command.Options.drainWindow), reason: givenReason(context.arguments),
    force: context.arguments.has(Command.Options.forceBack) ? true : nil)
  let before = try context.status().content
  let answer = try context.channel.post("/v1/rollback", request, StatusReport.self)
  let active = context.paint(answer.content.active)
  if answer.content.generation == before.generation {
    let text =
      before.phase == .holding
      ? "the handover was given up: \(active) goes on\n" : "nothing to roll back: \(active) stays active\n"
    return Reply(text: text, json: answer.json)
  }
  guard let receipt = answer.content.lastSwitch else { throw .incomprehensible("/v1/rollback") }
  func text(_ receipt: Receipt) -> String {
    ReceiptText(receipt: receipt, paint: context.paint).full(heading: "rolled back")
  }
  guard context.waits else { return Reply(text: text(receipt), json: answer.json) }
  let (settled, last) = try waitUntilSettled(answer, generation: receipt.generation, context)
  var reply = Reply(text: text(settled), json: last.json)
  if settled.closedSessions { reply.exitCode = .closedSessions }
  reply.notice = last.content.noticeOfAnotherColor(than: settled.to)
  return reply
}

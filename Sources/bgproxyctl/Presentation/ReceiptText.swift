import Switching

/// A receipt as people read it.
struct ReceiptText {
  let receipt: Receipt
  let paint: Palette

  /// What was done, and what became of the sessions: the answer to `switch` and `rollback`.
  func full(heading: String) -> String {
    let marks = (["generation \(receipt.generation)"] + receipt.marks).joined(separator: ", ")
    var lines = ["\(paint(heading, .bold)) \(direction) (\(marks))"]
    if let cause = receipt.cause { lines.append("  cause     \(paint(SignalText.cause(cause), .red))") }
    lines.append("  flip      \(timing)")
    if receipt.heldMilliseconds > 0 {
      lines.append("  held      \(Units.microseconds(receipt.heldMilliseconds * 1000))")
    }
    if let reason = receipt.reason, !reason.isEmpty { lines.append("  reason    \(escaped(reason))") }
    lines.append("  sessions  \(outcomes)")
    return lines.map { $0 + "\n" }.joined()
  }

  var direction: String { "\(paint(receipt.from)) → \(paint(receipt.to))" }

  var timing: String {
    let flip = Units.microseconds(receipt.flipMicroseconds)
    if receipt.persisted { return "\(flip), persisted in \(Units.microseconds(receipt.persistMicroseconds))" }
    return "\(flip), " + paint("not persisted: the front door goes on trying to write its state", .yellow)
  }

  /// `40 open: 30 ended, 3 cut, 7 remaining`.
  var outcomes: String {
    if receipt.open == 0 { return "none were open" }
    let counts: [(Int, String, Paint)] = [
      (receipt.ended, "ended", .plain), (receipt.moved, "moved", .plain), (receipt.returned, "returned", .plain),
      (receipt.spread, "closed in the spread", .yellow), (receipt.cut, "cut", .red),
      (receipt.remaining, "remaining", .plain),
    ]
    let known = counts.filter { $0.0 > 0 }.map { paint("\($0.0) \($0.1)", $0.2) }.joined(separator: ", ")
    let failures = receipt.connectFailures > 0 ? "; \(receipt.connectFailures) of the ended never reached a target" : ""
    return "\(receipt.open) open: \(known)\(failures)"
  }
}

extension Receipt {
  /// The drain ended before every session had.
  var closedSessions: Bool { spread + cut > 0 }
}

/// The receipts of past switches.
enum HistoryText {
  static func text(_ receipts: [Receipt], _ paint: Palette) -> String {
    if receipts.isEmpty { return "no switch yet\n" }
    var table = TextTable([
      .number("GENERATION"), .text("WHEN (UTC)"), .text("FROM"), .text("TO"), .text("BY"), .number("FLIP"),
      .number("OPEN"), .number("ENDED"), .number("MOVED"), .number("RETURNED"), .number("SPREAD"), .number("CUT"),
      .number("LEFT"), .text("NOTES"),
    ])
    for receipt in receipts {
      table.add([
        .init(receipt.generation), .init(Timestamp.readable(receipt.at)), .init(receipt.from), .init(receipt.to),
        .init(receipt.requester), .init(Units.microseconds(receipt.flipMicroseconds)), .init(receipt.open),
        .init(receipt.ended), .init(receipt.moved), .init(receipt.returned),
        .init(receipt.spread, receipt.spread > 0 ? .yellow : .plain),
        .init(receipt.cut, receipt.cut > 0 ? .red : .plain), .init(receipt.remaining), .init(notes(receipt)),
      ])
    }
    return table.text(paint)
  }

  private static func notes(_ receipt: Receipt) -> String {
    let notes = [
      receipt.kind == .rollback ? "rollback" : "", receipt.persisted ? "" : "not persisted",
      receipt.cause.map { SignalText.cause($0) } ?? "", receipt.reason ?? "",
    ]
    return (receipt.marks + notes.filter { !$0.isEmpty }).joined(separator: ", ")
  }
}

extension Receipt {
  /// In what way it was not an ordinary one.
  var marks: [String] { [(automatic, "automatic"), (forced, "forced")].filter(\.0).map(\.1) }

  /// Who asked for it.
  var requester: String { automatic ? "bgproxy" : "uid \(by.uid) pid \(by.pid)" }
}

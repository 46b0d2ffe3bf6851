import Admin

/// What the front door says of changes: events, and what a reload did.
enum NewsText {
  static func event(_ event: EventReport, _ paint: Palette) -> String {
    "\(paint(escaped(event.at), .dim)) \(paint(escaped(event.event), .bold)) \(escaped(event.message))\n"
  }

  static func reload(_ report: ReloadReport, _ paint: Palette) -> String {
    let changes = [("added", report.added), ("removed", report.removed), ("changed", report.changed)]
    var lines = changes.filter { !$0.1.isEmpty }.map { "  \($0.0): \(list($0.1))" }
    if !report.needsRestart.isEmpty {
      lines.append("  " + paint("needs a restart", .yellow) + ": \(list(report.needsRestart))")
    }
    if lines.isEmpty { return "reloaded: nothing has changed\n" }
    return (["reloaded"] + lines).map { $0 + "\n" }.joined()
  }

  private static func list(_ names: [String]) -> String { names.map(escaped).joined(separator: ", ") }
}

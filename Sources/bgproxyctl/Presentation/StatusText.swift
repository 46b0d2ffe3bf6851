import Admin
import Switching

/// The state of the front door as people read it.
struct StatusText {
  let status: StatusReport
  let paint: Palette
  /// Seconds since 1970.
  let now: Double

  func text() -> String { [overview, signals, colors, listeners, targets].compactMap(\.self).joined(separator: "\n") }

  private var overview: String {
    let age = age(status.startedAt).map { ", up \($0)" } ?? ""
    var rows = [
      ("bgproxy", "\(escaped(status.version)), pid \(status.pid)\(age)"), ("active", active), ("phase", phase),
    ]
    // A pause, say, hides it.
    if let trial, status.phase != .ramping, status.phase != .baking { rows.append(("release", trial.line(paint))) }
    if let receipt = status.lastSwitch {
      let text = ReceiptText(receipt: receipt, paint: paint)
      let reason = receipt.reason.map { $0.isEmpty ? "" : ": \(escaped($0))" } ?? ""
      let marks = receipt.forced ? ", forced" : ""
      let what = receipt.kind == .rollback ? "rollback" : "switch"
      rows.append((what, "\(text.direction) by \(receipt.requester)\(marks)\(reason)"))
      if let cause = receipt.cause { rows.append(("", "cause " + paint(SignalText.cause(cause), .red))) }
      rows.append(("", "flip \(text.timing)"))
      rows.append(("", text.outcomes))
    }
    if status.held + status.parked > 0 {
      rows.append(("waiting", "\(Units.sessions(status.held)) held, \(status.parked) parked without a backend"))
    }
    if status.splice.bytes > 0 {
      let splice = status.splice
      rows.append(("bulk", "\(Units.bytes(splice.bytes)) through pipes, \(splice.pipes) of \(splice.limit) open"))
    }
    return rows.map { head, text in
      paint(head, .bold) + String(repeating: " ", count: 9 - head.count) + text + "\n"
    }.joined()
  }

  private var active: String {
    let since = status.switchedAt.flatMap(age).map { " for \($0)" } ?? ""
    let back = status.previous.map { "a rollback leads to \(paint($0))" } ?? "nothing to roll back"
    return "\(paint(status.active))\(since), generation \(status.generation); \(back)"
  }

  private var phase: String {
    switch status.phase {
    case .steady: "steady"
    case .paused, .holding:
      HoldText(status: status, paint: paint, now: now).map { "\(paint($0.heading, .yellow)): \($0.line)" }
        ?? status.phase.rawValue
    case .ramping, .baking: trial?.line(paint) ?? status.phase.rawValue
    case .draining, .stopping:
      [status.phase == .stopping ? paint("stopping", .yellow) : nil, drain].compactMap(\.self).joined(separator: ", ")
    }
  }

  private var trial: TrialText? { TrialText(status: status, now: now) }

  private var signals: String? {
    guard let signals = trial?.signals, !signals.isEmpty else { return nil }
    return SignalText.table(signals, paint)
  }

  private var drain: String? {
    guard let drain = status.drain else { return status.phase == .draining ? "draining" : nil }
    return DrainText(drain: drain, color: status.drainingColor, now: now).line(paint)
  }

  private func age(_ time: String) -> String? { Timestamp.seconds(time).map { Units.duration(seconds: now - $0) } }

  private var colors: String {
    var table = TextTable([
      .text("COLOR"), .text("STATE"), .text("HEALTH"), .number("SHARE"), .number("SESSIONS"), .number("DRAINING"),
      .number("IDLE"), .number("BUSY"), .number("OPAQUE"), .number("ACCEPTED"), .number("REQUESTS"), .number("FAILED"),
      .number("RESETS"), .number("IN"), .number("OUT"),
    ])
    for color in Color.allCases {
      let report = status.colors[color]
      let isActive = color == status.active
      table.add([
        .init(color), isActive ? .init("active", Paint(color)) : .init("idle", .dim), HealthText.cell(report.healthy),
        .init("\(status.share[color])%"), .init(report.sessions), .init(report.draining), .init(report.idle),
        .init(report.busy), .init(report.opaque), .init(report.accepted), .init(report.requests),
        .init(report.connectFailures, report.connectFailures > 0 ? .red : .plain), .init(report.resets),
        .init(Units.bytes(report.bytesIn)), .init(Units.bytes(report.bytesOut)),
      ])
    }
    return table.text(paint)
  }

  private var listeners: String {
    var table = TextTable([.text("LISTENER"), .text("BIND"), .text("PROTOCOL"), .text("PREVIEW")])
    for listener in status.listeners {
      table.add([
        .init(listener.name), .init(listener.bind), .init(listener.protocol), .init(listener.preview ?? "none"),
      ])
    }
    return table.text(paint)
  }

  private var targets: String {
    var table = TextTable([.text("LISTENER"), .text("COLOR"), .text("TARGET"), .text("HEALTH"), .number("SESSIONS")])
    for listener in status.listeners {
      for color in Color.allCases {
        for target in listener.targets[color] {
          table.add([
            .init(listener.name), .init(color), .init(target.address), HealthText.cell(target.healthy),
            .init(target.sessions),
          ])
        }
      }
    }
    return table.text(paint)
  }
}

import Admin
import Switching

/// The open sessions.
enum SessionsText {
  static func text(_ sessions: [SessionReport], _ paint: Palette) -> String {
    if sessions.isEmpty { return "no sessions\n" }
    var table = TextTable([
      .text("LISTENER"), .text("COLOR"), .text("STATE"), .text("CLIENT"), .text("TARGET"), .number("AGE"),
      .number("IDLE"), .number("IN"), .number("OUT"),
    ])
    for session in sessions {
      let state = session.state + (session.opaque.map { " (\($0))" } ?? "") + (session.draining ? ", draining" : "")
      table.add([
        .init(session.preview ? "\(session.listener) (preview)" : session.listener),
        session.color.map { .init($0) } ?? .init("none", .dim),
        .init(state, session.draining ? .yellow : .plain), .init(session.client), .init(session.target),
        .init(Units.duration(seconds: session.ageSeconds)),
        .init(Units.duration(seconds: session.idleSeconds)), .init(Units.bytes(session.bytesIn)),
        .init(Units.bytes(session.bytesOut)),
      ])
    }
    return table.text(paint)
  }
}

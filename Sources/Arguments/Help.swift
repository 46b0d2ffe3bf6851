extension Program {
  /// The help of the whole program.
  public func help() -> String {
    var sections = [summary + "\n", section("Usage", usage.map { "  \(name) \($0)" })]
    let built = verbs.filter(\.isBuilt)
    if !built.isEmpty { sections.append(section("Verbs", columns(built.map { ($0.synopsis, $0.summary) }))) }
    sections.append(section("Options", columns(rows(of: options))))
    if !notes.isEmpty { sections.append(notes.map { $0 + "\n" }.joined()) }
    sections.append(section(examples.count == 1 ? "Example" : "Examples", examples.map { "  \($0)" }))
    return sections.joined(separator: "\n")
  }

  /// The help of one verb.
  public func help(for verb: Verb) -> String {
    let own = rows(of: verb.options)
    var sections = [section("Usage", ["  \(name) \(verb.synopsis)\(own.isEmpty ? "" : " [OPTION]...")"])]
    sections.append(([verb.summary] + verb.details).joined(separator: "\n\n") + "\n")
    if !own.isEmpty { sections.append(section("Options", columns(own))) }
    sections.append(section("Options of every verb", columns(rows(of: options))))
    sections.append(section(verb.examples.count == 1 ? "Example" : "Examples", verb.examples.map { "  \($0)" }))
    return sections.joined(separator: "\n")
  }

  private func section(_ title: String, _ lines: [String]) -> String {
    "\(title):\n" + lines.map { $0 + "\n" }.joined()
  }

  private func rows(of options: [Option]) -> [(String, String)] {
    options.filter(\.isBuilt).map { option in
      (option.name + (option.value.map { " " + $0.placeholder } ?? ""), option.summary)
    }
  }

  private func columns(_ rows: [(String, String)]) -> [String] {
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { left, right in "  \(left)\(String(repeating: " ", count: width - left.count))  \(right)" }
  }
}

extension Verb {
  /// Its name and what it takes: `switch COLOR`.
  var synopsis: String {
    guard let positional else { return name }
    return positional.isRequired ? "\(name) \(positional.name)" : "\(name) [\(positional.name)]"
  }
}

/// A command line that its program understands. Values are valid for their kind.
public struct ParsedArguments: Sendable, Equatable {
  /// nil: the program has no verbs, or none was given.
  public internal(set) var verb: String?
  public internal(set) var positional: String?
  /// Parsing ended at `--help`; what came after it was not looked at.
  public internal(set) var wantsHelp = false
  var given: [String: [String]] = [:]

  public func has(_ option: Option) -> Bool { given[option.name] != nil }
  public func values(of option: Option) -> [String] { given[option.name] ?? [] }
  public func value(of option: Option) -> String? { given[option.name]?.last }
  public func milliseconds(of option: Option) -> Int64? { value(of: option).flatMap(parseDuration) }
  public func number(of option: Option) -> Int? { value(of: option).flatMap { Int($0) } }
}

/// A command line that its program does not understand.
public struct UsageError: Error, Equatable, CustomStringConvertible {
  public let program: String
  public let message: String
  /// The command that explains more.
  public let help: String

  public var description: String { "\(program): \(message)\nTry '\(help)'." }
}

extension Program {
  /// Reads arguments without the program's own name.
  public func parse(_ arguments: [String]) throws(UsageError) -> ParsedArguments {
    var parser = Parser(program: self, arguments: arguments[...])
    return try parser.run()
  }

  /// For combinations that the table does not describe.
  public func usageError(_ message: String, verb: String? = nil) -> UsageError {
    UsageError(program: name, message: message, help: [name, verb, "--help"].compactMap(\.self).joined(separator: " "))
  }
}

private struct Parser {
  let program: Program
  var arguments: ArraySlice<String>
  var verb: Verb?
  var parsed = ParsedArguments()

  mutating func run() throws(UsageError) -> ParsedArguments {
    // An option may come before the verb it belongs to, so the verb is found first.
    if let name = verbName() {
      verb = try find(verb: name)
      parsed.verb = name
    }
    var verbIsDue = verb != nil
    var optionsEnded = false
    while let argument = arguments.popFirst() {
      if optionsEnded || !looksLikeOption(argument) {
        if verbIsDue { verbIsDue = false } else { try take(positional: argument) }
      } else if argument == "--" {
        optionsEnded = true
      } else {
        try take(option: argument)
        if parsed.wantsHelp { return parsed }
      }
    }
    if let verb, let positional = verb.positional, positional.isRequired, parsed.positional == nil {
      throw error("\(verb.name) needs \(positional.name): \(positional.value.expectation)")
    }
    return parsed
  }

  private func looksLikeOption(_ argument: String) -> Bool { argument.hasPrefix("-") && argument != "-" }

  /// The first argument that is neither an option nor the value of one.
  private func verbName() -> String? {
    if program.verbs.isEmpty { return nil }
    let everyOption = program.options + program.verbs.flatMap(\.options)
    var rest = arguments
    while let argument = rest.popFirst() {
      if argument == "--" { return rest.first }
      if !looksLikeOption(argument) { return argument }
      if everyOption.contains(where: { $0.name == argument && $0.value != nil }) { rest = rest.dropFirst() }
    }
    return nil
  }

  private func find(verb name: String) throws(UsageError) -> Verb {
    guard let verb = program.verbs.first(where: { $0.name == name }) else {
      let known = program.verbs.filter(\.isBuilt).map(\.name)
      throw error("unknown verb '\(name)'" + didYouMean(name, among: known))
    }
    if !verb.isBuilt { throw error("\(name) is not built yet") }
    return verb
  }

  private mutating func take(positional argument: String) throws(UsageError) {
    guard let positional = verb?.positional, parsed.positional == nil else {
      throw error("unexpected argument '\(argument)'")
    }
    if let complaint = positional.value.complaint(about: argument) { throw error("\(positional.name) \(complaint)") }
    parsed.positional = argument
  }

  private mutating func take(option argument: String) throws(UsageError) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let name = argument == "-h" ? Option.help.name : String(parts[0])
    let attached = parts.count == 2 ? String(parts[1]) : nil
    let options = (verb?.options ?? []) + program.options
    guard let option = options.first(where: { $0.name == name }) else { throw unknown(option: name, among: options) }
    if !option.isBuilt { throw error("\(name) is not built yet") }
    if parsed.has(option), !option.isRepeatable { throw error("\(name) is given twice") }
    guard let value = option.value else {
      if attached != nil { throw error("\(name) takes no value") }
      parsed.given[name] = [""]
      parsed.wantsHelp = name == Option.help.name
      return
    }
    guard let text = attached ?? nextValue() else { throw error("\(name) needs a value: \(value.expectation)") }
    if let complaint = value.complaint(about: text) { throw error("\(name) \(complaint)") }
    parsed.given[name, default: []].append(text)
  }

  /// An option in the place of a value means that the value was forgotten; `--name=--value` passes one on purpose.
  private mutating func nextValue() -> String? {
    guard let next = arguments.first, !next.hasPrefix("--") else { return nil }
    arguments = arguments.dropFirst()
    return next
  }

  private func unknown(option name: String, among options: [Option]) -> UsageError {
    let owners = program.verbs.filter { $0.options.contains { $0.name == name } }
    if !owners.isEmpty, owners.allSatisfy({ $0.options.first { $0.name == name }?.isBuilt == false }) {
      return error("\(name) is not built yet")
    }
    if let verb, !owners.isEmpty {
      return error("\(name) is no option of \(verb.name), but of \(owners.map(\.name).joined(separator: ", "))")
    }
    return error("unknown option \(name)" + didYouMean(name, among: options.filter(\.isBuilt).map(\.name)))
  }

  private func didYouMean(_ word: String, among names: [String]) -> String {
    suggestion(for: word, among: names).map { "; did you mean \($0)?" } ?? ""
  }

  private func error(_ message: String) -> UsageError { program.usageError(message, verb: verb?.name) }
}

extension Value {
  /// What people are told to type.
  var expectation: String {
    switch self {
    case .text(let name), .remark(let name), .file(let name): name
    case .choice(let names, later: _): names.joined(separator: ", ")
    case .duration: "a time such as 250ms, 30s, 5m or 1h"
    case .number(let range): "a number from \(range.lowerBound) to \(range.upperBound)"
    }
  }

  /// What is wrong with a text, as the end of a sentence that begins with the name; nil where it is fine.
  func complaint(about text: String) -> String? {
    switch self {
    case .text(let name), .file(let name): return text.isEmpty ? "needs a value: \(name)" : nil
    case .remark: return nil
    case .choice(let names, let later):
      if names.contains(text) { return nil }
      if later.contains(text) { return "\(text) is not built yet" }
      let meant = suggestion(for: text, among: names).map { "; did you mean \($0)?" } ?? ""
      return "'\(text)' is not one of: \(names.joined(separator: ", "))\(meant)"
    case .duration: return parseDuration(text) == nil ? "'\(text)' is not \(expectation)" : nil
    case .number(let range):
      return Int(text).map(range.contains) == true ? nil : "'\(text)' is not \(expectation)"
    }
  }
}

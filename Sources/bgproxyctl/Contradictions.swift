import Admin
import Arguments

/// Refuses combinations of options that the table of commands does not describe.
func refuseContradictions(_ arguments: ParsedArguments) throws(UsageError) {
  typealias Options = Command.Options
  func error(_ message: String) -> UsageError { Command.program.usageError(message, verb: arguments.verb) }
  func refuse(_ first: Option, with second: Option) throws(UsageError) {
    if arguments.has(first), arguments.has(second) {
      throw error("\(first.name) and \(second.name) exclude each other")
    }
  }
  try refuse(Options.extend, with: Options.now)
  if arguments.has(Options.during), !arguments.has(Options.handover) { throw error("--during needs --handover") }
  try refuse(Options.during, with: Options.dryRun)
  try refuse(Options.ramp, with: Options.handover)
  if arguments.has(Options.ramp), arguments.has(Options.after), !arguments.has(Options.wait) {
    throw error("--after with --ramp needs --wait: the switch comes at the end of the ramp")
  }
  if let text = arguments.value(of: Options.ramp) {
    do { _ = try rampSteps(text) } catch let problem { throw error("--ramp: \(problem)") }
  }
  if let bake = arguments.value(of: Options.bake), let problem = SwitchRequest.problem(withBake: bake) {
    throw error("--bake: \(problem)")
  }
  if arguments.milliseconds(of: Options.timeout) == 0 { throw error("--timeout must be more than 0") }
}

/// What is wrong with the text of a ramp, for people.
struct RampProblem: Error, Equatable, CustomStringConvertible {
  let description: String
}

/// Reads `10%:1m,50%:1m`.
func rampSteps(_ text: String) throws(RampProblem) -> [RampStep] {
  var steps: [RampStep] = []
  for (index, part) in text.split(separator: ",", omittingEmptySubsequences: false).enumerated() {
    let halves = part.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    // Int would take a sign as well.
    guard halves.count == 2, halves[0].hasSuffix("%"),
      halves[0].dropLast().utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
      let percent = Int(halves[0].dropLast())
    else {
      throw RampProblem(
        description: "step \(index + 1): '\(escaped(String(part)))' is no share and time such as 10%:1m")
    }
    steps.append(RampStep(percent: percent, time: String(halves[1])))
  }
  if let problem = RampStep.problem(with: steps) { throw RampProblem(description: problem) }
  return steps
}

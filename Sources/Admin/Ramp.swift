import Arguments
import Switching

/// What a ramp may be: the same for who asks for one and for who is asked.
extension RampStep {
  /// Milliseconds that a step may last.
  private static let times: ClosedRange<Int64> = 100...Trial.longestStage

  /// What is wrong with the steps of a ramp, for people; nil where they are fine.
  public static func problem(with steps: [RampStep]) -> String? {
    guard (1...Trial.mostSteps).contains(steps.count) else {
      return "expected 1 to \(Trial.mostSteps) steps, found \(steps.count)"
    }
    var before = 0
    for (index, step) in steps.enumerated() {
      let place = "step \(index + 1)"
      guard (1...99).contains(step.percent) else {
        return "\(place): percent: expected a whole number from 1 to 99, found \(step.percent)"
      }
      guard step.percent > before else {
        return "\(place): percent: expected more than the \(before) of the step before, found \(step.percent)"
      }
      guard let time = parseDuration(step.time), times.contains(time) else {
        return "\(place): time: expected a duration from 100ms to 24h, found \(quoted(step.time))"
      }
      before = step.percent
    }
    return nil
  }
}

extension SwitchRequest {
  /// What is wrong with the time of a bake, for people; nil where it is fine.
  public static func problem(withBake time: String) -> String? {
    if let milliseconds = parseDuration(time), milliseconds <= Trial.longestStage { return nil }
    return "expected a duration up to 24h such as 60s, found \(quoted(time))"
  }
}

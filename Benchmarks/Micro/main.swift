import AllocationCount
import Glibc

/// Small parts of the hot path, each by itself: how long one operation takes, and that none of them allocates.
private let help = """
  Usage: swift run -c release MicroBenchmarks [--check] [FILTER]

  Measures the framing of HTTP, the slab, the timers and the mailbox: nanoseconds per operation (median, least and most
  of several repetitions), and the allocations of all repetitions together, which have to be 0. FILTER is a part of the
  names of those that are wanted.

    --check   short, and without times: only counts

  Exit codes: 0; 1 where something allocates, or the controls, which allocate on purpose, are not seen to; 2 for usage;
  3 for a build in which this says nothing (debug, or with a sanitizer).

  """

private enum Layout {
  static let name = 28
  static let number = 12
}

private func padded(_ text: String, _ width: Int) -> String {
  String(repeating: " ", count: max(0, width - text.count)) + text
}

private func row(_ name: String, _ columns: [String]) {
  print(
    name + String(repeating: " ", count: max(0, Layout.name - name.count))
      + columns.map { padded($0, Layout.number) }.joined())
}

private func decimal(_ tenths: UInt64) -> String { "\(tenths / 10).\(tenths % 10)" }

private func run(check: Bool, filter: String?) -> Int32 {
  let wanted = (framingBenchmarks + eventBenchmarks).filter { filter.map($0.name.contains) ?? true }
  if wanted.isEmpty {
    print("no benchmark has \(filter ?? "") in its name")
    return 2
  }
  var complaints: [String] = []
  row("", (check ? [] : ["ns median", "least", "most"]) + ["operations", "allocations"])
  for benchmark in controls + wanted {
    do {
      let result = try benchmark.measure(check ? .check : .full)
      let times = check ? [] : [result.median, result.least, result.most].map(decimal)
      row(benchmark.name, times + ["\(result.operations)", "\(result.allocations)"])
      if let complaint = benchmark.complaint(result) { complaints.append("\(benchmark.name): \(complaint)") }
    } catch {
      complaints.append("\(benchmark.name): \(error)")
    }
  }
  for complaint in complaints { print("FAILED \(complaint)") }
  print("\(wanted.count) benchmarks, \(controls.count) controls, \(complaints.count) failed")
  return complaints.isEmpty ? 0 : 1
}

private func main() -> Int32 {
  var check = false
  var filter: String?
  for argument in CommandLine.arguments.dropFirst() {
    switch argument {
    case "--check": check = true
    case "--help", "-h":
      print(help, terminator: "")
      return 0
    case _ where argument.hasPrefix("-") || filter != nil:
      print("MicroBenchmarks: unexpected argument \(argument)\n\n\(help)", terminator: "")
      return 2
    default: filter = argument
    }
  }
  var isDebug = false
  assert(
    {
      isDebug = true
      return true
    }())
  // Without the optimizer much is allocated that is not in what people run; a sanitizer has a malloc(3) of its own.
  if isDebug || !allocation_is_counted() {
    print("MicroBenchmarks: needs a release build without a sanitizer: swift run -c release MicroBenchmarks")
    return 3
  }
  return run(check: check, filter: filter)
}

exit(main())

import LinuxIO
import Relay
import Switching
import Testing

@testable import FrontDoor

@Suite struct TrafficRecordTests {
  private let start = Instant(nanoseconds: 1_000_000_000)

  private func report(_ requests: UInt64) -> WorkerReport {
    var report = WorkerReport.empty
    report.counters[Int(Account.green.rawValue)].requests = requests
    report.counters[Int(Account.preview.rawValue)].requests = 1_000_000
    return report
  }

  @Test func aSample_isWhatHasComeSinceTheOneBefore() {
    var record = TrafficRecord()
    for (step, requests) in [10, 25, 25, 125].enumerated() {
      record.add(report(UInt64(requests)), at: start.advanced(milliseconds: Int64(step) * 2000))
    }
    let samples = record.report(milliseconds: 60_000, events: [], at: start.advanced(milliseconds: 6000)).samples
    #expect(samples.map(\.colors.green.requests) == [15, 0, 100])
    #expect(samples.map(\.colors.blue.requests) == [0, 0, 0])
    #expect(samples.map(\.seconds) == [2, 2, 2])
  }

  @Test func aReport_goesBackAsFarAsWasAsked_andTenMinutesAtMost() {
    var record = TrafficRecord()
    for step in 0...1000 { record.add(report(UInt64(step)), at: start.advanced(milliseconds: Int64(step) * 2000)) }
    let now = start.advanced(milliseconds: 2_000_000)
    #expect(record.report(milliseconds: 10_000, events: [], at: now).samples.count == 6)
    #expect(record.report(milliseconds: .max, events: [], at: now).samples.count == 300)
    #expect(record.report(milliseconds: 0, events: [], at: now).samples.count == 1)
  }

  @Test func quantiles_areOfTheLastTenSeconds() {
    var record = TrafficRecord()
    var report = WorkerReport.empty
    report.firstByte.blue.add(microseconds: 100)
    record.add(report, at: start)
    for step in 1...10 {
      if step == 2 { report.firstByteOfSessions.blue.add(microseconds: 50_000) }
      record.add(report, at: start.advanced(milliseconds: Int64(step) * 2000))
    }
    let samples = record.report(milliseconds: 60_000, events: [], at: start.advanced(milliseconds: 20_000)).samples
    #expect(samples.map { $0.colors.blue.p99Microseconds != nil } == (1...10).map { (2...6).contains($0) })
    #expect((samples[1].colors.blue.p50Microseconds ?? 0) >= 50_000)
  }
}

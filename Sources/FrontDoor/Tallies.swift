import Relay
import Switching
import Telemetry

/// What the control thread counts for the metrics, from its start on.
struct Tallies: Sendable {
  enum LimitKind: String, CaseIterable, Sendable { case sessions, descriptors, ports, source }

  private(set) var switches: [Receipt.Kind: ByColor<UInt64>] = [:]
  /// The store of the active word, its confirmation by all workers, and the time on disk, of each switch.
  private(set) var flips = LatencyHistogram()
  private(set) var confirmations = LatencyHistogram()
  private(set) var writes = LatencyHistogram()
  /// How long the traffic was held, of each handover.
  private(set) var holds = LatencyHistogram()
  /// From the store to the moment at which every session that was open then is accounted for.
  private(set) var drains = LatencyHistogram()
  /// What became of these sessions.
  private(set) var left = SwitchOutcomes()
  private(set) var limits: [LimitKind: UInt64] = [:]
  var handoversGivenUp: UInt64 = 0
  var reloads: UInt64 = 0
  var reloadsRefused: UInt64 = 0
  var readersDropped: UInt64 = 0

  struct SwitchOutcomes: Sendable {
    var ended = 0
    var moved = 0
    var returned = 0
    var spread = 0
    var cut = 0
  }

  mutating func count(_ receipt: Receipt) {
    switches[receipt.kind ?? .switch, default: ByColor(both: 0)][receipt.to] += 1
    flips.add(microseconds: UInt64(max(0, receipt.flipMicroseconds)))
    confirmations.add(microseconds: UInt64(max(0, receipt.confirmMicroseconds)))
    writes.add(microseconds: UInt64(max(0, receipt.persistMicroseconds)))
    if receipt.heldMilliseconds > 0 { holds.add(microseconds: UInt64(receipt.heldMilliseconds) * 1000) }
  }

  mutating func count(settled receipt: Receipt, microseconds: Int64) {
    drains.add(microseconds: UInt64(max(0, microseconds)))
    left.ended += receipt.ended
    left.moved += receipt.moved
    left.returned += receipt.returned
    left.spread += receipt.spread
    left.cut += receipt.cut
  }

  mutating func count(_ limit: WorkerNews.Limit) {
    let kind: LimitKind =
      switch limit {
      case .sessions: .sessions
      case .descriptors: .descriptors
      case .ports: .ports
      case .source: .source
      }
    limits[kind, default: 0] += 1
  }
}

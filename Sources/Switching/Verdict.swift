/// What was counted of one color over some time.
public struct Figures: Codable, Equatable, Sendable {
  /// Sessions that looked for a backend, and those that found none.
  public var connects: UInt64 = 0
  public var connectFailures: UInt64 = 0
  /// What the backend was given to do: sessions of protocol tcp, requests of protocol http.
  public var begun: UInt64 = 0
  /// Of these, what it broke off before the first byte of its answer.
  public var resets: UInt64 = 0
  /// Protocol http, final answers, and those with a status of 500 or more.
  public var answers: UInt64 = 0
  public var serverErrors: UInt64 = 0
  /// Protocol http, times to the first byte, those that are still to come and late already included.
  public var firstBytes: UInt64 = 0
  public var lateFirstBytes: UInt64 = 0

  public init() {}
}

/// What the old color was like just before a release.
public struct Baseline: Codable, Equatable, Sendable {
  public var figures: Figures
  /// The 90th percentile of the time to the first byte, in microseconds; nil where too few were seen.
  @Nullable public var firstByte: UInt64?
  /// The share of requests whose first byte was late and still to come: clients that poll, say. 0 to 1.
  public var waiting: Double

  public init(figures: Figures = Figures(), firstByte: UInt64? = nil, waiting: Double = 0) {
    self.figures = figures
    self.waiting = waiting
    self.firstByte = firstByte
  }

  var isSound: Bool { (firstByte ?? 0) < 1 << 50 && (0...1).contains(waiting) }
}

/// What is watched during a bake or a ramp.
public enum Signal: String, Codable, Sendable, CaseIterable {
  /// Listeners without a healthy target of the color.
  case health
  case connectFailures, resets, serverErrors, firstByte

  /// Whether a client can bring it about by what it sends.
  public var isOfClients: Bool {
    switch self {
    case .health, .connectFailures: false
    case .resets, .serverErrors, .firstByte: true
    }
  }
}

/// Where a release is taken back. A nil: the signal is not watched.
public struct Limits: Equatable, Sendable {
  /// Shares, from 0 to 1, by which the new color may be worse than the old one.
  public var connectFailures: Double?
  public var resets: Double?
  public var serverErrors: Double?
  /// How many times the old color's 90th percentile a first byte may take before it is late. One answer in ten may be.
  public var firstByte: Double?
  /// Client addresses from which a signal that clients can cause must come.
  public var minimumClients: Int
  /// What a share must be of before it counts.
  public var minimumSamples: UInt64

  public init(
    connectFailures: Double?, resets: Double?, serverErrors: Double?, firstByte: Double?, minimumClients: Int,
    minimumSamples: UInt64
  ) {
    (self.connectFailures, self.resets, self.serverErrors) = (connectFailures, resets, serverErrors)
    (self.firstByte, self.minimumClients, self.minimumSamples) = (firstByte, minimumClients, minimumSamples)
  }

  /// The share of first bytes that is late by definition: above the 90th percentile.
  static let lateShare = 0.1
  /// What a share must be of at least, where it is all of it.
  static let fewestSamples: UInt64 = 5
  /// Microseconds before which no first byte counts as late, however fast the old color was: caches are cold.
  public static let leastLateness: UInt64 = 100_000

  /// Microseconds after which a first byte is late; nil: it is not known what is late.
  public func lateness(after baseline: Baseline) -> UInt64? {
    guard let firstByte, let usual = baseline.firstByte else { return nil }
    return max(Self.leastLateness, UInt64(min(Double(usual) * firstByte, 1e12)))
  }
}

/// One signal at one moment.
public struct Reading: Equatable, Sendable {
  public let signal: Signal
  public let value: Double
  public let limit: Double
  public let samples: UInt64
  /// nil: clients cannot cause it.
  public let clients: Int?
  /// The release is to be taken back.
  public let isCrossed: Bool
}

/// The judgment of a release: each signal's value beside its limit, in the order in which they count.
public func readings(
  of figures: Figures, since baseline: Baseline, clients: (Signal) -> Int, deadListeners: Int, limits: Limits
) -> [Reading] {
  var readings = [
    Reading(
      signal: .health, value: Double(deadListeners), limit: 0, samples: 0, clients: nil, isCrossed: deadListeners > 0)
  ]
  func add(_ signal: Signal, _ part: UInt64, of whole: UInt64, limit: Double) {
    let value = share(part, of: whole)
    let addresses = signal.isOfClients ? clients(signal) : nil
    // Few count where all of them went wrong: clients that wait for an answer which does not come ask no more.
    let isEnough = whole >= limits.minimumSamples || part == whole && whole >= Limits.fewestSamples
    let counts = isEnough && addresses ?? .max >= limits.minimumClients
    readings.append(
      Reading(
        signal: signal, value: value, limit: limit, samples: whole, clients: addresses,
        isCrossed: counts && value > limit))
  }
  let old = baseline.figures
  // Two answers are no measure.
  func usual(_ part: UInt64, of whole: UInt64) -> Double {
    whole >= limits.minimumSamples ? share(part, of: whole) : 0
  }
  if let limit = limits.connectFailures {
    add(
      .connectFailures, figures.connectFailures, of: figures.connects,
      limit: limit + usual(old.connectFailures, of: old.connects))
  }
  if let limit = limits.resets {
    add(.resets, figures.resets, of: figures.begun, limit: limit + usual(old.resets, of: old.begun))
  }
  if let limit = limits.serverErrors {
    add(
      .serverErrors, figures.serverErrors, of: figures.answers,
      limit: limit + usual(old.serverErrors, of: old.answers))
  }
  if limits.lateness(after: baseline) != nil {
    add(.firstByte, figures.lateFirstBytes, of: figures.firstBytes, limit: Limits.lateShare + baseline.waiting)
  }
  return readings
}

/// 0 where there is nothing.
private func share(_ part: UInt64, of whole: UInt64) -> Double {
  whole == 0 ? 0 : min(1, Double(part) / Double(whole))
}

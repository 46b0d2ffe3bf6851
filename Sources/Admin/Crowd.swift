/// The clients of a server, when another one comes: whether there is room, and who has to go.
///
/// One client is what an address stands for, however many connections it opens. It cannot shut out others: it has a limit of its
/// own, and where the server is full, whoever has the most loses one.
struct Crowd {
  struct Member {
    var serial: UInt64
    var client: UInt32
    var burden: HTTPConnection.Burden
  }

  enum Verdict: Equatable {
    case fits
    /// In the place of this one.
    case instead(of: UInt64)
    case noRoom
  }

  var members: [Member]
  /// Of connections: of all clients, and of one.
  var limit: Int
  var limitOfOne: Int

  /// Those who wait for their client go first, then streams, then answers that are under way; of these, the oldest. A
  /// request that is being worked on is given up only by a client that has at least two more than the new one.
  func verdict(on client: UInt32) -> Verdict {
    let own = members.count { $0.client == client }
    if own >= limitOfOne { return leaving(of: [client], mayDropWork: false) }
    guard members.count >= limit else { return .fits }
    let counts = members.reduce(into: [UInt32: Int]()) { $0[$1.client, default: 0] += 1 }
    let most = counts.values.max() ?? 0
    return leaving(of: Set(counts.filter { $0.value == most }.keys), mayDropWork: most >= own + 2)
  }

  private func leaving(of clients: Set<UInt32>, mayDropWork: Bool) -> Verdict {
    for burden in [HTTPConnection.Burden.waits, .streams, .answers] + (mayDropWork ? [.works] : []) {
      let oldest = members.filter { $0.burden == burden && clients.contains($0.client) }.map(\.serial).min()
      if let oldest { return .instead(of: oldest) }
    }
    return .noRoom
  }
}

import Testing

@testable import Admin

/// SplitMix64.
private struct Numbers: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}

@Suite struct CrowdTests {
  /// The serials are the places in the list.
  private func crowd(
    _ members: [(client: UInt32, burden: HTTPConnection.Burden)], limit: Int = 4, limitOfOne: Int = .max
  ) -> Crowd {
    Crowd(
      members: members.enumerated().map { Crowd.Member(serial: UInt64($0), client: $1.client, burden: $1.burden) },
      limit: limit, limitOfOne: limitOfOne)
  }

  @Test func whereThereIsRoom_nobodyGoes() {
    #expect(crowd([]).verdict(on: 1) == .fits)
    #expect(crowd([(1, .waits), (1, .works), (2, .waits)]).verdict(on: 1) == .fits)
  }

  @Test(
    arguments: [
      ([.works, .answers, .streams, .waits], 3), ([.works, .answers, .streams, .works], 2),
      ([.works, .works, .answers, .answers], 2), ([.waits, .waits, .waits, .waits], 0),
    ] as [([HTTPConnection.Burden], UInt64)])
  func whoeverLosesLeastGoes_andTheOldestOfThem(_ burdens: [HTTPConnection.Burden], _ serial: UInt64) {
    // All behind one address, as on a Unix socket.
    #expect(crowd(burdens.map { (0, $0) }).verdict(on: 0) == .instead(of: serial))
  }

  @Test func whatIsWorkedOnIsNotGivenUpForTheSameClient_norForOneThatHasAsMany() {
    #expect(crowd([(1, .works), (1, .works), (1, .works), (1, .works)]).verdict(on: 1) == .noRoom)
    #expect(crowd([(1, .works), (1, .works), (2, .works), (2, .works)]).verdict(on: 1) == .noRoom)
    #expect(crowd([(1, .works), (2, .works), (3, .works), (4, .works)]).verdict(on: 5) == .noRoom)
  }

  @Test func whoeverHasTheMostLosesOne_evenOneThatIsWorkedOn() {
    #expect(crowd([(2, .waits), (1, .works), (1, .works), (1, .works)]).verdict(on: 2) == .instead(of: 1))
    #expect(crowd([(2, .waits), (1, .works), (1, .answers), (1, .works)]).verdict(on: 3) == .instead(of: 2))
    // Its own: the other has only one.
    #expect(crowd([(2, .waits), (1, .works), (1, .works), (1, .streams)]).verdict(on: 1) == .instead(of: 3))
  }

  @Test func aClientAtItsLimitGivesUpOneOfItsOwn() {
    let members: [(UInt32, HTTPConnection.Burden)] = [(2, .waits), (1, .works), (1, .streams)]
    #expect(crowd(members, limit: 10, limitOfOne: 2).verdict(on: 1) == .instead(of: 2))
    #expect(crowd(members, limit: 10, limitOfOne: 2).verdict(on: 2) == .fits)
    #expect(crowd([(1, .works), (1, .works)], limit: 10, limitOfOne: 2).verdict(on: 1) == .noRoom)
  }

  /// Whoever comes and goes, and however many: a client that has fewer than its share gets in.
  @Test(arguments: 0..<20)
  func nobodyIsShutOut(_ seed: UInt64) {
    var random = Numbers(state: seed)
    var crowd = crowd([], limit: 8, limitOfOne: 6)
    var serial: UInt64 = 0
    func arrival(of client: UInt32, _ burden: HTTPConnection.Burden) -> Crowd.Verdict {
      let verdict = crowd.verdict(on: client)
      if case .instead(let victim) = verdict { crowd.members.removeAll { $0.serial == victim } }
      if verdict != .noRoom {
        serial += 1
        crowd.members.append(Crowd.Member(serial: serial, client: client, burden: burden))
      }
      return verdict
    }
    for _ in 0..<1000 {
      let burden: HTTPConnection.Burden = Bool.random(using: &random) ? .works : .waits
      _ = arrival(of: UInt32.random(in: 1...3, using: &random), burden)
      #expect(crowd.members.count <= 8)
      if Bool.random(using: &random) { crowd.members.removeAll { $0.client == 9 } }
      let own = crowd.members.count { $0.client == 9 }
      #expect(own > 1 || arrival(of: 9, .works) != .noRoom)
      #expect(crowd.members.count { $0.client == 9 } > 0)
    }
  }
}

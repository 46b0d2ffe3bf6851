import Testing

@testable import EventCore

@Suite struct SlabTests {
  private final class Count {
    var destroyed: [Int: Int] = [:]
    var total: Int { destroyed.values.reduce(0, +) }
  }

  private struct Counted: ~Copyable {
    let id: Int
    let count: Count
    deinit { count.destroyed[id, default: 0] += 1 }
  }

  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func slab_behavesLikeADictionary_whateverTheOrder(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    // Around the size of a chunk, where its arithmetic could go wrong.
    let capacity = [1, 2, 255, 256, 257, 700].randomElement(using: &random)!
    var slab = Slab<Int>(capacity: capacity)
    var model: [Token: Int] = [:]
    var stale: [Token] = []
    for step in 0..<4000 {
      // In turns rather filling or rather emptying, so that both ends are reached.
      let isFilling = step / 1000 % 2 == 0
      if Int.random(in: 0..<10, using: &random) < (isFilling ? 7 : 3) {
        let token = slab.insert(step)
        #expect((token == nil) == (model.count == capacity))
        if let token {
          #expect(model.updateValue(step, forKey: token) == nil)
          #expect(!stale.contains(token))
        }
      } else if let (token, value) = model.pick(using: &random) {
        if Bool.random(using: &random) {
          slab[token] = value + 1
          model[token] = value + 1
        } else {
          let removed = slab.remove(token)
          #expect(removed == value)
          model[token] = nil
          stale.append(token)
        }
      }
      try #require(slab.count == model.count)
      if let (token, value) = model.pick(using: &random) {
        try #require(slab.contains(token) == true)
        try #require(slab[token] == value)
        try #require(slab.token(at: token.slot) == token)
      }
      if let token = stale.randomElement(using: &random) { try #require(slab.contains(token) == false) }
    }
    let all = (0..<slab.highWater).compactMap { slab.token(at: $0) }
    #expect(Set(all) == Set(model.keys))
    #expect(slab.token(at: -1) == nil)
    #expect(slab.token(at: slab.highWater) == nil)
  }

  @Test func insert_answersNilAndDestroys_whenFull() throws {
    let count = Count()
    var slab = Slab<Counted>(capacity: 1)
    let token = slab.insert(Counted(id: 1, count: count))
    #expect(token != nil)
    let refused = slab.insert(Counted(id: 2, count: count))
    #expect(refused == nil)
    #expect(count.destroyed == [2: 1])
    #expect(slab.count == 1)
  }

  @Test func element_isDestroyedOnce_whenRemovedOrLeftBehind() throws {
    let count = Count()
    do {
      var slab = Slab<Counted>(capacity: 1000)
      var tokens: [Token] = []
      for id in 0..<600 { tokens.append(try slab.add(Counted(id: id, count: count))) }
      #expect(count.total == 0)
      for id in stride(from: 0, to: 600, by: 3) { _ = slab.remove(tokens[id]) }
      #expect(count.total == 200)
      for id in 600..<700 { _ = slab.insert(Counted(id: id, count: count)) }
      slab[tokens[1]] = Counted(id: 700, count: count)
      #expect(count.destroyed[1] == 1, "what is assigned over is destroyed")
    }
    #expect(count.destroyed.count == 701)
    #expect(count.destroyed.values.allSatisfy { $0 == 1 })
  }

  @Test func element_staysWhereItIs_whenOthersComeAndGo() throws {
    var slab = Slab<Int>(capacity: 2000)
    let token = try slab.add(1)
    let place = unsafe UInt(bitPattern: slab.element(token.slot))
    for number in 0..<1500 { _ = slab.insert(number) }
    #expect(unsafe UInt(bitPattern: slab.element(token.slot)) == place)
    #expect(slab[token] == 1)
  }

  /// After 2³¹ uses of a slot its generations begin anew. Occupied must stay odd and free even across that, or a free
  /// slot would look occupied.
  @Test func generation_staysOddWhileOccupied_whenItWraps() throws {
    var slab = Slab<Int>(capacity: 1)
    let first = try slab.add(1)
    _ = slab.remove(first)
    unsafe slab.slots[0].generation = .max - 1
    let last = try slab.add(2)
    #expect(last.generation == .max)
    #expect(slab.contains(last) == true)
    #expect(slab.token(at: 0) == last)
    let removed = slab.remove(last)
    #expect(removed == 2)
    #expect(slab.token(at: 0) == nil)
    #expect(slab.contains(Token(slot: 0, generation: 0)) == false, "a free slot is in nobody's use")
    #expect(slab.contains(last) == false)
    let wrapped = try slab.add(3)
    #expect(wrapped.generation == 1)
    #expect(slab[wrapped] == 3)
  }

  @Test func contains_isFalse_whenTheSlotWasNeverUsed() {
    let slab = Slab<Int>(capacity: 4)
    #expect(slab.contains(Token(slot: 0, generation: 1)) == false)
    #expect(slab.contains(Token(slot: 1000, generation: 1)) == false)
    #expect(slab.contains(Token(rawValue: .max)) == false)
    #expect(slab.token(at: 0) == nil)
  }
}

import AllocationCount

/// They allocate on purpose, in the ways in which Swift does: if these are not counted, a count of 0 says nothing.
let controls = [
  Benchmark("control/object", promise: .everyOperation) {
    let shelf = Shelf()
    return { count in
      for number in 0..<count { shelf.object = Parcel(number) }
      return count
    }
  },
  Benchmark("control/array", promise: .everyOperation) {
    let shelf = Shelf()
    return { count in
      for number in 0..<count { shelf.array = [number] }
      return count
    }
  },
  Benchmark("control/aligned", promise: .everyOperation) {
    { count in
      for _ in 0..<count {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 64)
        blackHole(UInt(bitPattern: memory))
        unsafe memory.deallocate()
      }
      return count
    }
  },
]

private final class Parcel {
  let number: Int
  init(_ number: Int) { self.number = number }
}

/// What is put here has left the function that made it, so that it cannot live on its stack.
private final class Shelf {
  var object: Parcel?
  var array: [Int] = []
}

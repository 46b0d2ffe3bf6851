/// The candidate that was probably meant by a word that is none of them; nil where none is near.
public func suggestion(for word: String, among candidates: [String]) -> String? {
  let near =
    candidates
    .map { (name: $0, distance: editDistance(word, $0)) }
    .filter { $0.distance <= max(1, $0.name.count / 3) }
    .min { $0.distance < $1.distance }
  if let near { return near.name }
  let completions = candidates.filter { $0.hasPrefix(word) }
  return completions.count == 1 && word.contains { $0 != "-" } ? completions[0] : nil
}

/// How many letters must be inserted, left out, replaced or swapped with their neighbor (optimal string alignment).
/// Words whose lengths are far apart are not compared: an argument can be long.
private func editDistance(_ first: String, _ second: String) -> Int {
  let a = Array(first.utf8)
  let b = Array(second.utf8)
  if abs(a.count - b.count) > 3 { return .max }
  var beforeLast: [Int] = []
  var last = Array(0...b.count)
  for i in a.indices {
    var row = [i + 1]
    for j in b.indices {
      var best = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforeLast[j - 1] + 1) }
      row.append(best)
    }
    beforeLast = last
    last = row
  }
  return last[b.count]
}

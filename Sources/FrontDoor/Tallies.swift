/// What the control thread counts for the metrics.
struct Tallies {
  var readersDropped: UInt64 = 0
}

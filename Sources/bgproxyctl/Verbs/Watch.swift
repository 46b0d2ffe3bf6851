import Admin

/// `watch`: events as they happen, until the front door ends or nobody reads them any more.
func runWatch(asJSON: Bool, _ context: Context, write: (String) throws(Failure) -> Bool) throws(Failure) {
  try context.channel.stream("/v1/events") { line throws(Failure) in
    if asJSON { return try write(escapedJSON(line) + "\n") }
    guard let event = try? AdminJSON.decode(EventReport.self, from: Array(line.utf8)) else {
      return try write(escaped(line) + "\n")
    }
    return try write(NewsText.event(event, context.paint))
  }
}

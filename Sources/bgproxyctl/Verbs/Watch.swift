import Admin

/// `watch`: events as they happen, until the front door stops or nobody reads them any more. An end that the front door
/// did not announce is a failure: a script must not take a crash for a stop.
func runWatch(asJSON: Bool, _ context: Context, write: (String) throws(Failure) -> Bool) throws(Failure) {
  var isExpected = false
  try context.channel.stream("/v1/events") { line throws(Failure) in
    let event = try? AdminJSON.decode(EventReport.self, from: Array(line.utf8))
    if event?.event == EventReport.stopping { isExpected = true }
    let text: String
    if let event, !asJSON {
      text = NewsText.event(event, context.paint)
    } else {
      text = (asJSON ? escapedJSON(line) : escaped(line)) + "\n"
    }
    let isRead = try write(text)
    if !isRead { isExpected = true }
    return isRead
  }
  if !isExpected {
    throw .unreachable(
      "the events have ended, and not by a stop: the front door was killed, or has dropped this reader")
  }
}

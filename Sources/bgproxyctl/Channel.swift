import Admin

/// The admin channel of a front door.
protocol Channel {
  /// The user of the front door that gave the last answer; nil where that is not known.
  var peerUser: UInt32? { get }
  /// The body of an answer that is a success.
  func call(
    _ method: String, _ path: String, _ body: [UInt8], _ manner: AdminClient.Manner
  ) throws(Failure) -> [UInt8]
  /// Hands over each line of an endless answer until the front door ends it or `take` answers false.
  func stream(_ path: String, _ take: (String) throws(Failure) -> Bool) throws(Failure)
}

/// An answer, as it came and as it is understood.
struct Answer<Content: Decodable> {
  let json: [UInt8]
  let content: Content
}

extension Channel {
  func get<Content: Decodable>(
    _ path: String, _ content: Content.Type, _ manner: AdminClient.Manner = .prompt
  ) throws(Failure) -> Answer<Content> {
    try understand(try call("GET", path, [], manner), path)
  }

  func post<Content: Decodable>(
    _ path: String, _ body: some Encodable, _ content: Content.Type, _ manner: AdminClient.Manner = .prompt
  ) throws(Failure) -> Answer<Content> {
    guard let json = try? AdminJSON.line(body) else { throw .incomprehensible(path) }
    return try understand(try call("POST", path, json, manner), path)
  }

  private func understand<Content: Decodable>(_ json: [UInt8], _ path: String) throws(Failure) -> Answer<Content> {
    guard let content = try? AdminJSON.decode(Content.self, from: json) else { throw .incomprehensible(path) }
    return Answer(json: json, content: content)
  }
}

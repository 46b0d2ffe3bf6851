public import LinuxIO

/// Where traffic arrives or goes to: `host:port`, `[v6]:port`, `:port` or `unix:/path`.
public enum Address: Hashable, Sendable, CustomStringConvertible {
  /// A name, an IPv4 or an IPv6 address (without brackets, with its zone where it has one).
  case host(String, port: UInt16)
  /// All addresses of this machine, both families; only for listening.
  case wildcard(port: UInt16)
  /// An absolute path of at most 107 bytes (unix(7)).
  case local(path: String)

  public enum Use: Sendable {
    /// Port 0 lets the kernel choose, and `:port` takes all addresses of this machine.
    case listening
    /// The address of a target: port 1 to 65535, and somebody's.
    case connecting
  }

  /// What is wrong with the text of an address, for people: `expected …, found …`.
  public struct ParseFailure: Error, Equatable, CustomStringConvertible {
    public let description: String
  }

  /// Reads an address without asking a name server.
  public init(_ text: String, for use: Use) throws(ParseFailure) {
    func failure(_ expected: String) -> ParseFailure {
      ParseFailure(description: "expected \(expected), found \(quoted(text))")
    }
    if text.hasPrefix("unix:") {
      let path = String(text.dropFirst("unix:".count))
      if let problem = pathProblem(path, longest: longestSocketPath) { throw failure("unix: and \(problem)") }
      self = .local(path: path)
      return
    }
    let forms =
      use == .listening
      ? "host:port, [v6]:port, :port or unix:/path" : "host:port, [v6]:port or unix:/path"
    guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else { throw failure(forms) }
    let host = String(text[..<colon])
    let digits = text[text.utf8.index(after: colon)...]
    let ports = use == .listening ? 0...65535 : 1...65535
    let isBracketed = host.hasPrefix("[")
    guard isBracketed ? host.hasSuffix("]") : !host.utf8.contains(UInt8(ascii: ":")) else { throw failure(forms) }
    guard digits.utf8.allSatisfy(isDigit), let number = Int(digits), ports.contains(number),
      let port = UInt16(exactly: number)
    else { throw failure("a port from \(ports.lowerBound) to \(ports.upperBound)") }
    if host.isEmpty {
      guard use == .listening else { throw failure(forms) }
      self = .wildcard(port: port)
    } else if isBracketed {
      let inner = String(host.dropFirst().dropLast())
      guard isIPv6(inner) else { throw failure("an IPv6 address between the brackets") }
      self = .host(inner, port: port)
    } else {
      guard isHostName(host) else { throw failure("a host name or an IPv4 address before the port") }
      self = .host(host, port: port)
    }
  }

  /// The text that `init` reads.
  public var description: String {
    switch self {
    case .host(let host, let port): host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .wildcard(let port): ":\(port)"
    case .local(let path): "unix:\(path)"
    }
  }

  /// The addresses behind it, at least one. May wait for a name server.
  ///
  /// A wildcard is both families, IPv6 first; to listen there, the caller takes the first that the system has.
  public func resolve() throws(ResolutionFailure) -> [SocketAddress] {
    switch self {
    case .host(let host, let port):
      return try SocketAddress.resolve(host: host, port: port)
    case .wildcard(let port):
      let both = SocketAddress.wildcard(port: port)
      return [both.ipv6, both.ipv4]
    case .local(let path):
      do { return [try SocketAddress(path: path)] } catch {
        throw ResolutionFailure(host: description, reason: "\(error)")
      }
    }
  }

  /// Whether both cannot be listened at together, as far as the texts tell.
  func collides(with other: Address) -> Bool {
    switch (self, other) {
    case (.host(_, let a), .wildcard(let b)), (.wildcard(let a), .host(_, let b)), (.wildcard(let a), .wildcard(let b)):
      a == b && a != 0
    case (.host(_, let port), .host): self == other && port != 0
    case (.local, _), (_, .local): self == other
    }
  }
}

extension Address: Encodable {
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// sun_path holds 108 bytes with the closing NUL: unix(7).
let longestSocketPath = 107

/// What a path would have to be, where it is not; nil where it is fine.
func pathProblem(_ path: String, longest: Int) -> String? {
  guard path.hasPrefix("/"), !path.hasSuffix("/"), path.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
    return "the absolute path of a file"
  }
  return path.utf8.count <= longest ? nil : "a path of at most \(longest) bytes"
}

func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

/// Words between dots, at most 253 bytes. What consists of digits and dots has to be an IPv4 address in its usual
/// form: getaddrinfo(3) would read `10.1` as 10.0.0.1 and `010.0.0.1` as 8.0.0.1.
private func isHostName(_ text: String) -> Bool {
  let labels = text.split(separator: ".", omittingEmptySubsequences: false)
  if text.utf8.allSatisfy({ isDigit($0) || $0 == UInt8(ascii: ".") }) { return isIPv4(text) }
  let named = labels.last == "" ? labels.dropLast() : labels[...]
  return text.utf8.count <= 253
    && named.allSatisfy { (1...63).contains($0.utf8.count) && $0.utf8.allSatisfy(isWord) && $0.first != "-" }
}

func isIPv4(_ text: some StringProtocol) -> Bool {
  let parts = text.split(separator: ".", omittingEmptySubsequences: false)
  return parts.count == 4
    && parts.allSatisfy { part in
      part.utf8.allSatisfy(isDigit) && UInt8(part) != nil && (part == "0" || part.first != "0")
    }
}

/// RFC 4291 section 2.2, with a zone (RFC 4007) where the scope needs one.
func isIPv6(_ text: String) -> Bool {
  let withZone = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
  if withZone.count == 2 {
    // IFNAMSIZ, with its closing NUL, is 16.
    let zone = withZone[1].utf8
    guard (1...15).contains(zone.count), zone.allSatisfy({ isWord($0) || $0 == UInt8(ascii: ".") }) else {
      return false
    }
  }
  let address = withZone[0]
  guard address.utf8.count <= 45, !address.contains(":::") else { return false }
  let halves = address.split(separator: "::", omittingEmptySubsequences: false)
  guard halves.count <= 2 else { return false }
  var groups = 0
  for (index, half) in halves.enumerated() where !half.isEmpty {
    let parts = half.split(separator: ":", omittingEmptySubsequences: false)
    for (position, part) in parts.enumerated() {
      let isLast = index == halves.count - 1 && position == parts.count - 1
      if isLast && isIPv4(part) {
        groups += 2
      } else if (1...4).contains(part.utf8.count) && part.allSatisfy({ $0.isASCII && $0.isHexDigit }) {
        groups += 1
      } else {
        return false
      }
    }
  }
  return halves.count == 2 ? groups <= 7 : groups == 8
}

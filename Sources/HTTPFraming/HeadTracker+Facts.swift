/// What a head is remembered by: no byte of it is kept.
extension HeadTracker {
  enum Method: UInt8 {
    case unknown, get, head, put, delete, options, trace, connect, other

    /// - Parameters:
    ///   - bytes: all of the method's, the first lowest; 0 where there are more than eight.
    ///   - count: of these bytes.
    init(_ bytes: UInt64, count: UInt8) throws(Opacity) {
      switch bytes {
      case packed("GET"): self = .get
      case packed("HEAD"): self = .head
      case packed("PUT"): self = .put
      case packed("DELETE"): self = .delete
      case packed("OPTIONS"): self = .options
      case packed("TRACE"): self = .trace
      case packed("CONNECT"): self = .connect
      default:
        // Methods are case-sensitive (RFC 9110 §9.1), but not every server thinks so, and these two change what an
        // answer's body is.
        let folded = bytes | packed("        ")
        let isHead = count == 4 && folded == packed("head    ")
        let isConnect = count == 7 && folded == packed("connect ")
        if isHead || isConnect { throw .methodCase }
        self = .other
      }
    }

    /// RFC 9110 §9.2.2.
    var isIdempotent: Bool {
      switch self {
      case .get, .head, .put, .delete, .options, .trace: true
      case .unknown, .connect, .other: false
      }
    }
  }

  struct Flags: OptionSet {
    let rawValue: UInt16
    static let isHTTP10 = Flags(rawValue: 1 << 0)
    static let hasLength = Flags(rawValue: 1 << 1)
    static let isChunked = Flags(rawValue: 1 << 2)
    static let closes = Flags(rawValue: 1 << 3)
    static let keepsAlive = Flags(rawValue: 1 << 4)
    static let upgrades = Flags(rawValue: 1 << 5)
    static let expects = Flags(rawValue: 1 << 6)
    /// Of a request: the head of its final answer came before its own had ended.
    static let isAnswered = Flags(rawValue: 1 << 7)
    /// Of a request: all of its first line has come, and its method counts.
    static let hasLine = Flags(rawValue: 1 << 8)
    static let hasField = Flags(rawValue: 1 << 9)
    static let hasCRLF = Flags(rawValue: 1 << 10)
    static let hasBareLF = Flags(rawValue: 1 << 11)
  }
}

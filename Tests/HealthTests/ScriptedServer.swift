import EventCore
import Glibc
import LinuxIO
import Testing

/// A server that does with each connection what it is told, on a reactor's thread.
final class ScriptedServer: ReactorHandler, @unchecked Sendable {
  enum Step: Sendable {
    /// Until an empty line has come.
    case request
    case send(String)
    /// A byte every millisecond.
    case trickle(String)
    /// The same again and again, a byte every millisecond, or as fast as it is taken.
    case trickleForEver(String)
    case flood(String)
    /// FIN, and nothing more.
    case finish
    case close
    case reset
  }

  let address: SocketAddress
  var steps: [Step]
  private(set) var accepted = 0
  private(set) var requests: [String] = []
  /// How connections ended that the other side has ended.
  private(set) var ends: [Transfer] = []
  /// Where connections came from.
  private(set) var clients: [SocketAddress] = []

  private let reactor: Reactor
  private var listener: Descriptor
  private var registration: Reactor.RegistrationID?
  private var connections: [ObjectIdentifier: Connection] = [:]
  var openConnections: Int { connections.count }
  /// Of what was sent, what the other side's system does not have yet.
  var unsentBytes: Int { connections.values.reduce(0) { $0 + $1.unsentBytes } }

  init(_ reactor: Reactor, at address: SocketAddress, _ steps: [Step]) throws {
    self.reactor = reactor
    self.steps = steps
    listener = try Descriptor.listen(at: address)
    let bound = listener.localAddress
    self.address = try #require(bound)
  }

  func open() { registration = try? reactor.register(listener, for: .readable, self) }

  func close() {
    if let registration { reactor.unregister(registration) }
    registration = nil
    listener = .none
    if address.family == .local {
      _ = unsafe unlink(String(address.description.dropFirst("unix:".count)))
    }
    for connection in connections.values { connection.close() }
  }

  func ready(_ readiness: Readiness) {
    while case .connection(let socket) = listener.accept() {
      accepted += 1
      if let client = socket.peerAddress { clients.append(client) }
      let connection = Connection(self, socket)
      connections[ObjectIdentifier(connection)] = connection
      connection.begin()
    }
  }

  fileprivate final class Connection: ReactorHandler {
    private unowned let server: ScriptedServer
    private var socket: Descriptor
    private var registration: Reactor.RegistrationID?
    private var timer: Reactor.TimerID?
    private var steps: ArraySlice<Step>
    private var input = ""
    private var rest: ArraySlice<UInt8> = []
    var unsentBytes: Int { socket.unsentBytes }

    init(_ server: ScriptedServer, _ socket: consuming Descriptor) {
      self.server = server
      self.socket = socket
      steps = server.steps[...]
    }

    func begin() {
      registration = try? server.reactor.register(socket, for: .readable, self)
      go()
    }

    func close() {
      if let timer { server.reactor.cancel(timer) }
      if let registration { server.reactor.unregister(registration) }
      (timer, registration) = (nil, nil)
      socket = .none
      server.connections[ObjectIdentifier(self)] = nil
    }

    func ready(_ readiness: Readiness) {
      var bytes = [UInt8](repeating: 0, count: 4096)
      switch socket.receive(into: &bytes) {
      case .bytes(let count):
        input += String(decoding: bytes[..<count], as: UTF8.self)
        go()
      case .wouldBlock: break
      case .endOfFile, .failed:
        // A reset behind FIN or bytes may be told by the event alone.
        server.ends.append(readiness.contains(.error) ? .failed(.connectionReset) : .endOfFile)
        close()
      }
    }

    private func go() {
      guard socket.isOpen, timer == nil, let step = steps.first else { return }
      switch step {
      case .request:
        guard input.hasSuffix("\r\n\r\n") else { return }
        server.requests.append(input)
        input = ""
      case .send(let text): _ = socket.send(Array(text.utf8)[...])
      case .trickle(let text), .trickleForEver(let text):
        if rest.isEmpty { rest = Array(text.utf8)[...] }
        _ = socket.send(rest.prefix(1))
        rest = rest.dropFirst()
        if case .trickle = step, rest.isEmpty { break }
        later()
        return
      case .flood(let text):
        let bytes = Array(String(repeating: text, count: 1000).utf8)
        for _ in 0..<10 {
          if case .bytes = socket.send(bytes[...]) { continue }
          break
        }
        later()
        return
      case .finish: socket.shutdownWrite()
      case .close:
        close()
        return
      case .reset:
        socket.resetOnClose()
        close()
        return
      }
      steps = steps.dropFirst()
      go()
    }

    private func later() {
      timer = server.reactor.after(milliseconds: 1) { [weak self] in
        self?.timer = nil
        self?.go()
      }
    }
  }
}

import Glibc
import LinuxIO
import Testing

@Suite struct StreamSocketTests {
  @Test(arguments: Transport.available)
  func bytes_arriveBothWays_whenConnected(transport: Transport) throws {
    let connection = try Connection(transport)
    #expect(connection.client.send([1, 2, 3]) == .bytes(3))
    #expect(try receiveNext(connection.server) == (.bytes(3), [1, 2, 3]))
    #expect(connection.server.send([4, 5]) == .bytes(2))
    #expect(try receiveNext(connection.client) == (.bytes(2), [4, 5]))
  }

  @Test(arguments: Transport.available)
  func receive_wouldBlock_whenNothingHasArrived(transport: Transport) throws {
    let connection = try Connection(transport)
    var buffer: [UInt8] = [0]
    #expect(connection.client.receive(into: &buffer) == .wouldBlock)
    #expect(connection.server.receive(into: &buffer) == .wouldBlock)
  }

  @Test(arguments: Transport.available)
  func peek_seesWhatAReceiveWouldFind_andTakesNothing(transport: Transport) throws {
    let connection = try Connection(transport)
    #expect(connection.server.peek() == .wouldBlock)
    #expect(connection.client.send([1, 2, 3]) == .bytes(3))
    #expect(connection.client.shutdownWrite() == nil)
    while connection.server.peek() == .wouldBlock { Process.pause(milliseconds: 1) }
    #expect(connection.server.peek() == .bytes(1))
    #expect(try receiveNext(connection.server) == (.bytes(3), [1, 2, 3]))
    while connection.server.peek() == .wouldBlock { Process.pause(milliseconds: 1) }
    #expect(connection.server.peek() == .endOfFile)
  }

  @Test(arguments: Transport.available)
  func receive_answersEndOfFile_whenTheBytesBeforeTheFinAreTaken(transport: Transport) throws {
    let connection = try Connection(transport)
    #expect(connection.client.send([7]) == .bytes(1))
    #expect(connection.client.shutdownWrite() == nil)
    #expect(try receiveNext(connection.server) == (.bytes(1), [7]))
    #expect(try receiveNext(connection.server).0 == .endOfFile)
    #expect(connection.server.send([8]) == .bytes(1), "the other direction stays open")
    #expect(try receiveNext(connection.client) == (.bytes(1), [8]))
  }

  @Test(arguments: [Transport.ipv4, .ipv6].filter(Transport.available.contains))
  func receive_answersReset_whenThePeerLingersNotAtAll(transport: Transport) throws {
    var connection = try Connection(transport)
    connection.client.resetOnClose()
    connection.client = .none
    #expect(try receiveNext(connection.server).0 == .failed(.connectionReset))
  }

  @Test(arguments: Transport.available)
  func receive_answersEndOfFile_whenThePeerJustCloses(transport: Transport) throws {
    var connection = try Connection(transport)
    connection.client = .none
    #expect(try receiveNext(connection.server).0 == .endOfFile)
  }

  /// The test process would end by SIGPIPE if the flag were missing.
  @Test(arguments: Transport.available)
  func send_failsAsAValue_whenThePeerIsGone(transport: Transport) throws {
    var connection = try Connection(transport)
    connection.server = .none
    var last = Transfer.wouldBlock
    #expect(
      eventually {
        last = connection.client.send([1])
        return last == .failed(.brokenPipe) || last == .failed(.connectionReset)
      }, "ended with \(last)")
    #expect(connection.client.send([1]) == .failed(.brokenPipe))
  }

  @Test(arguments: Transport.available)
  func send_wouldBlock_whenThePeerDoesNotRead(transport: Transport) throws {
    let connection = try Connection(transport)
    var sent = 0
    try fill(connection.client, &sent, by: 65_536)
    // The last bytes may still have been on their way, and made room at their arrival.
    var last = Transfer.endOfFile
    let isFull = eventually {
      last = connection.client.send([1])
      if last == .bytes(1) { sent += 1 }
      return last == .wouldBlock && connection.client.unsentBytes > 0
    }
    #expect(isFull, "\(last)")
    var received = 0
    while received < sent {
      let (transfer, bytes) = try receiveNext(connection.server, atMost: 1 << 20)
      guard case .bytes = transfer else { break }
      received += bytes.count
    }
    #expect(received == sent)
    #expect(eventually { connection.client.unsentBytes == 0 })
  }

  /// Sends until no more is taken.
  private func fill(_ socket: borrowing Descriptor, _ sent: inout Int, by count: Int) throws {
    let piece = [UInt8](repeating: 1, count: count)
    while true {
      let transfer = socket.send(piece[...])
      if transfer == .wouldBlock { return }
      guard case .bytes(let count) = transfer else {
        Issue.record("\(transfer)")
        return
      }
      sent += count
      try #require(sent < 1 << 30, "it takes whatever comes")
    }
  }

  @Test(arguments: Transport.available)
  func unreadBytes_countsWhatWaits_whenBytesHaveArrived(transport: Transport) throws {
    let connection = try Connection(transport)
    #expect(connection.server.unreadBytes == 0)
    #expect(connection.client.send([1, 2, 3, 4, 5]) == .bytes(5))
    #expect(eventually { connection.server.unreadBytes == 5 })
    #expect(try receiveNext(connection.server, atMost: 2).0 == .bytes(2))
    #expect(connection.server.unreadBytes == 3)
  }

  @Test(arguments: Transport.available)
  func addresses_areMirrored_whenSeenFromTheTwoEnds(transport: Transport) throws {
    let connection = try Connection(transport)
    #expect(try peerAddress(of: connection.client) == localAddress(of: connection.server))
    #expect(try localAddress(of: connection.client) == peerAddress(of: connection.server))
    if transport == .local { #expect(try localAddress(of: connection.client).description == "unix:") }
  }

  @Test(arguments: Transport.available)
  func listen_failsAddressInUse_whenAnotherListensThere(transport: Transport) throws {
    let folder = try TemporaryFolder()
    let first = try Descriptor.listen(at: transport.freeAddress(in: folder))
    let address = try localAddress(of: first)
    #expect(throws: Errno.addressInUse) { _ = try Descriptor.listen(at: address) }
    _ = try Connection(to: first, at: address)
  }

  @Test(arguments: Transport.available)
  func accept_wouldBlock_whenNobodyConnects(transport: Transport) throws {
    let folder = try TemporaryFolder()
    let listener = try Descriptor.listen(at: transport.freeAddress(in: folder))
    guard case .wouldBlock = listener.accept() else {
      Issue.record("there was a connection")
      return
    }
  }

  @Test(arguments: Transport.available)
  func everySocket_isNonBlockingAndClosedOnExec_whenMade(transport: Transport) throws {
    let folder = try TemporaryFolder()
    let listener = try Descriptor.listen(at: transport.freeAddress(in: folder))
    let connection = try Connection(to: listener, at: localAddress(of: listener))
    for number in [listener.number, connection.client.number, connection.server.number] {
      #expect(fcntl(number, F_GETFL) & O_NONBLOCK != 0)
      #expect(fcntl(number, F_GETFD) & FD_CLOEXEC != 0)
    }
  }

  /// The far end of a connection is a port that is taken and does not listen.
  @Test func connect_endsRefused_whenNobodyListens() throws {
    let connection = try Connection(.ipv4)
    let deaf = try localAddress(of: connection.client)
    let socket = try Descriptor.streamSocket(for: deaf)
    let start = socket.connect(to: deaf)
    if start == .inProgress {
      try wait(for: .writable, on: socket)
      #expect(socket.takeError() == .connectionRefused)
      #expect(socket.takeError() == nil, "reading the error clears it")
    } else {
      #expect(start == .failed(.connectionRefused))
    }
  }

  @Test func connect_failsAtOnce_whenThePathIsMissing() throws {
    let folder = try TemporaryFolder()
    let address = try SocketAddress(path: folder.path + "/none")
    let socket = try Descriptor.streamSocket(for: address)
    #expect(socket.connect(to: address) == .failed(.noSuchFile))
  }

  @Test func connect_answersWouldBlock_whenTheBacklogOfALocalListenerIsFull() throws {
    let folder = try TemporaryFolder()
    let address = try SocketAddress(path: folder.path + "/socket")
    let listener = try Descriptor.listen(at: address, backlog: 0)
    let first = try Descriptor.streamSocket(for: address)
    #expect(first.connect(to: address) == .connected)
    let second = try Descriptor.streamSocket(for: address)
    #expect(second.connect(to: address) == .failed(.wouldBlock))
    _ = consume listener
    _ = consume first
  }

  @Test(.enabled(if: Transport.available.contains(.ipv6)))
  func listener_takesIPv4Too_whenBoundToTheIPv6Wildcard() throws {
    let listener = try Descriptor.listen(at: SocketAddress.wildcard(port: 0).ipv6)
    let port = try #require(try localAddress(of: listener).port)
    _ = try Connection(to: listener, at: numeric("127.0.0.1", port: port))
    _ = try Connection(to: listener, at: numeric("::1", port: port))
  }

  @Test func boundLocal_refusesClients_untilItListens() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/socket"
    let listener = try Descriptor.boundLocal(path: path, mode: 0o600)
    let status = try FileStatus(path: path)
    #expect(status.isSocket)
    #expect(status.mode & 0o777 == 0o600)
    let address = try SocketAddress(path: path)
    let early = try Descriptor.streamSocket(for: address)
    #expect(early.connect(to: address) == .failed(.connectionRefused))
    try listener.startListening()
    _ = try Connection(to: listener, at: address)
    #expect(throws: Errno.addressInUse) { _ = try Descriptor.boundLocal(path: path, mode: 0o600) }
  }

  @Test func connectWaiting_givesUp_whenNoAnswerComes() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/socket"
    let listener = try Descriptor.listen(at: SocketAddress(path: path))
    let socket = try Descriptor.connectWaiting(path: path, timeoutMilliseconds: 1)
    #expect(fcntl(socket.number, F_GETFL) & O_NONBLOCK == 0)
    #expect(fcntl(socket.number, F_GETFD) & FD_CLOEXEC != 0)
    var buffer: [UInt8] = [0]
    #expect(socket.receive(into: &buffer) == .wouldBlock)
    _ = consume listener
  }

  @Test func nothing_isReported_whenThereIsNoSocket() {
    let none = Descriptor.none
    #expect(none.localAddress == nil)
    #expect(none.peerAddress == nil)
    #expect(none.unsentBytes == 0)
    #expect(none.unreadBytes == 0)
    #expect(none.shutdownWrite() == Errno(rawValue: EBADF))
  }
}

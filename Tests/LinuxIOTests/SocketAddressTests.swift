import LinuxIO
import Testing

@Suite struct SocketAddressTests {
  @Test(arguments: [
    ("127.0.0.1", "127.0.0.1:80", SocketAddress.Family.ipv4), ("::1", "[::1]:80", .ipv6),
    ("2001:DB8:0::0:2", "[2001:db8::2]:80", .ipv6),
  ])
  func resolve_keepsTheAddress_whenTheHostIsNumeric(host: String, text: String, family: SocketAddress.Family) throws {
    let addresses = try SocketAddress.resolve(host: host, port: 80)
    #expect(addresses.map(\.description) == [text])
    #expect(addresses.first?.family == family)
    #expect(addresses.first?.port == 80)
  }

  @Test func resolve_answersLoopback_whenTheHostIsLocalhost() throws {
    let addresses = try SocketAddress.resolve(host: "localhost", port: 1)
    #expect(!addresses.isEmpty)
    for address in addresses { #expect(["127.0.0.1:1", "[::1]:1"].contains(address.description)) }
  }

  /// A label over 63 bytes is no name, so no name server is asked.
  @Test(arguments: [String(repeating: "a", count: 64) + ".test", ""])
  func resolve_namesTheHost_whenItHasNoAddress(host: String) {
    let failure = #expect(throws: ResolutionFailure.self) { try SocketAddress.resolve(host: host, port: 80) }
    #expect(failure?.host == host)
    #expect(failure?.description.hasPrefix("cannot resolve \(host): ") == true)
    #expect(failure?.reason.isEmpty == false)
  }

  @Test func resolve_fails_whenTheHostHoldsANulByte() {
    #expect(throws: ResolutionFailure.self) { try SocketAddress.resolve(host: "127.0.0.1\0.example", port: 80) }
  }

  @Test func path_isKept_whenItJustFits() throws {
    let path = "/" + String(repeating: "x", count: 106)
    let address = try SocketAddress(path: path)
    #expect(address.description == "unix:" + path)
    #expect(address.family == .local)
    #expect(address.port == nil)
  }

  @Test(arguments: ["/" + String(repeating: "x", count: 107), ""])
  func path_isRefused_whenItDoesNotFit(path: String) {
    #expect(throws: Errno.nameTooLong) { try SocketAddress(path: path) }
  }

  @Test func path_isRefused_whenItHoldsANulByte() {
    #expect(throws: Errno.self) { try SocketAddress(path: "/run/a\0b") }
  }

  @Test func addresses_areEqual_whenEveryPartIs() throws {
    #expect(try numeric("127.0.0.1", port: 80) == numeric("127.0.0.1", port: 80))
    #expect(try numeric("::1", port: 80) == numeric("0:0:0:0:0:0:0:1", port: 80))
    #expect(try SocketAddress(path: "/a") == SocketAddress(path: "/a"))
    #expect(try numeric("fe80::1%1") == numeric("fe80::1%1"))
  }

  @Test func addresses_differ_whenOnePartDoes() throws {
    #expect(try numeric("127.0.0.1", port: 80) != numeric("127.0.0.1", port: 81))
    #expect(try numeric("127.0.0.1", port: 80) != numeric("127.0.0.2", port: 80))
    #expect(try numeric("::1", port: 80) != numeric("::1", port: 81))
    #expect(try numeric("::1", port: 80) != numeric("::2", port: 80))
    #expect(try numeric("fe80::1%1") != numeric("fe80::1%2"))
    #expect(try SocketAddress(path: "/a") != SocketAddress(path: "/ab"))
    #expect(SocketAddress.wildcard(port: 80).ipv4 != SocketAddress.wildcard(port: 80).ipv6)
  }

  @Test func wildcard_coversBothFamilies_whenFormatted() {
    let (ipv6, ipv4) = SocketAddress.wildcard(port: 8080)
    #expect(ipv6.description == "[::]:8080")
    #expect(ipv4.description == "0.0.0.0:8080")
  }

  @Test func port_isReplaced_whenTheFamilyHasOne() throws {
    var address = try numeric("::1", port: 1)
    address.port = 65535
    #expect(address.description == "[::1]:65535")
    var local = try SocketAddress(path: "/a")
    local.port = 1
    #expect(try local == SocketAddress(path: "/a"))
  }

  @Test func errno_speaksToPeople_whenDescribed() {
    #expect(Errno.connectionRefused.description == "Connection refused")
  }
}

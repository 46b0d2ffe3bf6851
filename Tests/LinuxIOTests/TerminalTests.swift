import Glibc
import Testing

@testable import LinuxIO

@Suite struct TerminalTests {
  /// Both ends of a terminal.
  private struct Pair: ~Copyable {
    let master: Descriptor
    let slave: Descriptor

    // The Glibc module has neither posix_openpt(3) nor the numbers of ioctl_tty(2).
    private static let unlock: UInt = 0x4004_5431
    private static let number: UInt = 0x8004_5430

    init() throws {
      let master = Descriptor(owning: try checked(unsafe open("/dev/ptmx", O_RDWR | O_NOCTTY)))
      var (isLocked, number): (Int32, Int32) = (0, 0)
      try checked(unsafe ioctl(master.number, Self.unlock, &isLocked))
      try checked(unsafe ioctl(master.number, Self.number, &number))
      slave = Descriptor(owning: try checked(unsafe open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)))
      self.master = master
    }

    var mode: termios {
      var mode = termios()
      _ = unsafe tcgetattr(slave.number, &mode)
      return mode
    }
  }

  @Test func keysAreReadOneByOneAndTheModeIsAsBeforeAtTheEnd() throws {
    let pair = try Pair()
    let before = pair.mode
    var terminal = Terminal(input: pair.slave.number, output: pair.slave.number)
    try terminal.beginKeys()
    // Again, as after a stop.
    try terminal.beginKeys()
    #expect(pair.mode.c_lflag & tcflag_t(ICANON | ECHO) == 0)
    #expect(pair.mode.c_lflag & tcflag_t(ISIG) != 0)
    #expect(pair.mode.c_iflag & tcflag_t(IXON) == 0)
    try Process.write(Array("q".utf8), to: pair.master.number)
    #expect(try terminal.readKeys() == Array("q".utf8))
    try terminal.endKeys()
    try terminal.endKeys()
    #expect(pair.mode.c_lflag == before.c_lflag)
    #expect(pair.mode.c_iflag == before.c_iflag)
  }

  @Test func theSizeIsThatOfTheWindowOrTheUsualOne() throws {
    let pair = try Pair()
    let terminal = Terminal(input: pair.slave.number, output: pair.slave.number)
    #expect(terminal.size == Terminal.Size(columns: 80, rows: 24))
    var window = winsize(ws_row: 10, ws_col: 40, ws_xpixel: 0, ws_ypixel: 0)
    #expect(unsafe ioctl(pair.master.number, UInt(TIOCSWINSZ), &window) == 0)
    #expect(terminal.size == Terminal.Size(columns: 40, rows: 10))
  }

  @Test func whatIsNoTerminalIsAnError() throws {
    let (reading, writing) = try pipe()
    var terminal = Terminal(input: reading, output: writing)
    #expect(throws: Errno(rawValue: ENOTTY)) { try terminal.beginKeys() }
    try terminal.endKeys()
    close(reading)
    close(writing)
  }

  private func pipe() throws -> (Int32, Int32) {
    var ends: [Int32] = [0, 0]
    try checked(unsafe Glibc.pipe(&ends))
    return (ends[0], ends[1])
  }
}

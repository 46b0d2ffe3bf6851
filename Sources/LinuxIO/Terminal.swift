import CLinux
import Glibc

/// A terminal that this process reads keys from and draws on. The descriptors stay the caller's.
public struct Terminal {
  public struct Size: Equatable, Sendable {
    public var columns: Int
    public var rows: Int
    public init(columns: Int, rows: Int) { (self.columns, self.rows) = (columns, rows) }
  }

  private let input: Int32
  private let output: Int32
  /// As it was when the first key was to be read; nil: it is as it was found.
  private var before: termios?

  public init(input: Int32, output: Int32) { (self.input, self.output) = (input, output) }

  /// From now on each key is read at once and not shown; Ctrl-C and Ctrl-Z still send signals. Where that is so already,
  /// it is set again, since a shell may have changed it meanwhile.
  public mutating func beginKeys() throws(Errno) {
    var mode = termios()
    if let before {
      mode = before
    } else {
      try checked(unsafe linux_terminal_mode(input, &mode))
      before = mode
    }
    unsafe linux_read_keys(&mode)
    try checked(unsafe linux_set_terminal_mode(input, &mode))
  }

  /// Puts back what `beginKeys` has found.
  public mutating func endKeys() throws(Errno) {
    guard var mode = before else { return }
    before = nil
    try checked(unsafe linux_set_terminal_mode(input, &mode))
  }

  /// The bytes of the keys that were pressed, waiting for the first; none where the terminal is gone.
  public func readKeys() throws(Errno) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = try checked(unsafe bytes.withUnsafeMutableBytes { unsafe linux_read(input, $0.baseAddress, $0.count) })
    return Array(bytes.prefix(Int(count)))
  }

  /// Of a terminal that does not know its own, the usual one.
  public var size: Size {
    var (columns, rows): (Int32, Int32) = (0, 0)
    guard unsafe linux_window_size(output, &columns, &rows) == 0, columns > 0, rows > 0 else {
      return Size(columns: 80, rows: 24)
    }
    return Size(columns: Int(columns), rows: Int(rows))
  }

  public func write(_ text: String) throws(Errno) { try Process.write(Array(text.utf8), to: output) }
}

extension Process {
  /// Lets a signal that a `SignalReceiver` has taken do what it does by default: it ends or stops this process. Returns
  /// when the process goes on.
  public static func take(signal: Int32) { _ = linux_take_signal(signal) }
}

import Glibc
import LinuxIO

/// Standard output and standard error, each text in one write.
enum Output {
  static let standard: Int32 = STDOUT_FILENO
  static let errors: Int32 = STDERR_FILENO

  /// Answers whether somebody still reads. A reader that has left (`| head -1`) is no failure; a full disk is.
  static func write(_ text: String) throws(Failure) -> Bool {
    do { try Process.write(Array(text.utf8), to: standard) } catch {
      if error == .brokenPipe { return false }
      throw Failure(exitCode: .refused, message: "cannot write to standard output: \(error)")
    }
    return true
  }

  /// Nobody is left to hear of a failure.
  static func complain(_ text: String) { try? Process.write(Array(text.utf8), to: errors) }

  /// For output that comes now and then: without this, a reader that has left would be noticed with the next line.
  static func exitWhenReaderLeaves() {
    _ = try? LoopThread(name: "reader") {
      // A file cannot be watched, and has no reader that could leave.
      guard let epoll = try? Epoll(capacity: 1), (try? epoll.add(standard, [], token: 0)) != nil else { return }
      while (try? epoll.wait(milliseconds: -1)) == 0 {}
      exit(ExitCode.done.rawValue)
    }
  }

  static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }
}

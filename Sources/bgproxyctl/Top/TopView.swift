import Glibc
import LinuxIO

/// The live view at work: it waits for keys, signals and answers, and draws what they have changed.
struct TopView: ~Copyable {
  private enum Source: UInt64 { case keys, signals, feed }

  private static let signals = [SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT]
  /// Times go on while nothing else happens.
  private static let tick: Int32 = 1000

  private var model: TopModel
  private var controls = TopControls()
  /// What a paused view shows.
  private var frozen: (model: TopModel, at: Double)?
  private var mostScroll = 0

  private var terminal: Terminal
  private var painter: TopPainter
  private var keyReader = TopKeyReader()
  private let clock: Clock
  private let feed: TopFeed
  private let signals: SignalReceiver
  private let epoll: Epoll

  /// Before any other thread, since it blocks the signals that it waits for.
  init(_ model: TopModel, _ context: Context) throws(Errno) {
    let signals = try SignalReceiver(signals: Self.signals)
    let feed = try TopFeed()
    let epoll = try Epoll(capacity: 4)
    try epoll.add(Output.input, .readable, token: Source.keys.rawValue)
    try epoll.add(signals.descriptor.number, .readable, token: Source.signals.rawValue)
    try epoll.add(feed.wakeUp.descriptor.number, .readable, token: Source.feed.rawValue)
    try feed.start(
      socket: context.socket, timeoutMilliseconds: context.arguments.milliseconds(of: Command.Options.timeout) ?? 5000)
    self.model = model
    terminal = Terminal(input: Output.input, output: Output.standard)
    painter = TopPainter(palette: context.paint)
    clock = context.clock
    self.signals = signals
    self.feed = feed
    self.epoll = epoll
  }

  /// Until the operator quits, a signal ends the process, or the terminal is gone. It leaves the terminal as it was.
  mutating func run() throws(Errno) {
    do throws(Errno) {
      try show()
      while try step() { try draw() }
    } catch {
      hide()
      throw error
    }
    hide()
  }

  /// Waits for something and answers whether the view goes on.
  private mutating func step() throws(Errno) -> Bool {
    for index in 0..<(try epoll.wait(milliseconds: Self.tick)) {
      switch Source(rawValue: epoll.event(at: index).token) {
      case .keys:
        let bytes = try terminal.readKeys()
        // What has hung up is readable for ever.
        if bytes.isEmpty { return false }
        for key in keyReader.keys(bytes) where !press(key) { return false }
      case .signals: while let signal = signals.next() { try take(signal.number) }
      case .feed: takeAnswers()
      case nil: break
      }
    }
    return true
  }

  private mutating func press(_ key: TopKey) -> Bool {
    if key == .quit { return false }
    if key == .redraw { painter.forget() }
    controls.press(key, mostScroll: mostScroll)
    if key == .pause { frozen = controls.isPaused ? (model, clock.now()) : nil }
    return true
  }

  private mutating func take(_ signal: Int32) throws(Errno) {
    switch signal {
    case SIGWINCH: break
    case SIGCONT: try show()
    case SIGTSTP:
      hide()
      Process.take(signal: signal)
      try show()
    default:
      hide()
      // The shell is told by which signal it ended.
      Process.take(signal: signal)
    }
  }

  private mutating func takeAnswers() {
    for answer in feed.take() {
      switch answer.result {
      case .success(let status): model.take(status, at: answer.at)
      case .failure(let failure): model.fail(failure.message)
      }
    }
  }

  // MARK: Drawing

  private mutating func show() throws(Errno) {
    try terminal.beginKeys()
    try terminal.write(TopPainter.begin)
    painter.forget()
    try draw()
  }

  private mutating func draw() throws(Errno) {
    let size = terminal.size
    let (model, now) = frozen.map { ($0.model, $0.at) } ?? (model, clock.now())
    let frame = TopScreen(model: model, controls: controls, now: now, size: size).frame()
    mostScroll = frame.mostScroll
    if let text = painter.text(frame, size) { try terminal.write(text) }
  }

  /// Whatever of the terminal is still there is as it was.
  private mutating func hide() {
    try? terminal.write(TopPainter.end)
    try? terminal.endKeys()
  }
}

extension Output {
  static let input: Int32 = STDIN_FILENO
}

public import Switching

/// What the command line says. It overrides the file.
public struct Overrides: Equatable, Sendable {
  /// `--listen`: replaces the listeners of the file by one named `main`; needs `blue` and `green`.
  public var listen: String?
  public var blue: [String] = []
  public var green: [String] = []
  public var `protocol`: String?
  public var preview: String?
  public var active: Color?
  /// `--socket`: `admin.socket`.
  public var socket: String?
  /// `--state`: `stateFile`.
  public var state: String?
  public var workers: Int?
  /// `--metrics`: `admin.metrics`.
  public var metrics: String?

  public init() {}
}

/// The version of both programs.
public let bgproxyVersion = "0.1.0"

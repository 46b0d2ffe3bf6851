import Arguments

/// `completion`: the script that teaches a shell this program's verbs, options and values.
enum Completion {
  static let verb = Verb(
    "completion", "print the completion for bash, zsh or fish",
    details: [
      """
      For everybody, from the next shell on:
        bash  /usr/share/bash-completion/completions/bgproxyctl
        zsh   /usr/share/zsh/vendor-completions/_bgproxyctl
        fish  /usr/share/fish/vendor_completions.d/bgproxyctl.fish
      For yourself, load it at the start of each shell:
        bash  source <(bgproxyctl completion bash)       in ~/.bashrc
        zsh   source <(bgproxyctl completion zsh)        in ~/.zshrc, after compinit
        fish  bgproxyctl completion fish | source        in ~/.config/fish/config.fish
      """,
      "`bgproxy --completion bash|zsh|fish` prints that of bgproxy.",
    ],
    positional: Positional("SHELL", .choice(of: CompletionShell.self)),
    examples: ["bgproxyctl completion fish | source"])

  static func script(for shell: CompletionShell) -> String {
    Command.program.completion(
      for: shell, printedBy: "\(Command.program.name) \(verb.name) \(shell.rawValue)")
  }
}

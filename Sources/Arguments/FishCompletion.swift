extension Program {
  /// For a folder of `fish_complete_path` under the name of the program, and for `source`.
  func fishCompletion(_ heading: String) -> String {
    let hasVerbs = !builtVerbs.isEmpty
    let lacks = "_\(identifier)_lacks"
    var lines: [String] = []
    func add(_ condition: String, _ rest: String) {
      lines.append("complete -c \(name) -n \(fishQuoted("\(lacks) \(condition)")) \(rest)")
    }
    for verb in builtVerbs {
      add("'' ''", "-a \(verb.name) -d \(fishQuoted(verb.summary))")
    }
    for verb in builtVerbs {
      if let positional = verb.positional, let offer = fishOffer(positional.value) {
        add("\(verb.name) ARGUMENT", offer)
      }
      for option in verb.builtOptions { add("\(verb.name) \(option.name)", fishOption(option)) }
    }
    for option in builtOptions { add("'*' \(option.name)", fishOption(option)) }
    return """
      \(heading)

      # Whether the words before the cursor have this verb ('' for none yet, '*' for any) and not yet this option or ARGUMENT.
      function \(lacks) --argument-names wanted item
          set -l verb ''
          set -l option ''
          set -l ended no
          set -l given
          for word in (commandline -opc)[2..]
              if test -n "$option"
                  set -a given $option
                  set option ''
              else if test $ended = yes; or not string match -qr -- '^-.' "$word"
      \(hasVerbs ? fishVerb : "            continue")
              else if test "$word" = --
                  set ended yes
              else if test "$word" = -h
                  set -a given --help
              else if contains -- "$word" \(namesWithValue.joined(separator: " "))
                  set option $word
              else
                  set -a given (string replace -r '=.*' '' -- "$word")
              end
          end
          # While a value is due, nothing but what belongs to its option.
          if test -n "$option"
              test "$option" = "$item"; or return 1
          else if contains -- "$item" $given; and not contains -- "$item" \(repeatableNames.joined(separator: " "))
              return 1
          end
          test "$wanted" = '*'; or test "$verb" = "$wanted"
      end

      complete -c \(name) -e
      complete -c \(name) -f
      \(lines.joined(separator: "\n"))

      """
  }

  private var fishVerb: String {
    """
                if test -z "$verb"
                    set verb $word
                else
                    set -a given ARGUMENT
                end
    """
  }

  private func fishOption(_ option: Option) -> String {
    var parts = ["-l \(option.name.dropFirst(2))"]
    if let value = option.value {
      switch value.offer {
      case .words(let words): parts.append("-x -a \(fishQuoted(words.joined(separator: " ")))")
      case .files: parts.append("-r -F")
      case .nothing: parts.append("-x")
      }
    }
    return (parts + ["-d \(fishQuoted(option.summary))"]).joined(separator: " ")
  }

  private func fishOffer(_ value: Value) -> String? {
    switch value.offer {
    case .words(let words): "-a \(fishQuoted(words.joined(separator: " ")))"
    case .files: "-F"
    case .nothing: nil
    }
  }

  private func fishQuoted(_ text: String) -> String {
    "'" + text.flatMap { $0 == "'" || $0 == "\\" ? ["\\", $0] : [$0] } + "'"
  }
}

extension Program {
  /// For a folder of `fpath` under the name `_program`, and for `source`.
  func zshCompletion(_ heading: String) -> String {
    let common = builtOptions.flatMap { zshSpecifications($0) }
    let action = builtVerbs.isEmpty ? "_arguments -S $common" : zshVerbs
    return """
      #compdef \(name)
      \(heading)

      \(identifier)() {
        local -a common=(
      \(indented(common, by: 4))
        )
      \(indented(action.split(separator: "\n").map(String.init), by: 2))
      }
      \(builtVerbs.isEmpty ? "" : zshListOfVerbs)
      if [[ $funcstack[1] == \(identifier) ]]; then
        \(identifier) "$@"
      else
        compdef \(identifier) \(name)
      fi

      """
  }

  private var zshVerbs: String {
    let ofVerbs = Set(builtVerbs.flatMap(\.builtOptions).map(\.name))
    let early = everyOption.filter { ofVerbs.contains($0.name) }.flatMap { zshSpecifications($0, isHidden: true) }
    let cases = builtVerbs.map { verb in
      let positional = verb.positional.map { [quotedForShell("2:" + zshValue($0.value, named: $0.name))] } ?? []
      let own = positional + verb.builtOptions.flatMap { zshSpecifications($0) }
      return "  (\(verb.name))\n\(zshArguments(["'1:verb: '"] + own))\n    ;;"
    }
    return """
      # The first word that is neither an option nor the value of one.
      local word option verb
      for word in "${(@)words[2,CURRENT-1]}"; do
        if [[ -n $option ]]; then
          option=
          continue
        fi
        case $word in
          (\(namesWithValue.joined(separator: "|"))) option=$word ;;
          (-?*) ;;
          (*)
            verb=$word
            break
            ;;
        esac
      done
      case $verb in
        ('')
          # Options may come before the verb that they belong to.
      \(zshArguments([quotedForShell("1:verb:\(identifier)_verbs")] + early))
          ;;
      \(cases.joined(separator: "\n"))
        (*) _message 'no such verb' ;;
      esac
      """
  }

  /// The command of a case, a line for each specification.
  private func zshArguments(_ specifications: [String]) -> String {
    (["    _arguments -S $common"] + specifications.map { "      " + $0 }).joined(separator: " \\\n")
  }

  private var zshListOfVerbs: String {
    """

    \(identifier)_verbs() {
      local -a verbs=(
    \(indented(builtVerbs.map { quotedForShell("\($0.name):\($0.summary)") }, by: 4))
      )
      _describe -t verbs verb verbs
    }

    """
  }

  /// What `_arguments` reads. A hidden option is understood and not offered.
  private func zshSpecifications(_ option: Option, isHidden: Bool = false) -> [String] {
    let description = zshEscaped(option.summary, #"\[]"#)
    let value = option.value.map { "=[\(description)]:" + zshValue($0, named: $0.placeholder) } ?? "[\(description)]"
    let isHelp = option.name == Option.help.name
    let prefix = (isHidden ? "!" : "") + (isHelp ? "(-h)" : "") + (option.isRepeatable ? "*" : "")
    let own = quotedForShell(prefix + option.name + value)
    return isHelp ? [own, quotedForShell("!(\(option.name))-h")] : [own]
  }

  /// A message and an action.
  private func zshValue(_ value: Value, named name: String) -> String {
    switch value.offer {
    case .words(let words): "\(zshEscaped(name, #"\:"#)):(\(words.joined(separator: " ")))"
    case .files: "\(zshEscaped(name, #"\:"#)):_files"
    // A blank: the message is shown, and nothing is offered.
    case .nothing: "\(zshEscaped(value.expectation, #"\:"#)): "
    }
  }

  private func zshEscaped(_ text: String, _ special: String) -> String {
    String(text.flatMap { special.contains($0) ? ["\\", $0] : [$0] })
  }
}

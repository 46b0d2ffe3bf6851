extension Program {
  /// Needs nothing but bash 4.4: where the package bash-completion is installed it loads the script on demand, and where
  /// it is not the script can be sourced.
  func bashCompletion(_ heading: String) -> String {
    let hasVerbs = !builtVerbs.isEmpty
    return """
      \(heading)
      # shellcheck shell=bash

      \(identifier)() {
        COMPREPLY=()
        # The words up to the cursor. COMP_WORDS breaks at = and : as well, where no blank is.
        local i word blank line=${COMP_LINE:0:COMP_POINT}
        local -a words=()
        for ((i = 0; i <= COMP_CWORD; i++)); do
          word=${COMP_WORDS[i]}
          blank=${line%%[![:space:]]*}
          line=${line#"$blank"}
          ((i < COMP_CWORD)) || word=$line
          if [[ $blank ]] || ((i == 0)); then words+=("$word"); else words[-1]+=$word; fi
          line=${line#*"$word"}
        done

        # What was given before the word at the cursor.
        local \(hasVerbs ? "verb='' taken='' " : "")option='' ended='' given=' ' repeatable=' \(spaced(repeatableNames)) '
        for word in "${words[@]:1:${#words[@]}-2}"; do
          if [[ $option ]]; then
            given+="$option "
            option=''
          elif [[ $ended || $word != -?* ]]; then
            \(hasVerbs ? "if [[ ! $verb ]]; then verb=$word; else taken=yes; fi" : "continue")
          else
            case $word in
              --) ended=yes ;;
              -h) given+='--help ' ;;
      \(bashCase(namesWithValue, "option=$word", by: 8))
              *) given+="${word%%=*} " ;;
            esac
          fi
        done

        local cur=${words[-1]} start=''
        if [[ ! $option && ! $ended && $cur == --?*=* ]]; then
          option=${cur%%=*}
          cur=${cur#*=}
          # Readline replaces what comes after the last break.
          [[ $COMP_WORDBREAKS == *=* ]] || start=$option=
        fi

        local -a offers=() options=(\(spaced(builtOptions.map(\.name))))
        if [[ $option ]]; then
          case \(hasVerbs ? "$verb/" : "")$option in
      \(indented(bashValues, by: 6))
          esac
        else
      \(hasVerbs ? bashVerbs + "\n" : "")\
          if [[ ! $ended && ($cur == -* || ! $cur && ${#offers[@]} -eq 0) ]]; then
            for word in "${options[@]}"; do
              if [[ $repeatable == *" $word "* || $given != *" $word "* ]]; then offers+=("$word"); fi
            done
          fi
        fi

        cur=${cur#[\\'\\"]}
        for word in "${offers[@]}"; do
          if [[ $word == "$cur"* ]]; then COMPREPLY+=("$start$word"); fi
        done
      }

      complete -F \(identifier) \(name)

      """
  }

  private var bashVerbs: String {
    let plain = builtVerbs.filter(\.builtOptions.isEmpty).map(\.name)
    let own =
      builtVerbs.filter { !$0.builtOptions.isEmpty }.map { verb in
        "\(verb.name)) options=(\(spaced(verb.builtOptions.map(\.name))) \"${options[@]}\") ;;"
      } + ["\((plain + ["''"]).joined(separator: " | "))) ;;", "*) return ;;"]
    let positionals = builtVerbs.compactMap { verb -> String? in
      verb.positional.flatMap { bashOffer($0.value, for: verb.name) }
    }
    return """
          case $verb in
      \(indented(own, by: 6))
          esac
          if [[ ! $ended && $cur == -* ]]; then
            : # An option, below.
          elif [[ ! $verb ]]; then
            offers=(\(spaced(builtVerbs.map(\.name))))
          elif [[ ! $taken ]]; then
            case $verb in
      \(indented(positionals, by: 8))
            esac
          fi
      """
  }

  /// The values of options, by verb and option.
  private var bashValues: [String] {
    let anyVerb = builtVerbs.isEmpty ? "" : "*/"
    let own = builtVerbs.flatMap { verb in verb.builtOptions.map { (pattern: "\(verb.name)/\($0.name)", option: $0) } }
    let common = builtOptions.map { (pattern: anyVerb + $0.name, option: $0) }
    return (own + common).compactMap { pattern, option in option.value.flatMap { bashOffer($0, for: pattern) } }
  }

  private func bashOffer(_ value: Value, for pattern: String) -> String? {
    switch value.offer {
    case .words(let words): "\(pattern)) offers=(\(spaced(words))) ;;"
    // Readline's own, which knows quotes and tildes.
    case .files: "\(pattern)) compopt -o default ;;"
    case .nothing: nil
    }
  }

  private func bashCase(_ names: [String], _ action: String, by spaces: Int) -> String {
    indented(["\(names.joined(separator: " | "))) \(action) ;;"], by: spaces)
  }

  private func spaced(_ words: [String]) -> String { words.joined(separator: " ") }
}

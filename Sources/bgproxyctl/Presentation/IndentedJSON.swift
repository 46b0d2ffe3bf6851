/// A compact JSON text, with a line for each value.
func indentedJSON(_ text: String) -> String {
  var result = ""
  var depth = 0
  var isInString = false
  var isEscaped = false
  var opened = false
  func newLine() -> String { "\n" + String(repeating: "  ", count: depth) }
  for scalar in text.unicodeScalars {
    if isInString {
      result.unicodeScalars.append(scalar)
      isInString = isEscaped || scalar != "\""
      isEscaped = !isEscaped && scalar == "\\"
      continue
    }
    switch scalar {
    case " ", "\n", "\r", "\t": continue
    case "}", "]":
      depth = max(0, depth - 1)
      // An empty object or list stays on its line.
      result += (opened ? "" : newLine()) + String(scalar)
      opened = false
    default:
      if opened { result += newLine() }
      opened = false
      switch scalar {
      case "{", "[":
        result.unicodeScalars.append(scalar)
        depth += 1
        opened = true
      case ",": result += "," + newLine()
      case ":": result += ": "
      default:
        isInString = scalar == "\""
        result.unicodeScalars.append(scalar)
      }
    }
  }
  return result
}

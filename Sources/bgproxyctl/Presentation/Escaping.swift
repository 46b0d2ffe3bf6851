/// Text from elsewhere, made harmless: whatever could move the cursor, begin a line or turn the direction of writing
/// around is spelled out.
func escaped(_ text: String) -> String {
  guard text.unicodeScalars.contains(where: isHarmful) else { return text }
  var result = ""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\n": result += "\\n"
    case "\r": result += "\\r"
    case "\t": result += "\\t"
    case let scalar where isHarmful(scalar): result += jsonEscape(scalar)
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result
}

/// A JSON text in which the same characters are written as JSON escapes, so that it still means the same. Line breaks
/// between its values stay.
func escapedJSON(_ text: String) -> String {
  guard text.unicodeScalars.contains(where: isHarmful) else { return text }
  var result = ""
  for scalar in text.unicodeScalars {
    if isHarmful(scalar), scalar != "\n" { result += jsonEscape(scalar) } else { result.unicodeScalars.append(scalar) }
  }
  return result
}

private func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.value {
  case 0x00...0x1F, 0x7F...0x9F: true
  // Line separators and the marks that turn the direction of writing.
  case 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
  default: false
  }
}

private func jsonEscape(_ scalar: Unicode.Scalar) -> String {
  let digits = String(scalar.value, radix: 16)
  return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
}

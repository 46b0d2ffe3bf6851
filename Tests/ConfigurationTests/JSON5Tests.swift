import Testing

@testable import Configuration

/// The tree in a form that a test can write down.
private func shape(_ node: JSON5.Node) -> String {
  switch node.value {
  case .null: "null"
  case .boolean(let value): "\(value)"
  case .number(let spelling): spelling
  case .string(let text): "'\(text)'"
  case .array(let nodes): "[" + nodes.map(shape).joined(separator: ",") + "]"
  case .object(let members): "{" + members.map { "\($0.key):\(shape($0.node))" }.joined(separator: ",") + "}"
  }
}

@Suite struct JSON5Tests {
  @Test(arguments: [
    ("null", "null"), (" true ", "true"), ("false", "false"),
    ("{}", "{}"), ("[]", "[]"), ("[1,]", "[1]"), ("{a:1,}", "{a:1}"),
    ("{a: 1, 'b': 2, \"c\": 3, $d_1: 4, ключ: 5}", "{a:1,b:2,c:3,$d_1:4,ключ:5}"),
    ("// one\n/* two **/ [ /**/ 1 // three\n , 2 ] // four", "[1,2]"),
    ("\u{FEFF}\u{A0}\u{2028}\t\u{B}\u{C}[]\u{3000}", "[]"),
    ("// ends here\u{2028}1", "1"),
    ("[0, -0, +7, 12, 0x1F, -0XfF, .5, 5., 1.5, 1e3, 2E-1, 0e+0]", "[0,-0,+7,12,0x1F,-0xfF,.5,5.,1.5,1e3,2e-1,0e+0]"),
    ("'it\\'s' ", "'it's'"), ("\"a'b\"", "'a'b'"), ("''", "''"),
    ("'\\b\\f\\n\\r\\t\\v\\0'", "'\u{8}\u{C}\n\r\t\u{B}\0'"),
    ("'\\x41\\u00e9\\uD83D\\uDE00\\q\\/\\\\'", "'A\u{E9}\u{1F600}q/\\'"),
    ("'a\\\nb\\\r\nc\\\rd\\\u{2028}e\u{2029}f'", "'abcde\u{2029}f'"),
  ])
  func read_answersTheTree_whenTheTextIsJSON5(_ text: String, _ expected: String) throws {
    #expect(shape(try JSON5.read(Array(text.utf8))) == expected)
  }

  @Test func read_answersPlaces_whenLinesEndInAnyWay() throws {
    let root = try JSON5.read(Array("{\r\n  a: 1,\r b: 2,\n\t'é': {ü: 3}}".utf8))
    guard case .object(let members) = root.value else { throw JSON5.Failure(place: root.place, path: "", message: "") }
    #expect(root.place == JSON5.Place(line: 1, column: 1))
    #expect(members.map(\.place) == [(2, 3), (3, 2), (4, 2)].map { JSON5.Place(line: $0.0, column: $0.1) })
    #expect(members.map(\.node.place) == [(2, 6), (3, 5), (4, 7)].map { JSON5.Place(line: $0.0, column: $0.1) })
  }

  struct Refused: Sendable, CustomTestStringConvertible {
    let text: String
    let line: Int
    let column: Int
    let path: String
    let message: String
    init(_ text: String, _ line: Int, _ column: Int, _ path: String, _ message: String) {
      (self.text, self.line, self.column, self.path, self.message) = (text, line, column, path, message)
    }
    var testDescription: String { text }
  }

  @Test(arguments: [
    Refused("", 1, 1, "", "expected a value, found the end of the file"),
    Refused("  // only\n", 2, 1, "", "expected a value, found the end of the file"),
    Refused("{} {}", 1, 4, "", "expected nothing after the value, found \"{\""),
    Refused("/", 1, 1, "", "expected a value, found \"/\""),
    Refused("[1,\n /* open", 2, 2, "", "expected */ at the end of this comment, found the end of the file"),
    Refused("/*/", 1, 1, "", "expected */ at the end of this comment, found the end of the file"),
    Refused("{a:1,\n  b:2,\n a:3}", 3, 2, "a", "expected each key once, found it again after line 1, column 2"),
    Refused(
      "{x:[{'a':1,\"\\u0061\":3}]}", 1, 12, "x[0].a", "expected each key once, found it again after line 1, column 6"),
    Refused("{a 1}", 1, 4, "a", "expected \":\" after the key, found \"1\""),
    Refused("{a:}", 1, 4, "a", "expected a value, found \"}\""),
    Refused("{,}", 1, 2, "", "expected a key or \"}\", found \",\""),
    Refused("{1:2}", 1, 2, "", "expected a key or \"}\", found \"1\""),
    Refused("{a:1 b:2}", 1, 6, "", "expected \",\" or \"}\", found \"b\""),
    Refused("{a:1", 1, 5, "", "expected \",\" or \"}\", found the end of the file"),
    Refused("[1 2]", 1, 4, "", "expected \",\" or \"]\", found \"2\""),
    Refused("[,]", 1, 2, "[0]", "expected a value, found \",\""),
    Refused("[1,,]", 1, 4, "[1]", "expected a value, found \",\""),
    Refused("{a: web}", 1, 5, "a", "expected a value (text stands in quotes), found \"web\""),
    Refused("{a: 30s}", 1, 7, "a", "expected the end of the number (durations stand in quotes), found \"s\""),
    Refused("Infinity", 1, 1, "", "expected a value (text stands in quotes), found \"Infinity\""),
    Refused("-NaN", 1, 2, "", "expected a digit, found \"N\""),
    Refused("0660", 1, 1, "", "expected a number without a leading zero, found \"0660\""),
    Refused("0x", 1, 3, "", "expected a digit, found the end of the file"),
    Refused(".", 1, 2, "", "expected a digit, found the end of the file"),
    Refused("1e", 1, 3, "", "expected a digit, found the end of the file"),
    Refused("--1", 1, 2, "", "expected a digit, found \"-\""),
    Refused("1.2.3", 1, 4, "", "expected nothing after the value, found \".\""),
    Refused("['a\nb']", 1, 2, "[0]", "expected a closing quote for this text, found the end of the line"),
    Refused("\"a", 1, 1, "", "expected a closing quote for this text, found the end of the file"),
    Refused("'\\", 1, 3, "", "expected a character after \\, found the end of the file"),
    Refused("'a\\1'", 1, 3, "", "expected an escape of JSON5, found \"\\1\""),
    Refused("'\\01'", 1, 2, "", "expected an escape of JSON5, found \"\\0\""),
    Refused("'\\x4'", 1, 4, "", "expected 2 hexadecimal digits, found \"4\""),
    Refused("'\\u+041'", 1, 4, "", "expected 4 hexadecimal digits, found \"+\""),
    Refused("'\\u12", 1, 4, "", "expected 4 hexadecimal digits, found \"1\""),
    Refused("'\\uD800'", 1, 2, "", "expected a surrogate pair, found half of one"),
    Refused("'\\uD800\\n'", 1, 2, "", "expected a surrogate pair, found half of one"),
    Refused("'\\uD800\\u0041'", 1, 2, "", "expected a surrogate pair, found half of one"),
    Refused("'\\uDE00\\uD83D'", 1, 2, "", "expected a surrogate pair, found half of one"),
    Refused("{a\\u0062: 1}", 1, 3, "a", "expected \":\" after the key, found \"\\\""),
    Refused("\u{1B}", 1, 1, "", "expected a value, found \"\\u{1B}\""),
    Refused(
      "{'a b': {'\\n': x}}", 1, 16, "\"a b\".\"\\u{A}\"", "expected a value (text stands in quotes), found \"x\""),
  ])
  func read_namesPlacePathAndExpectation_whenTheTextIsNotJSON5(_ refused: Refused) {
    #expect(
      throws: JSON5.Failure(
        place: JSON5.Place(line: refused.line, column: refused.column), path: refused.path, message: refused.message)
    ) {
      try JSON5.read(Array(refused.text.utf8))
    }
  }

  @Test(arguments: [[0xFF], [0xC3], [0xED, 0xA0, 0x80], [0xC0, 0x80], [0xF4, 0x90, 0x80, 0x80]])
  func read_namesThePlace_whenBytesAreNotUTF8(_ bytes: [UInt8]) {
    #expect(
      throws: JSON5.Failure(
        place: JSON5.Place(line: 2, column: 3), path: "", message: "expected UTF-8, found a byte that is not")
    ) {
      try JSON5.read(Array("[\né1".utf8) + bytes)
    }
  }

  @Test func read_takes32LevelsAndNoMore() throws {
    func nested(_ depth: Int) -> [UInt8] {
      Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
    }
    _ = try JSON5.read(nested(32))
    let failure = #expect(throws: JSON5.Failure.self) { try JSON5.read(nested(33)) }
    #expect(failure?.place == JSON5.Place(line: 1, column: 33))
    #expect(failure?.message == "expected at most 32 objects and arrays in one another, found one more")
    #expect(throws: JSON5.Failure.self) { try JSON5.read([UInt8](repeating: UInt8(ascii: "["), count: 1 << 20)) }
  }

  @Test func read_takesOneMebibyteAndNoMore() throws {
    let largest = Array("[]".utf8) + [UInt8](repeating: UInt8(ascii: " "), count: 1 << 20 - 2)
    _ = try JSON5.read(largest)
    let failure = #expect(throws: JSON5.Failure.self) { try JSON5.read(largest + [0x20]) }
    #expect(failure?.message == "expected at most 1048576 bytes, found 1048577")
  }
}

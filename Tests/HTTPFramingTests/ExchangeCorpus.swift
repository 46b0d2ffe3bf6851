import HTTPFraming

/// A conversation and what is to be found in it.
struct Conversation: Sendable, CustomStringConvertible {
  let name: String
  /// Each request with the final answer that it gets, interim ones included; an empty answer for none.
  let requests: [String]
  let answers: [String]
  /// nil: boundaries are claimed to the end.
  let opacity: Opacity?
  let isLast: Bool

  init(
    _ name: String, _ requests: [String], _ answers: [String] = [ok], _ opacity: Opacity? = nil, isLast: Bool = false
  ) {
    (self.name, self.requests, self.answers, self.opacity, self.isLast) = (name, requests, answers, opacity, isLast)
  }

  var description: String { name }
}

let ok = "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 7\r\n\r\nApp v1\n"
let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

/// What clients and servers that mean well send.
let wellFormed: [Conversation] = [
  Conversation("wrk", ["GET / HTTP/1.1\r\nHost: 127.0.0.1:9210\r\n\r\n"]),
  Conversation("curl", ["GET /a?b=c%20d HTTP/1.1\r\nHost: h\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"]),
  Conversation(
    "browser",
    [
      "GET /path/to/page HTTP/1.1\r\nHost: example.org\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n"
        + "Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\n"
        + "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: de,en;q=0.9\r\nCookie: a=1; b=\"two\"; c=\u{e9}\r\n\r\n"
    ]),
  Conversation("three pipelined", [get, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", get], [ok, headOnly, ok]),
  Conversation("absolute-form", ["GET http://h:80/x HTTP/1.1\r\nHost: h\r\n\r\n"]),
  Conversation("asterisk-form", ["OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"], [noContent]),
  Conversation("empty lines before a request", ["\r\n\r\n" + get, "\n" + get], [ok, ok]),
  Conversation("a body", ["POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world", get], [ok, ok]),
  Conversation(
    "a body that looks like a request", ["POST / HTTP/1.1\r\ncontent-length:  27 \r\n\r\n" + get, get], [ok, ok]),
  Conversation(
    "chunked upload",
    ["PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", get],
    [ok, ok]),
  Conversation(
    "chunked in capitals, with trailers",
    ["POST / HTTP/1.1\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n1\r\nx\r\n0\r\nTrailer: a\r\nMore: b\r\n\r\n", get],
    [ok, ok]),
  Conversation("chunked answer", [get, get], [chunked, chunked]),
  Conversation("304", [get, get], ["HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n", ok]),
  Conversation("no reason", [get], ["HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"]),
  Conversation(
    "100 and 103 before the answer", ["POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", get],
    ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok, ok]),
  Conversation(
    "bare LF throughout", ["GET / HTTP/1.1\nHost: x\n\n", "POST / HTTP/1.1\nContent-Length: 2\n\nhi"],
    [ok, "HTTP/1.1 200 OK\nContent-Length: 1\n\nx"]),
  Conversation(
    "a fold that decides nothing", ["GET / HTTP/1.1\r\nHost: x\r\nX-Long: a\r\n b\r\n\tc: d\r\n\r\n", get], [ok, ok]),
  Conversation(
    "keep-alive in HTTP/1.0", ["GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", get],
    ["HTTP/1.0 200 OK\r\nConnection: foo , keep-alive\r\nContent-Length: 0\r\n\r\n", ok]),
  Conversation("HTTP/1.0", ["GET / HTTP/1.0\r\n\r\n"], ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"], isLast: true),
  Conversation("the client closes", ["GET / HTTP/1.1\r\nConnection: te, close\r\n\r\n"], isLast: true),
  Conversation(
    "the server closes", [get], ["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"], isLast: true),
  Conversation(
    "an upgrade that is declined",
    ["GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", get], [ok, ok]),
  Conversation(
    "names that begin like others",
    [
      "GET / HTTP/1.1\r\nContent-Lengthy: 5\r\nContent: 5\r\nConnectio: close\r\nConnections: close\r\nUpgrades: x\r\nTransfer-Encodin: chunked\r\nTE: trailers\r\n\r\n",
      get,
    ], [ok, ok]),
  Conversation(
    "options that begin like others", ["GET / HTTP/1.1\r\nConnection: closed, clos, xclose\r\n\r\n", get], [ok, ok]),
  Conversation("a higher minor version", ["GET / HTTP/1.2\r\n\r\n", get], [ok, ok]),
  Conversation(
    "Apache's keep-alive", [get, get],
    [
      "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 05:21:42 GMT\r\nServer: Apache/2.4.57 (Debian)\r\n"
        + "ETag: \"267-5efb9a0a4c580\"\r\nAccept-Ranges: bytes\r\nContent-Length: 3\r\nUpgrade: h2,h2c\r\n"
        + "Keep-Alive: timeout=5, max=100\r\nConnection: Upgrade, Keep-Alive\r\nContent-Type: text/html\r\n\r\nabc", ok,
    ]),
  Conversation(
    "Python's http.server", [get], ["HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6\r\nContent-Length: 3\r\n\r\nabc"],
    isLast: true),
  Conversation(
    "curl's upload",
    [
      "PUT /up HTTP/1.1\r\nHost: h\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nTransfer-Encoding: chunked\r\n"
        + "Expect: 100-continue\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
      get,
    ], ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nLocation: /up\r\nContent-Length: 0\r\n\r\n", ok]),
  Conversation(
    "a form", ["POST /f HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nContent-Length: 7\r\n\r\na=b&c=d", get],
    ["HTTP/1.1 302 Found\r\nLocation: /g\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", ok]),
  Conversation("authority-form, refused", ["CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", get], [forbidden, ok]),
  Conversation(
    "CONNECT without a body, as it says", ["CONNECT h:1 HTTP/1.1\r\nContent-Length: 0\r\n\r\n"], [forbidden]),
  Conversation("tabs around values", ["POST / HTTP/1.1\r\nContent-Length:\t2\t\r\n\r\nhi", get], [ok, ok]),
  Conversation(
    "a tab before chunked", ["POST / HTTP/1.1\r\nTransfer-Encoding:\tchunked \r\n\r\n0\r\n\r\n", get], [ok, ok]),
  Conversation("names with marks", ["GET / HTTP/1.1\r\nx_y.z!#$%&'*+^`|~: 1\r\nETag: x\r\n\r\n", get], [ok, ok]),
  Conversation("values with all that is allowed", ["GET /\u{e9}{} HTTP/1.1\r\nX:\ta\tb\u{ff}\u{80}\r\nY:\r\n\r\n"]),
  Conversation("leading zeros", ["POST / HTTP/1.1\r\nContent-Length: 0002\r\n\r\nhi", get], [ok, ok]),
  Conversation(
    "304 and HEAD with chunks that do not come", [get, "HEAD / HTTP/1.1\r\n\r\n"],
    [
      "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ]),
  Conversation("a method of one's own", ["PURGE_ALL_THE_THINGS / HTTP/1.1\r\n\r\n", get], [ok, ok]),
]

let headOnly = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
let forbidden = "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n"
let noContent = "HTTP/1.1 204 No Content\r\n\r\n"
let chunked =
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nApp v1\r\n1;e=\"q\"\r\n\n\r\n0\r\nX-Checksum: 1\r\n\r\n"

private func request(_ lines: String..., body: String = "") -> [String] {
  [(["POST / HTTP/1.1"] + lines).joined(separator: "\r\n") + "\r\n\r\n" + body]
}

/// What can be read in two ways. Each makes the session opaque, whatever comes behind it.
let ambiguous: [Conversation] = [
  Conversation(
    "CL.TE", request("Content-Length: 6", "Transfer-Encoding: chunked", body: "0\r\n\r\nG"), [], .lengthAndCoding),
  Conversation(
    "TE.CL", request("Transfer-Encoding: chunked", "Content-Length: 4", body: "5c\r\n"), [], .lengthAndCoding),
  Conversation("two lengths", request("Content-Length: 5", "Content-Length: 6"), [], .contentLength),
  Conversation("the same length twice", request("Content-Length: 5", "Content-Length: 5"), [], .contentLength),
  Conversation("a list of lengths", request("Content-Length: 5, 5"), [], .contentLength),
  Conversation("+5", request("Content-Length: +5"), [], .contentLength),
  Conversation("-5", request("Content-Length: -5"), [], .contentLength),
  Conversation("0x5", request("Content-Length: 0x5"), [], .contentLength),
  Conversation("5 5", request("Content-Length: 5 5"), [], .contentLength),
  Conversation("no number", request("Content-Length: "), [], .contentLength),
  Conversation("2^64", request("Content-Length: 18446744073709551616"), [], .contentLength),
  Conversation("TE xchunked", request("Transfer-Encoding: xchunked"), [], .transferEncoding),
  Conversation("TE chunked, identity", request("Transfer-Encoding: chunked, identity"), [], .transferEncoding),
  Conversation("TE identity, chunked", request("Transfer-Encoding: identity, chunked"), [], .transferEncoding),
  Conversation(
    "TE chunked twice", request("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), [], .transferEncoding),
  Conversation(
    "TE chunked and cow", request("Transfer-Encoding: chunked", "Transfer-encoding: cow"), [], .transferEncoding),
  Conversation("TE with a vertical tab", request("Transfer-Encoding: \u{B}chunked"), [], .transferEncoding),
  Conversation("TE in quotes", request("Transfer-Encoding: \"chunked\""), [], .transferEncoding),
  Conversation("TE chunkedx", request("Transfer-Encoding: chunkedx"), [], .transferEncoding),
  Conversation("TE chunked and a comma", request("Transfer-Encoding: chunked,"), [], .transferEncoding),
  Conversation("TE a comma and chunked", request("Transfer-Encoding: , chunked"), [], .transferEncoding),
  Conversation("TE with a parameter", request("Transfer-Encoding: chunked;q=1"), [], .transferEncoding),
  Conversation("TE in two words", request("Transfer-Encoding: chun ked"), [], .transferEncoding),
  Conversation("TE with a byte behind it", request("Transfer-Encoding: chunked\u{80}"), [], .transferEncoding),
  Conversation("TE gzip", request("Transfer-Encoding: gzip"), [], .transferEncoding),
  Conversation("5,", request("Content-Length: 5,"), [], .contentLength),
  Conversation("5;", request("Content-Length: 5;"), [], .contentLength),
  Conversation("5.0", request("Content-Length: 5.0"), [], .contentLength),
  Conversation("1_0", request("Content-Length: 1_0"), [], .contentLength),
  Conversation("digits of another script", request("Content-Length: \u{661}"), [], .contentLength),
  Conversation(
    "a length far too long", request("Content-Length: " + String(repeating: "9", count: 400)), [], .contentLength),
  Conversation(
    "CL.TE in a GET", ["GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"], [],
    .lengthAndCoding),
  Conversation("a body with GET", ["GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"], [], .unexpectedBody),
  Conversation(
    "chunks with HEAD", ["HEAD / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"], [], .unexpectedBody),
  Conversation("a body with DELETE", ["DELETE / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"], [], .unexpectedBody),
  Conversation("a body behind CONNECT", ["CONNECT h:1 HTTP/1.1\r\nContent-Length: 5\r\n\r\n"], [], .unexpectedBody),
  Conversation(
    "chunks behind CONNECT", ["CONNECT h:1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"], [], .unexpectedBody),
  Conversation("a fold of blanks only", request("X: y", " \t"), [], .foldedField),
  Conversation("a fold of Upgrade", request("Upgrade: a", " b"), [], .foldedField),
  Conversation("a fold of Expect", request("Expect:", " 100-continue"), [], .foldedField),
  Conversation(
    "a second fold that looks like a length", request("X: y", " z", "\t content-length: 5"), [], .foldedField),
  Conversation("a fold that looks like Connection", request("X: y", " Connection: close"), [], .foldedField),
  Conversation("a tab before the first field", request("\tX: y"), [], .foldedField),
  Conversation("an escape in a value", request("X: \u{1B}[2J"), [], .controlByte),
  Conversation("DEL in a value", request("X: \u{7F}"), [], .controlByte),
  Conversation("a CR at the end of a value", request("X: y\r"), [], .bareCarriageReturn),
  Conversation("LF throughout, and CR LF at the end", ["GET / HTTP/1.1\nX: y\n\r\n"], [], .mixedLineEnds),
  Conversation("CR LF throughout, and LF at the end", ["GET / HTTP/1.1\r\nX: y\r\n\n"], [], .mixedLineEnds),
  Conversation("a trailer without a colon", request("Transfer-Encoding: chunked", body: "0\r\n" + get), [], .chunk),
  Conversation(
    "a trailer with a blank before its colon", request("Transfer-Encoding: chunked", body: "0\r\nX : y\r\n\r\n"), [],
    .chunk),
  Conversation("a chunk size with a sign", request("Transfer-Encoding: chunked", body: "+5\r\nhello\r\n"), [], .chunk),
  Conversation("a chunk size with a minus", request("Transfer-Encoding: chunked", body: "-5\r\nhello\r\n"), [], .chunk),
  Conversation(
    "a chunk size with blanks before", request("Transfer-Encoding: chunked", body: " 5\r\nhello\r\n"), [], .chunk),
  Conversation(
    "a chunk size with blanks behind", request("Transfer-Encoding: chunked", body: "5 \r\nhello\r\n"), [], .chunk),
  Conversation("a chunk size of nothing", request("Transfer-Encoding: chunked", body: "\r\nhello\r\n"), [], .chunk),
  Conversation(
    "a chunk extension with a bare CR", request("Transfer-Encoding: chunked", body: "5;\rx\r\nhello\r\n"), [], .chunk),
  Conversation(
    "NUL in a chunk extension", request("Transfer-Encoding: chunked", body: "5;a\0\r\nhello\r\n"), [], .chunk),
  Conversation(
    "trailers without end",
    request("Transfer-Encoding: chunked", body: "0\r\n" + String(repeating: "X: y\r\n", count: 3000)), [], .chunk),
  Conversation("TE empty", request("Transfer-Encoding:"), [], .transferEncoding),
  Conversation("TE in HTTP/1.0", ["POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"], [], .transferEncoding),
  Conversation("blank before the colon", request("Transfer-Encoding : chunked"), [], .fieldName),
  Conversation("tab before the colon", request("Content-Length\t: 5"), [], .fieldName),
  Conversation("no colon", request("Host"), [], .fieldName),
  Conversation("no name", request(": x"), [], .fieldName),
  Conversation("a field's name in brackets", request("X(y): z"), [], .fieldName),
  Conversation("blank before the first field", request(" Transfer-Encoding: chunked"), [], .foldedField),
  Conversation("a fold of a length", request("Content-Length:", " 5"), [], .contentLength),
  Conversation("a fold of a coding", request("Transfer-Encoding: chunked", " , identity"), [], .foldedField),
  Conversation("a fold of Connection", request("Connection: keep-alive,", " close"), [], .foldedField),
  Conversation("a fold that looks like a coding", request("X: y", " Transfer-Encoding: chunked"), [], .foldedField),
  Conversation("a fold that looks like a length, oddly", request("X: y", "\tContent-Length : 5"), [], .foldedField),
  Conversation(
    "lines that end in two ways", ["POST / HTTP/1.1\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n"], [], .mixedLineEnds),
  Conversation("bare CR", ["GET / HTTP/1.1\r\nX: y\rContent-Length: 5\r\n\r\n"], [], .bareCarriageReturn),
  Conversation("bare CR before a request", ["\rGET / HTTP/1.1\r\n\r\n"], [], .bareCarriageReturn),
  Conversation("NUL in a value", ["GET / HTTP/1.1\r\nX: a\0b\r\n\r\n"], [], .controlByte),
  Conversation("NUL in a name", ["GET / HTTP/1.1\r\nX\0: b\r\n\r\n"], [], .fieldName),
  Conversation("NUL in the target", ["GET /\0 HTTP/1.1\r\n\r\n"], [], .startLine),
  Conversation("HTTP/0.9", ["GET /\r\n"], [], .startLine),
  Conversation("HTTP/2.0 with a target", ["GET / HTTP/2.0\r\n\r\n"], [], .startLine),
  Conversation("two digits in the version", ["GET / HTTP/1.10\r\n\r\n"], [], .controlByte),
  Conversation("no digit in the version", ["GET / HTTP/1.\r\n\r\n"], [], .startLine),
  Conversation("a blank behind the version", ["GET / HTTP/1.1 \r\n\r\n"], [], .controlByte),
  Conversation("a blank before the method", [" GET / HTTP/1.1\r\n\r\n"], [], .startLine),
  Conversation("no target", ["GET HTTP/1.1\r\n\r\n"], [], .startLine),
  Conversation("brackets in the method", ["GE(T / HTTP/1.1\r\n\r\n"], [], .startLine),
  Conversation("HTTP/2", ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], [], .startLine),
  Conversation("two spaces", ["GET  / HTTP/1.1\r\n\r\n"], [], .startLine),
  Conversation("a space in the target", ["GET /a b HTTP/1.1\r\n\r\n"], [], .startLine),
  Conversation("a tab between", ["GET\t/ HTTP/1.1\r\n\r\n"], [], .startLine),
  Conversation("http in small letters", ["GET / http/1.1\r\n\r\n"], [], .startLine),
  Conversation("something behind the version", ["GET / HTTP/1.1 x\r\n\r\n"], [], .controlByte),
  Conversation("head in small letters", ["head / HTTP/1.1\r\n\r\n"], [], .methodCase),
  Conversation("Connect in mixed letters", ["Connect x:1 HTTP/1.1\r\n\r\n"], [], .methodCase),
  Conversation("TLS", ["\u{16}\u{3}\u{1}\u{2}"], [], .startLine),
  Conversation("a chunk size that is none", request("Transfer-Encoding: chunked", body: "x\r\n"), [], .chunk),
  Conversation(
    "a chunk size too large", request("Transfer-Encoding: chunked", body: "FFFFFFFFFFFFFFFFF\r\n"), [], .chunk),
  Conversation("a chunk size with 0x", request("Transfer-Encoding: chunked", body: "0x5\r\nhello\r\n"), [], .chunk),
  Conversation(
    "a chunk longer than it says", request("Transfer-Encoding: chunked", body: "1\r\nxx\r\n0\r\n\r\n"), [], .chunk),
  Conversation(
    "a chunk extension with a bare LF", request("Transfer-Encoding: chunked", body: "5;\nx\r\nhello\r\n"), [], .chunk),
  Conversation("chunk lines with bare LF", request("Transfer-Encoding: chunked", body: "5\nhello\n0\n\n"), [], .chunk),
  Conversation("a trailer that is folded", request("Transfer-Encoding: chunked", body: "0\r\n x\r\n\r\n"), [], .chunk),
  Conversation(
    "a head too long", ["GET / HTTP/1.1\r\nX: " + String(repeating: "y", count: 65_536) + "\r\n\r\n"], [], .longHead),
  Conversation("a line of 64 KiB", [String(repeating: "A", count: 70_000)], [], .longHead),
  Conversation("an answer that is not HTTP", [get], ["ICY 200 OK\r\n\r\n"], .startLine),
  Conversation("an answer behind an empty line", [get], ["\r\n" + ok], .startLine),
  Conversation("an answer of HTTP/2", [get], ["HTTP/2.0 200 OK\r\n\r\n"], .startLine),
  Conversation("an answer with a status of four digits", [get], ["HTTP/1.1 2000 OK\r\n\r\n"], .controlByte),
  Conversation("an answer with status 099", [get], ["HTTP/1.1 099 OK\r\n\r\n"], .startLine),
  Conversation("an answer with two spaces", [get], ["HTTP/1.1  200 OK\r\n\r\n"], .startLine),
  Conversation(
    "an answer with two lengths", [get], ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"],
    .contentLength),
  Conversation(
    "an answer with gzip", [get], ["HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"], .transferEncoding),
  Conversation(
    "an answer to HEAD with both lengths", ["HEAD / HTTP/1.1\r\n\r\n"],
    ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"], .lengthAndCoding),
  Conversation(
    "a folded length in an answer", [get], ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 2\r\n\r\n"], .foldedField),
  Conversation(
    "a head too long of an answer", [get], ["HTTP/1.1 200 " + String(repeating: "y", count: 65_536)], .longHead),
  Conversation("an upgrade that nobody asked for", [get], ["HTTP/1.1 101 Switching Protocols\r\n\r\n"], .upgraded),
  Conversation("an answer with a status of two digits", [get], ["HTTP/1.1 20 OK\r\n\r\n"], .startLine),
  Conversation(
    "an answer with both lengths", [get],
    ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"], .lengthAndCoding),
  Conversation(
    "an answer of HTTP/1.0 with chunks", [get], ["HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"],
    .transferEncoding),
  Conversation(
    "an answer with broken chunks", [get], ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"], .chunk),
  Conversation(
    "an upgrade", ["GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"],
    ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"], .upgraded),
  Conversation("a tunnel", ["CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"], ["HTTP/1.1 200 OK\r\n\r\n"], .tunnel),
]

"""Requests that two readers may take for different ones: what has been used to smuggle one request inside another.

Sources: RFC 9112 §11.2, PortSwigger's "HTTP Desync Attacks" (CL.TE, TE.CL, TE.TE), "Browser-Powered Desync Attacks"
(CL.0), "HTTP Request Smuggling Reborn" and the chunk cases of 2025 (TERM.EXT, EXT.TERM, two bytes that end a chunk).
"""

from __future__ import annotations

from dataclasses import dataclass

_SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
_PARTIAL = b"GET /smuggled HTTP/1.1\r\nX-Hides: "


@dataclass(frozen=True)
class Attack:
    name: str
    data: bytes
    is_read_by_few: bool = False
    """The body of a GET, which Python's http.server leaves where it is: it takes it for the next request."""
    is_last: bool = False
    """It says that nothing comes after it: what does may be left where it is."""


def _head(*lines: str, start: str = "POST /case HTTP/1.1", end: str = "\r\n") -> bytes:
    return end.join([start, "Host: a", *lines, "", ""]).encode("latin-1")


def _coding(name: str, *lines: str, start: str = "POST /case HTTP/1.1") -> list[Attack]:
    """With this spelling of Transfer-Encoding: a body that ends at once for whoever reads it as chunked, and one that
    ends in its midst for whoever goes by the length."""
    ends_at_once = b"0\r\n\r\n" + _SMUGGLED
    in_chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(_SMUGGLED), _SMUGGLED)
    short = in_chunk.index(b"\r\n") + 2
    return [
        Attack(f"CL.TE, {name}", _head(f"Content-Length: {len(ends_at_once)}", *lines, start=start) + ends_at_once),
        Attack(f"TE.CL, {name}", _head(f"Content-Length: {short}", *lines, start=start) + in_chunk),
        Attack(f"TE alone, {name}", _head(*lines, start=start) + ends_at_once),
    ]


def _length(name: str, *lines: str, body: bytes = b"hello") -> Attack:
    return Attack(f"length: {name}", _head(*lines) + body + _SMUGGLED)


def _chunks(name: str, body: bytes) -> Attack:
    return Attack(f"chunks: {name}", _head("Transfer-Encoding: chunked") + body)


def attacks() -> list[Attack]:
    """Each begins on a fresh connection with a request for /case; nothing in them may be answered to anybody else."""
    found = []

    found += _coding("as it should be", "Transfer-Encoding: chunked")
    found += _coding("another coding", "Transfer-Encoding: xchunked")
    found += _coding("a blank before the colon", "Transfer-Encoding : chunked")
    found += _coding("a tab before the value", "Transfer-Encoding:\tchunked")
    found += _coding("a vertical tab before the value", "Transfer-Encoding:\x0bchunked")
    found += _coding("no blank", "Transfer-Encoding:chunked")
    found += _coding("a blank behind the value", "Transfer-Encoding: chunked ")
    found += _coding("capitals", "TRANSFER-ENCODING: cHuNkEd")
    found += _coding("an underscore", "Transfer_Encoding: chunked")
    found += _coding("quotes", 'Transfer-Encoding: "chunked"')
    found += _coding("twice, the second unknown", "Transfer-Encoding: chunked", "Transfer-Encoding: x")
    found += _coding("twice, the first unknown", "Transfer-Encoding: x", "Transfer-Encoding: chunked")
    found += _coding("twice", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")
    found += _coding("identity last", "Transfer-Encoding: chunked, identity")
    found += _coding("identity first", "Transfer-Encoding: identity, chunked")
    found += _coding("an empty element", "Transfer-Encoding: ,chunked")
    found += _coding("a parameter", "Transfer-Encoding: chunked;q=1")
    found += _coding("empty", "Transfer-Encoding:")
    found += _coding("a blank before the name", " Transfer-Encoding: chunked")
    found += _coding("folded into another field", "X: y", " Transfer-Encoding: chunked")
    found += _coding("its value folded", "Transfer-Encoding:", " chunked")
    found += _coding("its colon folded", "Transfer-Encoding", " : chunked")
    found += _coding("behind a bare LF", "X: y\nTransfer-Encoding: chunked")
    found += _coding("behind a bare CR", "X: y\rTransfer-Encoding: chunked")
    found += _coding("behind a NUL", "X: y\x00", "Transfer-Encoding: chunked")
    found += _coding("a NUL in the name", "Transfer-Encoding\x00: chunked")
    found += _coding("a letter beyond ASCII", "Transfer-Encoding: chunked\xff")
    found += _coding("HTTP/1.0", "Transfer-Encoding: chunked", "Connection: keep-alive",
                     start="POST /case HTTP/1.0")
    found += _coding("named by Connection", "Transfer-Encoding: chunked", "Connection: Transfer-Encoding")

    found += [
        _length("twice the same", "Content-Length: 5", "Content-Length: 5"),
        _length("twice, the first longer", f"Content-Length: {5 + len(_SMUGGLED)}", "Content-Length: 5"),
        _length("twice, the second longer", "Content-Length: 5", f"Content-Length: {5 + len(_SMUGGLED)}"),
        _length("a list", "Content-Length: 5, 5"),
        _length("a list without blanks", f"Content-Length: 5,{5 + len(_SMUGGLED)}"),
        _length("a sign", "Content-Length: +5"),
        _length("a minus sign", "Content-Length: -5"),
        _length("hexadecimal", "Content-Length: 0x5"),
        _length("underlined", "Content-Length: 0_5"),
        _length("leading zeros", "Content-Length: 0000000000000005"),
        _length("two numbers", "Content-Length: 5 5"),
        _length("a point", "Content-Length: 5.0"),
        _length("letters behind it", "Content-Length: 5x"),
        _length("empty", "Content-Length:", body=b""),
        _length("a blank before the colon", "Content-Length : 5"),
        _length("a blank before the name", " Content-Length: 5"),
        _length("folded", "Content-Length:", " 5"),
        _length("folded digits", "Content-Length: 5", " 0"),
        _length("folded into another field", "X: y", "\tContent-Length: 5"),
        _length("an underscore", "Content_Length: 5"),
        _length("beyond 64 bits", "Content-Length: 18446744073709551621"),
        _length("named by Connection", "Content-Length: 5", "Connection: Content-Length"),
        _length("behind a bare LF", "X: y\nContent-Length: 5"),
        _length("behind a bare CR", "X: y\rContent-Length: 5"),
        _length("a vertical tab behind it", "Content-Length: 5\x0b"),
        Attack("length: less than there is", _head("Content-Length: 0") + _SMUGGLED),
        Attack("length: a part of a request is left", _head("Content-Length: 5") + b"hello" + _PARTIAL),
        Attack("length: a part of a request inside", _head(f"Content-Length: {len(_PARTIAL)}") + _PARTIAL),
    ]

    last = b"0\r\n\r\n"
    found += [
        _chunks("an extension", b"5;a=b\r\nhello\r\n" + last),
        _chunks("a quoted extension", b'5;a="b;c"\r\nhello\r\n' + last),
        _chunks("a blank before the extension", b"5 ;a\r\nhello\r\n" + last),
        _chunks("an extension that ends with a bare LF", b"5;a\nhello\r\n" + last + _SMUGGLED),
        _chunks("TERM.EXT", b"2;\nxx\r\n2b\r\n" + b"0\r\n\r\n" + _SMUGGLED + last),
        _chunks("EXT.TERM", b"2;\rxx\r\n" + last + _SMUGGLED),
        _chunks("a bare CR behind the size", b"5\rhello\r\n" + last + _SMUGGLED),
        _chunks("a bare LF behind the size", b"5\nhello\r\n" + last + _SMUGGLED),
        _chunks("a bare LF behind the data", b"5\r\nhello\n" + last + _SMUGGLED),
        _chunks("two other bytes behind the data", b"5\r\nhelloXX" + last + _SMUGGLED),
        _chunks("nothing behind the data", b"5\r\nhello" + last + _SMUGGLED),
        _chunks("a blank behind the size", b"5 \r\nhello\r\n" + last + _SMUGGLED),
        _chunks("a blank before the size", b" 5\r\nhello\r\n" + last + _SMUGGLED),
        _chunks("hexadecimal spelled out", b"0x5\r\nhello\r\n" + last + _SMUGGLED),
        _chunks("a sign", b"+5\r\nhello\r\n" + last + _SMUGGLED),
        _chunks("a minus sign", b"-5\r\nhello\r\n" + last + _SMUGGLED),
        _chunks("underlined", b"0_5\r\nhello\r\n" + last + _SMUGGLED),
        _chunks("leading zeros", b"0000000000000005\r\nhello\r\n" + last + _SMUGGLED),
        _chunks("beyond 64 bits", b"10000000000000005\r\nhello\r\n" + last + _SMUGGLED),
        _chunks("no size", b"\r\nhello\r\n" + last + _SMUGGLED),
        _chunks("a last chunk of many zeros", b"5\r\nhello\r\n000\r\n\r\n" + _SMUGGLED),
        _chunks("a last chunk with an extension", b"5\r\nhello\r\n0;a=b\r\n\r\n" + _SMUGGLED),
        _chunks("a last chunk that ends with bare LF", b"5\r\nhello\r\n0\n\n" + _SMUGGLED),
        _chunks("one line end too few", b"5\r\nhello\r\n0\r\n" + _SMUGGLED),
        _chunks("a trailer", b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n" + _SMUGGLED),
        _chunks("a length in the trailers", b"5\r\nhello\r\n0\r\nContent-Length: 100\r\n\r\n" + _SMUGGLED),
        _chunks("a coding in the trailers", b"5\r\nhello\r\n0\r\nTransfer-Encoding: x\r\n\r\n" + _SMUGGLED),
        _chunks("a trailer that ends with a bare LF", b"5\r\nhello\r\n0\r\nX: 1\n\r\n" + _SMUGGLED),
        _chunks("a folded trailer", b"5\r\nhello\r\n0\r\nX: 1\r\n 2\r\n\r\n" + _SMUGGLED),
        _chunks("a trailer that is no field", b"5\r\nhello\r\n0\r\nhello\r\n\r\n" + _SMUGGLED),
        _chunks("a request for a trailer", b"5\r\nhello\r\n0\r\n" + _PARTIAL),
        _chunks("a size that is never filled", b"ffff\r\n" + _SMUGGLED),
    ]

    def get(name: str, data: bytes, **flags: bool) -> None:
        found.append(Attack(name, data, **flags))

    plain = "GET /case HTTP/1.1"
    get("head: bare LF", _head(start=plain, end="\n") + _SMUGGLED)
    get("head: a bare LF before the last line", b"GET /case HTTP/1.1\r\nHost: a\n\r\n" + _SMUGGLED)
    get("head: ends with LF LF", b"GET /case HTTP/1.1\r\nHost: a\r\nX: y\n\n" + _SMUGGLED)
    get("head: ends with CR LF LF", b"GET /case HTTP/1.1\r\nHost: a\r\n\n" + _SMUGGLED)
    get("head: CR CR LF", b"GET /case HTTP/1.1\r\nHost: a\r\r\n\r\n" + _SMUGGLED)
    get("head: a request behind CR alone", b"GET /case HTTP/1.1\r\nHost: a\r\n\rGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    get("head: empty lines before it", b"\r\n\r\n\r\n" + _head(start=plain) + b"\r\n" + _SMUGGLED)
    get("head: bare LF before it", b"\n\n" + _head(start=plain) + b"\n" + _SMUGGLED)
    get("head: a NUL in a value", _head("X: a\x00b", start=plain) + _SMUGGLED)
    get("head: a bare CR in a value", _head("X: a\rb", start=plain) + _SMUGGLED)
    get("head: no colon", _head("Hello", start=plain) + _SMUGGLED)
    get("head: no name", _head(": hello", start=plain) + _SMUGGLED)
    get("head: a blank in the name", _head("A b: c", start=plain) + _SMUGGLED)
    get("head: a request folded into a field", _head("X: y", " GET /smuggled HTTP/1.1", start=plain) + _SMUGGLED)
    get("head: two blanks in the first line", _head(start="GET  /case  HTTP/1.1") + _SMUGGLED)
    get("head: a tab in the first line", _head(start="GET\t/case\tHTTP/1.1") + _SMUGGLED)
    get("head: a blank behind the version", _head(start="GET /case HTTP/1.1 ") + _SMUGGLED)
    get("head: a blank in the target", _head(start="GET /case HTTP/1.1 HTTP/1.1") + _SMUGGLED)
    get("head: lower case", _head(start="get /case HTTP/1.1") + _SMUGGLED)
    get("head: version 1.2", _head(start="GET /case HTTP/1.2") + _SMUGGLED)
    get("head: version 2.0", _head(start="GET /case HTTP/2.0") + _SMUGGLED)
    get("head: version 0.9", _head(start="GET /case HTTP/0.9") + _SMUGGLED)
    get("head: no version", b"GET /case\r\n" + _SMUGGLED)
    get("head: HTTP/1.0 that goes on", _head("Connection: keep-alive", start="GET /case HTTP/1.0") + _SMUGGLED)
    get("head: HTTP/1.0 that ends", _head(start="GET /case HTTP/1.0") + _SMUGGLED, is_last=True)
    get("head: the last request", _head("Connection: close", start=plain) + _SMUGGLED, is_last=True)
    get("head: the last and not the last", _head("Connection: close, keep-alive", start=plain) + _SMUGGLED,
        is_last=True)
    get("head: over 64 KiB", _head("X: " + "x" * 70000, start=plain) + _SMUGGLED)
    get("head: many fields", _head(*[f"X{number}: y" for number in range(300)], start=plain) + _SMUGGLED)
    get("head: absolute form", _head(start="GET http://b/case HTTP/1.1") + _SMUGGLED)
    get("head: asks for HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _SMUGGLED)
    get("head: pipelined", _head(start=plain) + _SMUGGLED + _SMUGGLED)
    get("head: a part of the next", _head(start=plain) + b"GET /smugg")

    get("body: GET with a length", _head(f"Content-Length: {len(_SMUGGLED)}", start=plain) + _SMUGGLED,
        is_read_by_few=True)
    get("body: GET with a part of a request", _head(f"Content-Length: {len(_PARTIAL)}", start=plain) + _PARTIAL,
        is_read_by_few=True)
    get("body: GET with chunks", _head("Transfer-Encoding: chunked", start=plain)
        + b"%x\r\n%s\r\n0\r\n\r\n" % (len(_SMUGGLED), _SMUGGLED), is_read_by_few=True)
    get("body: OPTIONS with a length", _head(f"Content-Length: {len(_SMUGGLED)}", start="OPTIONS /case HTTP/1.1")
        + _SMUGGLED, is_read_by_few=True)
    get("body: DELETE with a length", _head(f"Content-Length: {len(_SMUGGLED)}", start="DELETE /case HTTP/1.1")
        + _SMUGGLED, is_read_by_few=True)
    get("body: an unknown method with a length", _head(f"Content-Length: {len(_SMUGGLED)}", start="FROB /case HTTP/1.1")
        + _SMUGGLED, is_read_by_few=True)
    get("body: HEAD with a length", _head(f"Content-Length: {len(_SMUGGLED)}", start="HEAD /case HTTP/1.1")
        + _SMUGGLED, is_read_by_few=True)
    get("body: HEAD in lower case", _head(start="head /case HTTP/1.1") + _SMUGGLED)
    get("body: announced and sent at once", _head(f"Content-Length: {len(_SMUGGLED)}", "Expect: 100-continue")
        + _SMUGGLED)
    get("body: announced twice", _head(f"Content-Length: {len(_SMUGGLED)}", "Expect: 100-continue",
                                       "Expect: 100-continue") + _SMUGGLED)
    get("body: announced as something else", _head(f"Content-Length: {len(_SMUGGLED)}", "Expect: x") + _SMUGGLED)
    get("upgrade: to HTTP/2", _head("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings",
                                    "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", start=plain) + _SMUGGLED)
    get("upgrade: to a WebSocket of version 777", _head(
        "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 777", "Sec-WebSocket-Key: AAAA",
        start=plain) + _SMUGGLED)
    get("upgrade: CONNECT", _head(start="CONNECT a:80 HTTP/1.1") + _SMUGGLED)
    return found

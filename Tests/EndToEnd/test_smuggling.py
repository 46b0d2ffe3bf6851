"""Requests that two readers could understand in two ways, against real servers: never an answer of one client for another, and
never a boundary where the server sees none."""

from __future__ import annotations

import contextlib
import socket

from scripted import Client
from web import WebCase

HIDDEN = "GET /hidden.txt HTTP/1.1\r\nHost: x\r\n\r\n"


def post(*fields: str, body: str = "", version: str = "1.1") -> bytes:
    return ("\r\n".join([f"POST /index.html HTTP/{version}", "Host: x", *fields]) + "\r\n\r\n" + body).encode("latin-1")


def get(*fields: str, body: str = "") -> bytes:
    return ("\r\n".join(["GET /index.html HTTP/1.1", "Host: x", *fields]) + "\r\n\r\n" + body).encode("latin-1")


CHUNKED_HIDDEN = f"{len(HIDDEN):x}\r\n{HIDDEN}\r\n0\r\n\r\n"
EMPTY_CHUNK = "0\r\n\r\n"

CASES = {
    "CL.TE": post("Content-Length: 6", "Transfer-Encoding: chunked", body=EMPTY_CHUNK + "G"),
    "CL.TE with a hidden request": post(f"Content-Length: {5 + len(HIDDEN)}", "Transfer-Encoding: chunked",
                                        body=EMPTY_CHUNK + HIDDEN),
    "TE.CL": post("Content-Length: 4", "Transfer-Encoding: chunked", body=CHUNKED_HIDDEN),
    "TE.CL, the other order": post("Transfer-Encoding: chunked", "Content-Length: 4", body=CHUNKED_HIDDEN),
    "TE.TE with a second coding": post("Transfer-Encoding: chunked", "Transfer-encoding: identity", body=CHUNKED_HIDDEN),
    "TE.TE xchunked": post("Transfer-Encoding: xchunked", "Content-Length: 4", body=CHUNKED_HIDDEN),
    "TE with a blank before the colon": post("Transfer-Encoding : chunked", "Content-Length: 4", body=CHUNKED_HIDDEN),
    "TE with a tab": post("Transfer-Encoding:\tchunked", body=CHUNKED_HIDDEN),
    "TE with a vertical tab": post("Transfer-Encoding: \x0bchunked", "Content-Length: 4", body=CHUNKED_HIDDEN),
    "TE in quotes": post('Transfer-Encoding: "chunked"', "Content-Length: 4", body=CHUNKED_HIDDEN),
    "TE chunked, identity": post("Transfer-Encoding: chunked, identity", "Content-Length: 4", body=CHUNKED_HIDDEN),
    "TE in HTTP/1.0": post("Transfer-Encoding: chunked", "Connection: keep-alive", body=CHUNKED_HIDDEN, version="1.0"),
    "TE behind a bare LF": post("X: y\nTransfer-Encoding: chunked", "Content-Length: 4", body=CHUNKED_HIDDEN),
    "TE behind a bare CR": post("X: y\rTransfer-Encoding: chunked", "Content-Length: 4", body=CHUNKED_HIDDEN),
    "TE in a fold": post("X: y", " Transfer-Encoding: chunked", "Content-Length: 4", body=CHUNKED_HIDDEN),
    "TE folded": post("Transfer-Encoding:", " chunked", "Content-Length: 4", body=CHUNKED_HIDDEN),
    "a fold of Content-Length": post("Content-Length: 4", " 0", body="abcd"),
    "a field before the first one, with a blank": b"POST /index.html HTTP/1.1\r\n Content-Length: 40\r\nHost: x\r\n\r\n" + HIDDEN.encode(),
    "two lengths": post(f"Content-Length: {len(HIDDEN)}", "Content-Length: 0", body=HIDDEN),
    "two lengths, the other order": post("Content-Length: 0", f"Content-Length: {len(HIDDEN)}", body=HIDDEN),
    "the same length twice": post("Content-Length: 4", "Content-Length: 4", body="abcd"),
    "a list of lengths": post(f"Content-Length: 0, {len(HIDDEN)}", body=HIDDEN),
    "a length with a sign": post(f"Content-Length: +{len(HIDDEN)}", body=HIDDEN),
    "a length in hexadecimal": post(f"Content-Length: 0x{len(HIDDEN):x}", body=HIDDEN),
    "a length with a blank before the colon": post(f"Content-Length : {len(HIDDEN)}", body=HIDDEN),
    "a length that is negative": post("Content-Length: -1", body=HIDDEN),
    "a length with an underscore": post(f"Content-Length: {len(HIDDEN) // 10}_{len(HIDDEN) % 10}", body=HIDDEN),
    "a length larger than 64 bits": post("Content-Length: 18446744073709551620", body="abcd"),
    "GET with a body": get(f"Content-Length: {len(HIDDEN)}", body=HIDDEN),
    "GET with chunks": get("Transfer-Encoding: chunked", body=CHUNKED_HIDDEN),
    "POST with a body": post(f"Content-Length: {len(HIDDEN)}", body=HIDDEN),
    "a chunk extension": post("Transfer-Encoding: chunked", body="5;a=b\r\nhello\r\n0\r\n\r\n"),
    "a chunk extension in quotes": post("Transfer-Encoding: chunked", body="5;a=\"\\\r\n\"\r\nhello\r\n0\r\n\r\n"),
    "a chunk extension with a bare LF": post("Transfer-Encoding: chunked", body=f"0;\n\r\n\r\n{HIDDEN}"),
    "a chunk extension with a bare CR": post("Transfer-Encoding: chunked", body=f"5;\rxxx\r\nhello\r\n0\r\n\r\n"),
    "chunk lines with bare LF": post("Transfer-Encoding: chunked", body=f"5\nhello\n0\n\n{HIDDEN}"),
    "a chunk size with 0x": post("Transfer-Encoding: chunked", body=f"0x5\r\nhello\r\n0\r\n\r\n{HIDDEN}"),
    "a chunk size with a sign": post("Transfer-Encoding: chunked", body=f"+5\r\nhello\r\n0\r\n\r\n{HIDDEN}"),
    "a chunk size with blanks": post("Transfer-Encoding: chunked", body="5 \r\nhello\r\n0\r\n\r\n"),
    "a chunk size that overflows": post("Transfer-Encoding: chunked", body="10000000000000005\r\nhello\r\n0\r\n\r\n"),
    "a chunk longer than its size": post("Transfer-Encoding: chunked", body="5\r\nhelloxx0\r\n\r\n" + HIDDEN),
    "a trailer that looks like a length": post("Transfer-Encoding: chunked", body=f"0\r\nContent-Length: {len(HIDDEN)}\r\n\r\n"),
    "bare LF throughout": b"GET /index.html HTTP/1.1\nHost: x\n\n",
    "bare LF with a body": f"POST /index.html HTTP/1.1\nHost: x\nContent-Length: {len(HIDDEN)}\n\n{HIDDEN}".encode(),
    "two kinds of line ends": f"GET /index.html HTTP/1.1\r\nHost: x\nContent-Length: {len(HIDDEN)}\r\n\r\n{HIDDEN}".encode(),
    "NUL in a value": get("X: a\x00b"),
    "NUL in a name": get("Content-Length\x00: 40", body=HIDDEN),
    "head in small letters": b"head /index.html HTTP/1.1\r\nHost: x\r\n\r\n",
    "a name behind another in one line": get("X: y\x0bContent-Length: 40", body=HIDDEN),
    "Connection that hides a length": post("Connection: Content-Length", f"Content-Length: {len(HIDDEN)}", body=HIDDEN),
    "Upgrade and a hidden request": get("Connection: Upgrade", "Upgrade: h2c", body=HIDDEN),
    "Expect and a body at once": post("Expect: 100-continue", f"Content-Length: {len(HIDDEN)}", body=HIDDEN),
    "absolute-form to another host": b"GET http://other/index.html HTTP/1.1\r\nHost: x\r\n\r\n",
    "two spaces": b"GET  /index.html  HTTP/1.1\r\nHost: x\r\n\r\n",
    "an empty line and a request": b"\r\n\r\n" + get(),
}


class Smuggling(WebCase):
    def drain(self, sock: socket.socket) -> None:
        """Reads what there is, until nothing has come for a while or the connection has ended."""
        sock.settimeout(0.15)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while sock.recv(65536):
                pass
        sock.settimeout(20)

    def attack(self, server) -> None:
        for name in ("attacker", "victim", "hidden"):
            self.file("blue", f"{name}.txt", f"for the {name}".encode())
        door = self.http_door(server, server, workers=1, drain={"timeout": "1s"})
        victim = self.enter(Client(door.address()))
        opaque = []
        for name, case in CASES.items():
            with self.subTest(name), Client(door.address()) as attacker:
                self.assertEqual(victim.color("/victim.txt"), "for the victim")
                port = attacker.port
                attacker.sock.sendall(case)
                self.drain(attacker.sock)
                session = next((s for s in door.get("/v1/sessions")["sessions"] if s["client"].endswith(f":{port}")), None)
                if session and session["state"] == "opaque":
                    # No boundary is claimed: the bytes are the server's matter.
                    opaque.append(name)
                elif session:
                    with contextlib.suppress(ConnectionError):
                        attacker.send("GET", "/attacker.txt")
                        answer = attacker.answer()
                        if answer.status == 200:
                            self.assertEqual(answer.body, b"for the attacker")
                        else:
                            # What it answers is an error, and the connection ends with it.
                            self.assertIn(answer.status, (400, 408, 413, 501), answer)
                            self.drain(attacker.sock)
                            attacker.sock.sendall(b"x")
                for client in (victim, self.enter(Client(door.address()))):
                    self.assertEqual(client.color("/victim.txt"), "for the victim")
        for name in ("CL.TE", "TE.CL", "two lengths", "TE in a fold", "NUL in a value"):
            self.assertIn(name, opaque + self.closed_by(server, CASES[name]))

    def closed_by(self, server, case: bytes) -> list[str]:
        """The names of this case, if the server itself ends the connection after it."""
        with Client(server.address) as client:
            client.sock.sendall(case)
            self.drain(client.sock)
            with contextlib.suppress(ConnectionError, TimeoutError):
                client.sock.settimeout(0.5)
                client.sock.sendall(get())
                if client.sock.recv(1):
                    return []
        return [name for name, each in CASES.items() if each == case]

    def test_nobody_gets_anothers_answer_from_nginx(self):
        self.attack(self.nginx("blue", "App v1"))

    def test_nobody_gets_anothers_answer_from_apache(self):
        self.attack(self.apache("blue", "App v1", keep_alive="60"))

    def test_nobody_gets_anothers_answer_from_python(self):
        self.attack(self.python("blue", "App v1"))

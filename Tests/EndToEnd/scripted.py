"""HTTP spoken by hand: a backend that does what its requests ask for, and a client that keeps its connection."""

from __future__ import annotations

import hashlib
import socket
import threading
from dataclasses import dataclass, field
from typing import Any

import harness
from harness import Backend, connect, read_line


class Closed(ConnectionError):
    """The other side has ended the connection where a message was due."""


@dataclass
class Message:
    start: str
    fields: dict[str, str]
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        return int(self.start.split(" ", 2)[1])


def read_fields(sock: socket.socket) -> dict[str, str]:
    fields: dict[str, str] = {}
    while line := read_line(sock, 65536).rstrip(b"\r\n").decode("latin-1"):
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    return fields


def read_head(sock: socket.socket) -> Message:
    first = read_line(sock, 65536)
    if not first:
        raise Closed("no message")
    return Message(first.rstrip(b"\r\n").decode("latin-1"), read_fields(sock))


def read_body(sock: socket.socket, message: Message, until_close: bool) -> None:
    if "chunked" in message.fields.get("transfer-encoding", ""):
        parts = []
        while size := int(read_line(sock).split(b";")[0], 16):
            parts.append(harness.read_exactly(sock, size))
            harness.read_exactly(sock, 2)
        message.trailers = read_fields(sock)
        message.body = b"".join(parts)
    elif "content-length" in message.fields:
        message.body = harness.read_exactly(sock, int(message.fields["content-length"]))
    elif until_close:
        message.body = harness.read_all(sock)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class WebBackend(Backend):
    """Answers with its name, or as the path asks for. `log` has each request: number of the connection, method, path."""

    def __init__(self, name: str, **options: Any):
        self.name = name
        self.log: list[tuple[int, str, str]] = []
        self.gate = threading.Event()
        """Requests for /gate are answered when it is set."""
        self.at_gate = threading.Semaphore(0)
        super().__init__(self.serve, **options)

    @property
    def paths(self) -> list[str]:
        return [path for _, _, path in self.log]

    def wait_at_gate(self) -> None:
        assert self.at_gate.acquire(timeout=harness.PATIENCE), "no request has come to the gate"

    def serve(self, sock: socket.socket) -> None:
        number = self.connections.index(sock)
        while True:
            try:
                head = read_head(sock)
            except Closed:
                return
            method, path, _ = head.start.split(" ")
            self.log.append((number, method, path))
            if not self.answer(sock, method, path, head):
                return

    def answer(self, sock: socket.socket, method: str, path: str, head: Message) -> bool:
        """False: the connection ends with this."""
        def send(status: str, *fields: str, body: bytes | None = None) -> None:
            length = [] if body is None else [f"Content-Length: {len(body)}"]
            text = "\r\n".join([f"HTTP/1.1 {status}", *fields, *length]) + "\r\n\r\n"
            sock.sendall(text.encode() + (b"" if body is None or method == "HEAD" else body))

        name = self.name.encode()
        if path == "/early":
            send("413 Too Early", body=name)
            read_body(sock, head, False)
            return True
        if head.fields.get("expect") == "100-continue":
            send("100 Continue")
        if path == "/quit-in-body":
            harness.read_exactly(sock, 10)
            return False
        read_body(sock, head, False)
        match path:
            case "/gate":
                self.at_gate.release()
                self.gate.wait(harness.PATIENCE)
                send("200 OK", body=name)
            case "/chunked":
                sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                             + b"%x;note=\"x\"\r\n%s\r\n0\r\nX-Sum: 1\r\n\r\n" % (len(name), name))
            case "/until-close":
                send("200 OK")
                sock.sendall(name * 1000)
                return False
            case "/204" | "/304":
                send(f"{path[1:]} Nothing", "X-Color: " + self.name)
            case "/interim":
                send("103 Early Hints", "Link: </style.css>")
                send("102 Processing")
                send("200 OK", body=name)
            case "/close":
                send("200 OK", "Connection: close", body=name)
                return False
            case "/quit":
                return False
            case "/reset":
                harness.reset(sock)
                return False
            case "/half":
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + name)
                self.gate.wait(harness.PATIENCE)
                harness.reset(sock)
                return False
            case "/surplus":
                send("200 OK", body=name)
                self.gate.wait(harness.PATIENCE)
                sock.sendall(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                return False
            case "/upgrade":
                send("101 Switching Protocols", "Connection: Upgrade", "Upgrade: echo")
                sock.sendall(name + b"\n")
                harness.echo(sock)
                return False
            case "/sum":
                send("200 OK", "X-Sum: " + sha(head.body), "X-Length: " + str(len(head.body)), body=name)
            case _ if method == "CONNECT":
                send("200 Connected")
                sock.sendall(name + b"\n")
                harness.echo(sock)
                return False
            case _:
                send("200 OK", body=name)
        return True


class Client:
    """One connection, on which requests are sent and answers read by hand."""

    def __init__(self, address: str):
        self.sock = connect(address)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    @property
    def port(self) -> int:
        return self.sock.getsockname()[1]

    def send(self, method: str = "GET", path: str = "/", *fields: str, body: bytes | None = None,
             version: str = "1.1") -> None:
        lines = [f"{method} {path} HTTP/{version}", "Host: test", *fields]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b""))

    def answer(self, method: str = "GET") -> Message:
        message = read_head(self.sock)
        if not message.start.startswith("HTTP/1."):
            raise AssertionError(f"no status line: {message.start!r}")
        if method != "HEAD" and message.status >= 200 and message.status not in (204, 304):
            read_body(self.sock, message, True)
        return message

    def ask(self, method: str = "GET", path: str = "/", *fields: str, body: bytes | None = None,
            version: str = "1.1") -> Message:
        self.send(method, path, *fields, body=body, version=version)
        return self.answer(method)

    def color(self, path: str = "/") -> str:
        return self.ask("GET", path).body.decode()

    def end(self) -> str:
        """How the connection has ended: `fin` or `reset`; fails if it does not, or if there is more to read."""
        return harness.end_of(self.sock)


class ScriptedCase(harness.Case):
    """Two colors that speak HTTP, and front doors before them with protocol http."""

    def colors(self, **options: Any) -> tuple[WebBackend, WebBackend]:
        return self.enter(WebBackend("blue", **options)), self.enter(WebBackend("green", **options))

    def door(self, blue: Any, green: Any, preview: str | None = None, **settings: Any) -> harness.FrontDoor:
        listener = {"name": "main", "bind": "127.0.0.1:0", "protocol": "http"}
        for color, targets in (("blue", blue), ("green", green)):
            listener[color] = [targets if isinstance(targets, str) else targets.address]
        if preview:
            listener["preview"] = preview
        return self.front_door(listeners=[listener], **settings)

    def client(self, door: harness.FrontDoor | str) -> Client:
        return self.enter(Client(door if isinstance(door, str) else door.address()))

    def used(self, door: harness.FrontDoor, color: str = "blue") -> Client:
        """A client whose backend has answered before."""
        client = self.client(door)
        self.assertEqual(client.color(), color)
        return client

    def state(self, door: harness.FrontDoor, client: Client) -> str | None:
        """What the front door says that this client's session is doing."""
        for session in door.get("/v1/sessions")["sessions"]:
            if session["client"].endswith(f":{client.port}"):
                return session["state"]
        return None

    def wait_state(self, door: harness.FrontDoor, client: Client, state: str | None) -> None:
        harness.wait_until(lambda: self.state(door, client) == state, f"the session is {state}")

    def counts(self, door: harness.FrontDoor, color: str) -> dict[str, int]:
        return door.status()["colors"][color]

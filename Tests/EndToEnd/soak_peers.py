"""Clients and backends of protocol http that do what chance tells them; each in a process of its own, as in peers.py.

    soak_peers.py serve COLOR IDLE            closes idle connections after about IDLE seconds (0: never)
    soak_peers.py ask ADDRESS SEED USERS KINDS  users of one connection each, which they keep as long as they may

A request says in its target what it wants (`/r?id=7&size=100&how=chunked&wait=0.01`), and its answer says whose it is. The
body of an answer follows from its id, so a client knows each byte that it is to get.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import select
import socket
import struct
import sys
import threading
import time
import urllib.parse

from peers import say, split, stopped


def body_of(identity: str, size: int) -> bytes:
    block = hashlib.sha256(identity.encode()).digest()
    return (block * (size // len(block) + 1))[:size]


class Reader:
    """The bytes of a socket, in lines and pieces."""

    def __init__(self, sock: socket.socket):
        self.sock, self.data = sock, bytearray()

    def fill(self) -> bool:
        data = self.sock.recv(1 << 16)
        self.data += data
        return bool(data)

    def has_more_within(self, seconds: float) -> bool:
        return bool(self.data) or bool(select.select([self.sock], [], [], seconds)[0])

    def take(self, size: int) -> bytes:
        data = bytes(self.data[:size])
        del self.data[:size]
        return data

    def line(self) -> bytes:
        """Short where the stream has ended before the line has."""
        start = 0
        while (end := self.data.find(b"\n", start)) < 0:
            start = len(self.data)
            if not self.fill():
                return self.take(start)
        return self.take(end + 1)

    def exactly(self, size: int) -> bytes:
        while len(self.data) < size:
            if not self.fill():
                raise ConnectionError(f"ended {size - len(self.data)} of {size} bytes early")
        return self.take(size)

    def rest(self) -> bytes:
        while self.fill():
            pass
        return self.take(len(self.data))


def read_head(stream: Reader) -> tuple[str, dict[str, str]]:
    """Start line and fields; an empty start line where the stream has ended before it."""
    start = stream.line()
    if not start:
        return "", {}
    fields = {}
    while (line := stream.line()) not in (b"\r\n", b"\n"):
        if not line.endswith(b"\n"):
            raise ConnectionError("ended within a head")
        name, _, value = line.decode("latin-1").partition(":")
        fields[name.strip().lower()] = value.strip()
    return start.decode("latin-1").rstrip("\r\n"), fields


def read_body(stream: Reader, fields: dict[str, str], until_close: bool) -> bytes:
    if fields.get("transfer-encoding") == "chunked":
        parts = []
        while size := int(stream.line().split(b";")[0], 16):
            parts.append(stream.exactly(size))
            if stream.exactly(2) != b"\r\n":
                raise AssertionError("a chunk does not end where it says")
        while (line := stream.line()) != b"\r\n":
            if not line.endswith(b"\n"):
                raise ConnectionError("ended within the trailers")
        return b"".join(parts)
    if "content-length" in fields:
        return stream.exactly(int(fields["content-length"]))
    return stream.rest() if until_close else b""


def chunks(data: bytes, chance: random.Random) -> bytes:
    parts, offset = [], 0
    while offset < len(data):
        size = chance.choice((1, 10, 1000, 40000))
        part = data[offset:offset + size]
        parts.append(b"%x%s\r\n%s\r\n" % (len(part), chance.choice((b"", b";a", b";b=c")), part))
        offset += size
    return b"".join(parts) + b"0\r\n" + chance.choice((b"", b"X-Trailer: 1\r\n")) + b"\r\n"


# --- The backend -----------------------------------------------------------------------------------------------------


class Backend:
    def __init__(self, color: str, idle: float):
        self.color, self.idle = color, idle
        self.log: list[tuple[str, float, float]] = []
        """Of each request: its id, when it began, and when the last byte of its answer was about to leave."""
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1024)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            sock, _ = self.listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock: socket.socket) -> None:
        chance = random.Random()
        with contextlib.suppress(OSError, ValueError), sock:
            stream = Reader(sock)
            is_fresh = True
            while True:
                # One that closes before its first answer tells the client what it would tell without a front door.
                if self.idle and not is_fresh and not stream.has_more_within(chance.uniform(0.5, 1.5) * self.idle):
                    return
                start, fields = read_head(stream)
                if not start:
                    return
                began = time.monotonic()
                if not self.answer(sock, stream, start, fields, chance, began):
                    return
                is_fresh = False

    def answer(self, sock: socket.socket, stream: Reader, start: str, fields: dict[str, str], chance: random.Random,
               began: float) -> bool:
        """False: the connection ends with this."""
        method, target, _ = start.split(" ")
        wish = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(target).query))
        if fields.get("expect") == "100-continue":
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        received = read_body(stream, fields, False)
        if wait := wish.get("wait"):
            time.sleep(float(wait))
        how = wish.get("how", "length")
        head = [f"X-Id: {wish['id']}", f"X-Color: {self.color}", f"X-Sum: {hashlib.sha256(received).hexdigest()}"]
        body = body_of(wish["id"], int(wish.get("size", 0)))
        data = b""
        if how == "interim":
            data = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
        status = "204 No Content" if how == "empty" else "200 OK"
        if how in ("length", "interim", "last"):
            head.append(f"Content-Length: {len(body)}")
        if how == "last":
            head.append("Connection: close")
        if how == "chunked":
            head.append("Transfer-Encoding: chunked")
            body = chunks(body, chance)
        data += f"HTTP/1.1 {status}\r\n".encode()
        data += "".join(line + "\r\n" for line in head).encode() + b"\r\n"
        if method != "HEAD" and how != "empty":
            data += body
        while len(data) > 1000 and chance.random() < 0.3:
            cut = chance.randrange(1, len(data))
            sock.sendall(data[:cut])
            data = data[cut:]
        # Whoever has the last byte may rely on this request having ended.
        sock.sendall(data[:-1])
        self.log.append((wish["id"], began, time.monotonic()))
        sock.sendall(data[-1:])
        return how not in ("last", "until-close")


# --- The client ------------------------------------------------------------------------------------------------------


class User:
    """One connection, kept as long as it may be. `requests` has of each: id, method, when it began and ended, the color,
    what went wrong, and whether that is the user's own doing."""

    def __init__(self, address: str, seed: str, kinds: set[str], stop: threading.Event):
        self.address, self.seed, self.kinds, self.stop = address, seed, kinds, stop
        self.chance = random.Random(seed)
        self.requests: list[tuple[str, str, float, float, str, str, bool]] = []
        self.count = self.connections = 0
        self.sock: socket.socket | None = None
        self.stream: Reader | None = None

    def run(self) -> None:
        while not self.stop.is_set():
            self.turn()
            if self.chance.random() < 0.2:
                time.sleep(self.chance.uniform(0, 0.03))
        self.hang_up()

    def hang_up(self, resets: bool = False) -> None:
        if self.sock is None:
            return
        if resets:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        self.sock = None

    def connect(self) -> None:
        family, name = split(self.address)
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(name)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = Reader(self.sock)
        self.connections += 1

    def turn(self) -> None:
        chance = self.chance
        count = chance.randrange(2, 20) if chance.random() < 0.15 else 1
        wishes = [self.wish(count > 1) for _ in range(count)]
        aborts = "abort" in self.kinds and chance.random() < 0.04
        began = time.monotonic()
        done = 0
        try:
            if self.sock is None:
                self.connect()
            if count == 1:
                self.send(wishes[0], aborts)
            else:
                self.pace(b"".join(self.head(wish) for wish in wishes))
            for wish in wishes:
                color = self.read(wish)
                self.requests.append((wish["id"], wish["method"], began, time.monotonic(), color, "", False))
                done += 1
                if wish["how"] in ("last", "until-close"):
                    if self.stream.rest():
                        raise AssertionError("bytes behind the last answer")
                    self.hang_up()
        except (OSError, AssertionError, ValueError) as problem:
            error = f"{type(problem).__name__}: {problem}"
            for wish in wishes[done:]:
                self.requests.append((wish["id"], wish["method"], began, time.monotonic(), "", error, aborts))
            self.hang_up(resets=chance.random() < 0.5)

    def wish(self, is_one_of_many: bool) -> dict[str, str]:
        chance = self.chance
        self.count += 1
        wish = {"id": f"{self.seed}.{self.count}", "how": chance.choice(("length", "length", "chunked", "empty", "interim")),
                "size": str(chance.choice((0, 1, 100, 5000, 5000, 70000, 300000)) if not is_one_of_many else 200),
                "method": "GET"}
        if chance.random() < 0.15:
            wish["wait"] = str(chance.uniform(0.001, 0.03))
        if is_one_of_many:
            return wish
        if chance.random() < 0.05:
            wish["how"] = chance.choice(("last", "until-close"))
        if chance.random() < 0.1:
            wish["method"] = "HEAD"
            wish["how"] = "length"
        elif chance.random() < 0.4:
            wish["method"] = chance.choice(("POST", "PUT"))
            wish["body"] = chance.choice(("length", "chunked", "expect"))
        return wish

    def head(self, wish: dict[str, str], *fields: str) -> bytes:
        target = "/r?" + "&".join(f"{name}={wish[name]}" for name in ("id", "how", "size", "wait") if name in wish)
        lines = [f"{wish['method']} {target} HTTP/1.1", "Host: soak", *fields]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def pace(self, data: bytes) -> None:
        """Sends in one piece, or in several with a little time between."""
        while len(data) > 1 and self.chance.random() < 0.15:
            cut = self.chance.randrange(1, len(data))
            self.sock.sendall(data[:cut])
            data = data[cut:]
            if self.chance.random() < 0.5:
                time.sleep(self.chance.uniform(0, 0.005))
        self.sock.sendall(data)

    def send(self, wish: dict[str, str], aborts: bool) -> None:
        chance = self.chance
        body = chance.randbytes(chance.choice((0, 1, 1000, 20000, 150000))) if "body" in wish else b""
        wish["sum"] = hashlib.sha256(body).hexdigest()
        match wish.get("body"):
            case None:
                data = self.head(wish)
            case "chunked":
                data = self.head(wish, "Transfer-Encoding: chunked") + chunks(body, chance)
            case "expect":
                self.pace(self.head(wish, f"Content-Length: {len(body)}", "Expect: 100-continue"))
                start, _ = read_head(self.stream)
                if start.split(" ")[1:2] != ["100"]:
                    raise AssertionError(f"{start!r} where 100 was due")
                data = body
            case _:
                data = self.head(wish, f"Content-Length: {len(body)}") + body
        if aborts:
            self.pace(data[:chance.randrange(len(data) + 1)])
            raise ConnectionError("the user has gone")
        self.pace(data)

    def read(self, wish: dict[str, str]) -> str:
        """The color of a right answer."""
        while True:
            start, fields = read_head(self.stream)
            if not start:
                raise ConnectionError("ended before the answer")
            status = start.split(" ")[1]
            if not status.startswith("1"):
                break
        if status != ("204" if wish["how"] == "empty" else "200"):
            raise AssertionError(f"{start}")
        if fields.get("x-id") != wish["id"]:
            raise AssertionError(f"the answer to {fields.get('x-id')}, not to {wish['id']}")
        if "sum" in wish and fields["x-sum"] != wish["sum"]:
            raise AssertionError("the backend has got another body")
        if wish["method"] != "HEAD" and wish["how"] != "empty":
            size = int(wish["size"])
            if read_body(self.stream, fields, True) != body_of(wish["id"], size):
                raise AssertionError(f"another body than the {size} bytes that were due")
        return fields["x-color"]


def ask(address: str, seed: str, count: str, kinds: str) -> None:
    stop = stopped()
    users = [User(address, f"{seed}.{number}", set(kinds.split(",")), stop) for number in range(int(count))]
    threads = [threading.Thread(target=user.run) for user in users]
    for thread in threads:
        thread.start()
    say({"ready": True})
    for thread in threads:
        thread.join()
    say({"requests": [request for user in users for request in user.requests],
         "connections": sum(user.connections for user in users)})


def serve(color: str, idle: str) -> None:
    backend = Backend(color, float(idle))
    say({"address": "127.0.0.1:%d" % backend.listener.getsockname()[1]})
    stopped().wait()
    say({"requests": backend.log})


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        {"serve": serve, "ask": ask}[sys.argv[1]](*sys.argv[2:])

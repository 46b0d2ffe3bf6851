"""Peers that run in processes of their own. Each prints one line of JSON when it is ready and one at its end.

    peers.py serve TAG echo|hello [ADDRESS]   a server on one epoll loop: greets with its tag; then echoes, or closes
    peers.py storm ADDRESS [GAP]              new sessions, one after another: reads the greeting, closes
    peers.py requests ADDRESS [GAP]           as storm, and each sends a line and wants it back

It ends when a line arrives on its standard input, or that is closed.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys
import threading
import time


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


def split(address: str) -> tuple[int, object]:
    if address.startswith("unix:"):
        return socket.AF_UNIX, address[5:]
    host, port = address.rsplit(":", 1)
    if host.startswith("["):
        return socket.AF_INET6, (host[1:-1], int(port))
    return socket.AF_INET, (host, int(port))


class Server:
    """Greets each connection with a tag; then echoes until the client's FIN, or closes right away."""

    def __init__(self, tag: str, is_echo: bool, address: str):
        self.greeting = f"{tag}\n".encode()
        self.is_echo = is_echo
        family, name = split(address)
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(name)
        self.listener.listen(4096)
        self.listener.setblocking(False)
        self.poll = select.epoll()
        self.poll.register(self.listener, select.EPOLLIN)
        self.connections: dict[int, socket.socket] = {}
        self.accepted = 0

    def address(self) -> str:
        name = self.listener.getsockname()
        return f"unix:{name}" if isinstance(name, str) else f"{name[0]}:{name[1]}"

    def run(self) -> None:
        self.poll.register(sys.stdin, select.EPOLLIN)
        while True:
            for number, _ in self.poll.poll():
                if number == sys.stdin.fileno():
                    return
                if number == self.listener.fileno():
                    self.accept()
                else:
                    self.serve(number)

    def accept(self) -> None:
        for _ in range(64):
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                sock.send(self.greeting)
            except OSError:
                sock.close()
                continue
            if not self.is_echo:
                sock.close()
                continue
            sock.setblocking(False)
            self.connections[sock.fileno()] = sock
            self.poll.register(sock, select.EPOLLIN)

    def serve(self, number: int) -> None:
        sock = self.connections[number]
        try:
            data = sock.recv(1 << 16)
            if data:
                # What is echoed to one client at a time always fits the socket's buffer.
                sock.send(data)
                return
        except OSError:
            pass
        self.poll.unregister(sock)
        del self.connections[number]
        sock.close()


def stopped() -> threading.Event:
    """Set when the standard input says so."""
    event = threading.Event()

    def wait() -> None:
        sys.stdin.readline()
        event.set()

    threading.Thread(target=wait, daemon=True).start()
    return event


def storm(address: str, gap: float, asks: bool) -> None:
    """Writes down of each session: when it began and ended (monotonic), the greeting, what went wrong, and where."""
    family, name = split(address)
    stop = stopped()
    sessions: list[tuple[float, float, str, str, str]] = []
    say({"ready": True})
    while not stop.is_set():
        began = time.monotonic()
        tag, error, stage = "", "", "connect"
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(30)
        try:
            sock.connect(name)
            stage = "greeting"
            data = b""
            while not data.endswith(b"\n"):
                chunk = sock.recv(4096)
                if not chunk:
                    raise ConnectionError("ended without a greeting")
                data += chunk
            tag = data.decode().strip()
            if asks:
                stage = "answer"
                line = f"{began!r}\n".encode()
                sock.sendall(line)
                data = b""
                while not data.endswith(b"\n"):
                    chunk = sock.recv(4096)
                    if not chunk:
                        raise ConnectionError("ended without an answer")
                    data += chunk
                if data != line:
                    raise ConnectionError("another answer than the one to this question")
        except OSError as problem:
            error = f"{type(problem).__name__}: {problem}"
        finally:
            sock.close()
        sessions.append((began, time.monotonic(), tag, error, stage if error else ""))
        if gap or error:
            stop.wait(gap or 0.001)
    say({"sessions": sessions})


def main(arguments: list[str]) -> None:
    verb, *rest = arguments
    if verb == "serve":
        server = Server(rest[0], rest[1] == "echo", rest[2] if len(rest) > 2 else "127.0.0.1:0")
        say({"address": server.address()})
        server.run()
        say({"accepted": server.accepted})
    else:
        storm(rest[0], float(rest[1]) if len(rest) > 1 else 0.0, asks=verb == "requests")


if __name__ == "__main__":
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1:])

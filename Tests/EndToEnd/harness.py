"""What the end-to-end tests share: the built programs, their peers, and ways to look at both from outside."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import http.client
import itertools
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BINARIES = Path(os.environ.get("BGPROXY_BINARIES", ROOT / ".build" / "release"))
BGPROXY = str(BINARIES / "bgproxy")
BGPROXYCTL = str(BINARIES / "bgproxyctl")
PEERS = str(Path(__file__).resolve().parent / "peers.py")

FULL = os.environ.get("BGPROXY_TEST_SCALE") == "full"
"""`full` runs the sizes of the scenarios (1 GiB, a thousand kills); the default is smaller where only time differs."""

PATIENCE = 20.0
"""How long a condition may take to come true. Only a bound: nothing waits for it when all is well."""

SLACK = 10.0
"""Seconds that a busy machine may add to a time that a scenario names: far below the other times it could be taken for."""

MIB = 1 << 20

# The tests hold thousands of sockets themselves.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))


def scaled(default: int, full: int) -> int:
    return full if FULL else default


def is_root() -> bool:
    return os.geteuid() == 0


def need(*programs: str) -> None:
    """Skips the test where a program is missing."""
    for program in programs:
        if find_program(program) is None:
            raise unittest.SkipTest(f"{program} is not installed")


def need_root() -> None:
    if not is_root():
        raise unittest.SkipTest("needs root")


def find_program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")


def wait_until(condition: Callable[[], Any], what: str, timeout: float = PATIENCE, pause: float = 0.01) -> Any:
    """Polls until the condition is true and returns its value; fails after the timeout."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(pause)


def wall_time(text: str) -> float:
    """Seconds since the epoch of a time in RFC 3339, UTC."""
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


# --- Addresses and connections -------------------------------------------------------------------------------------


def split(address: str) -> tuple[int, Any]:
    """`host:port`, `[v6]:port` or `unix:/path` as family and socket address."""
    if address.startswith("unix:"):
        return socket.AF_UNIX, address[5:]
    host, port = address.rsplit(":", 1)
    if host.startswith("["):
        return socket.AF_INET6, (host[1:-1], int(port))
    return socket.AF_INET, (host, int(port))


def spell(sock: socket.socket) -> str:
    """The address that a socket is bound to, as the programs write it."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{name}"
    return f"[{name[0]}]:{name[1]}" if sock.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


def connect(address: str, timeout: float = PATIENCE) -> socket.socket:
    family, name = split(address)
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    deadline = time.monotonic() + timeout
    try:
        while True:
            try:
                sock.connect(name)
                return sock
            except BlockingIOError:
                # A Unix socket whose backlog is full: who does not block is to come again, unix(7).
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.001)
    except BaseException:
        sock.close()
        raise


def listening(address: str = "127.0.0.1:0", backlog: int = 4096) -> socket.socket:
    """Port 0 is one of those that the kernel gives to nobody."""
    family, name = split(address)
    if family != socket.AF_UNIX and name[1] == 0:
        for _ in range(100):
            with contextlib.suppress(OSError):
                return listening(f"{address.rsplit(':', 1)[0]}:{_next_port()}", backlog)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(name)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


# Whoever asks the kernel for a port, as each client does, gets one above these: a port that a test has left for a moment,
# or that is to refuse, is nobody else's meanwhile.
_PORTS = range(10_000, max(11_000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])))
_ports = itertools.count(random.randrange(len(_PORTS)))


def _next_port() -> int:
    """In turn, so that one that is free stays free for long; each run of a module begins elsewhere."""
    return _PORTS[next(_ports) % len(_PORTS)]


def free_port(host: str = "127.0.0.1") -> int:
    """A port at which nothing listens at present."""
    with listening(f"{host}:0") as sock:
        return sock.getsockname()[1]


def reset(sock: socket.socket) -> None:
    """Closes with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def read_line(sock: socket.socket, limit: int = 4096) -> bytes:
    """Up to and with the newline, and not a byte more; short where the stream ends before it."""
    line = b""
    while not line.endswith(b"\n") and len(line) < limit:
        byte = sock.recv(1)
        if not byte:
            break
        line += byte
    return line


def read_exactly(sock: socket.socket, count: int) -> bytes:
    chunks, left = [], count
    while left:
        chunk = sock.recv(min(left, 1 << 18))
        if not chunk:
            raise AssertionError(f"the stream ended {left} of {count} bytes early")
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


def read_all(sock: socket.socket) -> bytes:
    chunks = []
    while chunk := sock.recv(1 << 18):
        chunks.append(chunk)
    return b"".join(chunks)


def end_of(sock: socket.socket) -> str:
    """How a stream ends from here on: `fin`, `reset`, or `data` where it goes on."""
    try:
        return "data" if sock.recv(1) else "fin"
    except (ConnectionResetError, BrokenPipeError):
        return "reset"


def fate(address: str) -> str:
    """How a new session that sends nothing ends: `fin`, `reset`, or `data` where it is spoken to."""
    try:
        with connect(address) as sock:
            return end_of(sock)
    except ConnectionResetError:
        return "reset"  # so soon that connecting itself tells


def color_of(address: str, timeout: float = PATIENCE) -> str:
    """The tag that a new session at this address is greeted with."""
    with connect(address, timeout) as sock:
        return read_line(sock).decode().strip()


def session(address: str, timeout: float = PATIENCE) -> tuple[socket.socket, str]:
    """A session that stays open, and the tag it was greeted with."""
    sock = connect(address, timeout)
    try:
        return sock, read_line(sock).decode().strip()
    except BaseException:
        sock.close()
        raise


def says_back(sock: socket.socket, text: bytes = b"still here") -> bool:
    """Whether an echo session carries bytes both ways."""
    sock.sendall(text)
    return read_exactly(sock, len(text)) == text


# --- Streams that are compared by their hash -----------------------------------------------------------------------

_BLOCKS = [random.Random(index).randbytes(65521) for index in range(17)]


def pattern(size: int) -> Iterator[bytes]:
    """A stream of this size in which no block equals its neighbor: a lost, doubled or swapped part changes the hash."""
    index = 0
    while size > 0:
        block = struct.pack(">Q", index) + _BLOCKS[index % len(_BLOCKS)]
        yield block[:size]
        size -= len(block)
        index += 1


def pattern_hash(size: int) -> str:
    digest = hashlib.sha256()
    for block in pattern(size):
        digest.update(block)
    return digest.hexdigest()


def send_pattern(sock: socket.socket, size: int) -> str:
    """Sends the stream and returns its hash."""
    digest = hashlib.sha256()
    for block in pattern(size):
        sock.sendall(block)
        digest.update(block)
    return digest.hexdigest()


def receive_hash(sock: socket.socket, size: int | None = None) -> tuple[int, str]:
    """Reads `size` bytes, or to the end of the stream; returns how many came, and their hash."""
    digest, count = hashlib.sha256(), 0
    buffer = bytearray(1 << 18)
    view = memoryview(buffer)
    while size is None or count < size:
        wanted = len(buffer) if size is None else min(len(buffer), size - count)
        got = sock.recv_into(view[:wanted])
        if not got:
            break
        digest.update(view[:got])
        count += got
    return count, digest.hexdigest()


class Task(threading.Thread):
    """A function on a thread of its own; `result()` returns its value or raises its error."""

    def __init__(self, work: Callable[..., Any], *arguments: Any):
        super().__init__(daemon=True)
        self._work, self._arguments = work, arguments
        self._value: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._value = self._work(*self._arguments)
        except BaseException as error:  # noqa: B902: raised again where the result is asked for
            self._error = error

    def result(self, timeout: float = 110.0) -> Any:
        self.join(timeout)
        if self.is_alive():
            raise AssertionError(f"{self._work.__name__} did not end within {timeout:g} s")
        if self._error is not None:
            raise self._error
        return self._value


# --- Backends ------------------------------------------------------------------------------------------------------

Handler = Callable[[socket.socket], None]


def echo(sock: socket.socket) -> None:
    while data := sock.recv(1 << 18):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def tagged(tag: str) -> Handler:
    """Greets with its tag, then echoes."""

    def handle(sock: socket.socket) -> None:
        sock.sendall(f"{tag}\n".encode())
        echo(sock)

    return handle


def keep(sock: socket.socket) -> None:
    """Reads nothing, says nothing, and stays until the backend closes."""
    threading.Event().wait()


class Backend:
    """A scripted server: each connection runs the handler on a thread of its own and is closed when that returns."""

    def __init__(self, handler: Handler = echo, address: str = "127.0.0.1:0", backlog: int = 4096):
        self.handler = handler
        self.listener = listening(address, backlog)
        self.address = spell(self.listener)
        self.connections: list[socket.socket] = []
        self.errors: list[BaseException] = []
        self._closed = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Backend:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(sock)
            if self.handler is not keep:
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with sock:
                self.handler(sock)
        except OSError:
            pass  # the peer's way of ending is the test's subject, not an error of the backend
        except BaseException as error:  # noqa: B902: looked at by the test
            self.errors.append(error)

    def stop_listening(self) -> None:
        """From now on connections are refused; those that exist go on."""
        self._closed = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        if self.address.startswith("unix:"):
            with contextlib.suppress(OSError):
                os.unlink(self.address[5:])

    def close(self) -> None:
        self.stop_listening()
        self._thread.join(5)
        for sock in self.connections:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


class BlackHole:
    """An address whose accept queue is full: the kernel drops every SYN, so a connect neither succeeds nor fails."""

    def __init__(self) -> None:
        self.listener = listening(backlog=0)
        self.address = spell(self.listener)
        self._fillers: list[socket.socket] = []
        self._backend: Backend | None = None
        for _ in range(16):
            filler = socket.socket()
            filler.setblocking(False)
            self._fillers.append(filler)
            filler.connect_ex(self.listener.getsockname())
            if not select.select([], [filler], [], 0.3)[1]:
                break
        else:
            self.__exit__()
            raise unittest.SkipTest("the kernel does not drop SYNs at a full backlog here")

    def __enter__(self) -> BlackHole:
        return self

    def release(self, handler: Handler) -> None:
        """From now on connections are accepted."""
        for filler in self._fillers:
            filler.close()
        self._backend = Backend.__new__(Backend)
        backend = self._backend
        backend.handler, backend.listener, backend.address = handler, self.listener, self.address
        backend.connections, backend.errors, backend._closed = [], [], False
        self.listener.listen(4096)
        backend._thread = threading.Thread(target=backend._accept, daemon=True)
        backend._thread.start()

    def __exit__(self, *_: object) -> None:
        for filler in self._fillers:
            filler.close()
        if self._backend:
            self._backend.close()
        self.listener.close()


class Program:
    """A real server that runs in the foreground until the end of the block; its output goes to a file."""

    def __init__(self, folder: Path, name: str, command: list[str], address: str, **options: Any):
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                            **options)
        self.address = address
        try:
            wait_until(self._answers, f"{name} listens")
        except BaseException:
            self.__exit__()
            raise

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"{self.process.args} ended:\n{self.log.read_text(errors='replace')[-2000:]}")
        try:
            connect(self.address, 1).close()
            return True
        except OSError:
            return False

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        for stop in (self.process.terminate, self.process.kill):
            if self.process.poll() is None:
                stop()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(10)


class Peer:
    """A peer in a process of its own (peers.py): it says one line of JSON at the start and one at its end."""

    def __init__(self, *arguments: str, prefix: tuple[str, ...] = (), program: str = PEERS,
                 python: str = sys.executable):
        command = [*prefix, python, program, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            line = self.process.stdout.readline()
            if not line:
                raise AssertionError(f"{arguments} did not start")
            self.hello: dict[str, Any] = json.loads(line)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        return self.hello["address"]

    def finish(self, timeout: float = 60.0) -> Any:
        """Ends it and returns what it has seen."""
        output, _ = self.process.communicate("stop\n", timeout=timeout)
        return json.loads(output)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()


class Herd:
    """Many idle clients on one epoll descriptor."""

    def __init__(self, address: str, count: int, timeout: float = 60.0):
        self.closed: list[tuple[float, str]] = []
        """When (monotonic) and how (`fin` or `reset`) each ended."""
        self.tags: dict[str, int] = {}
        self._open: dict[int, socket.socket] = {}
        self._poll = select.epoll()
        family, name = split(address)
        deadline = time.monotonic() + timeout
        try:
            # In groups, so that the listener's backlog never overflows: a dropped SYN costs a second.
            while len(self._open) < count:
                self._open_group(family, name, min(500, count - len(self._open)), deadline)
        except BaseException:
            self.close()
            raise

    def _open_group(self, family: int, name: Any, count: int, deadline: float) -> None:
        greetings: dict[int, bytes] = {}
        for _ in range(count):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.connect_ex(name)
            self._open[sock.fileno()] = sock
            greetings[sock.fileno()] = b""
            self._poll.register(sock.fileno(), select.EPOLLIN | select.EPOLLRDHUP)
        while greetings:
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(greetings)} clients were not greeted in time, {len(self._open)} were begun")
            for number, _ in self._poll.poll(1.0):
                data = self._open[number].recv(4096)
                if not data:
                    raise AssertionError("a client was closed before it was greeted")
                greetings[number] = greetings.get(number, b"") + data
                if greetings[number].endswith(b"\n"):
                    tag = greetings.pop(number).decode().strip()
                    self.tags[tag] = self.tags.get(tag, 0) + 1

    def __enter__(self) -> Herd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._open)

    def sockets(self) -> list[socket.socket]:
        return list(self._open.values())

    def watch(self, seconds: float, until_all_closed: bool = True) -> None:
        """Notes what ends, for so long or until nothing is left."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if until_all_closed and not self._open:
                return
            for number, _ in self._poll.poll(min(left, 0.5)):
                try:
                    data = self._open[number].recv(4096)
                    how = "" if data else "fin"
                except OSError:
                    how = "reset"
                if how:
                    self.closed.append((time.monotonic(), how))
                    self._poll.unregister(number)
                    self._open.pop(number).close()

    def close(self) -> None:
        for sock in self._open.values():
            sock.close()
        self._open.clear()
        self._poll.close()


# --- The programs --------------------------------------------------------------------------------------------------

TRAPS = re.compile(r"Fatal error|Illegal instruction|Swift runtime failure|AddressSanitizer|ThreadSanitizer"
                   r"|Simultaneous accesses|Precondition failed|Assertion failed|stack smashing|double free")


class Ended(AssertionError):
    """The front door ended while it was expected to serve."""


class FrontDoor:
    """A running bgproxy with a folder, an admin socket and a state file of its own.

    Leaving the block stops it and fails the test if it crashed, trapped, or kept books that do not add up.
    """

    def __init__(
        self,
        blue: list[str] | str = (),
        green: list[str] | str = (),
        *,
        bind: str = "127.0.0.1:0",
        preview: str | None = None,
        listeners: list[dict[str, Any]] | None = None,
        arguments: tuple[str, ...] = (),
        folder: Path | None = None,
        environment: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        descriptors: int | None = None,
        use_file: bool = True,
        start: bool = True,
        **settings: Any,
    ):
        self._owned = None if folder else tempfile.TemporaryDirectory(prefix="bgproxy-e2e-")
        self.folder = Path(folder or self._owned.name)
        # Others may look in: tests with another user need the admin socket's permissions to be what refuses them.
        self.folder.chmod(0o755)
        self.config_file = self.folder / "bgproxy.json5"
        self.admin_path = str(self.folder / "admin" / "admin.sock")
        self.state_file = self.folder / "state" / "state.json"
        if listeners is None:
            main: dict[str, Any] = {"name": "main", "bind": bind, "protocol": "tcp"}
            main["blue"] = [blue] if isinstance(blue, str) else list(blue)
            main["green"] = [green] if isinstance(green, str) else list(green)
            if preview:
                main["preview"] = preview
            listeners = [main]
        self.settings: dict[str, Any] = {
            "listeners": listeners,
            "stateFile": str(self.state_file),
            "admin": {"socket": self.admin_path} | settings.pop("admin", {}),
            # Probes would be connections that a test has not made; tests of health turn them on.
            "health": {"probe": "off"},
        } | settings
        self.arguments = arguments
        self.environment = environment
        self.prefix = prefix
        self.descriptors = descriptors
        self.use_file = use_file
        self.process: subprocess.Popen[bytes] | None = None
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader: threading.Thread | None = None
        self._is_ended = False
        self._end_is_known = False
        self.write_config()
        if start:
            try:
                self.start()
            except BaseException:
                self._clean()
                raise

    # Starting and stopping

    def write_config(self) -> None:
        self.config_file.write_text(json.dumps(self.settings, indent=2))

    def command(self) -> list[str]:
        file = ["--config", str(self.config_file)] if self.use_file else []
        return [*self.prefix, BGPROXY, *file, *self.arguments]

    def launch(self) -> None:
        """Starts the program without waiting for it."""
        # As a login or a service manager gives it: a small soft limit, which the program raises by itself.
        hard = self.descriptors or _hard
        limits = (min(1024, hard), hard)
        environment = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
        self.process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits),
            env=environment | (self.environment or {}))
        self.lines = []
        self._is_ended = self._end_is_known = False
        self._reader = threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True)
        self._reader.start()

    def start(self, timeout: float = PATIENCE) -> FrontDoor:
        self.launch()
        self.wait_line(is_ready, timeout=timeout, what="the front door is ready")
        return self

    def _read(self, stream: Any) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    self.lines.append(line.decode(errors="replace").rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()

    @property
    def pid(self) -> int:
        """Of the front door itself, behind whatever runs it."""
        return self.process.pid

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait_exit(self, timeout: float = PATIENCE) -> int:
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the front door did not end within {timeout:g} s\n{self.tail()}") from None
        self._end_is_known = True
        self._reader.join(PATIENCE)
        self.check_no_trap()
        return code

    def kill(self) -> None:
        """SIGKILL, as a test of what survives it."""
        self.process.kill()
        self.process.wait(10)
        self._end_is_known = True
        self._reader.join(PATIENCE)

    def stop(self) -> int:
        """Ends it with its sessions: the first signal drains, the second ends at once."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                self.process.kill()
                self.process.wait(10)
                raise AssertionError(f"the front door did not end after many SIGTERM\n{self.tail()}")
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.2)
        self._end_is_known = True
        self._reader.join(PATIENCE)
        self.check_no_trap()
        return self.process.returncode

    def restart(self) -> None:
        self.stop()
        self.start()

    def __enter__(self) -> FrontDoor:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        try:
            if self.process is None:
                return
            if kind is None:
                if self.process.poll() is None:
                    self.check_books()
                elif not self._end_is_known:
                    raise Ended(f"the front door ended by itself, code {self.process.returncode}\n{self.tail(40)}")
                self.stop()
                return
            # The test has failed already: what the front door said helps to see why.
            with contextlib.suppress(AssertionError):
                self.stop()
            print(self.tail(), file=sys.stderr)
        finally:
            self._clean()

    def _clean(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        if self._owned:
            self._owned.cleanup()

    def check_no_trap(self) -> None:
        text = "\n".join(self.lines)
        code = self.process.returncode
        if TRAPS.search(text) or code in (-4, -5, -6, -7, -8, -11, 132, 133, 134, 135, 136, 139):
            raise AssertionError(f"the front door crashed, exit code {code}\n{self.tail(40)}")

    def check_books(self) -> None:
        for receipt in self.history():
            check_receipt(receipt)

    # What it says

    def tail(self, count: int = 15) -> str:
        return f"--- the front door's last lines (exit code {self.process and self.process.poll()})\n" + "\n".join(
            self.lines[-count:])

    def wait_line(self, condition: Callable[[str], Any], timeout: float = PATIENCE, what: str = "a line",
                  since: int = 0) -> str:
        """The first line of the log, from number `since` on, for which the condition holds."""
        deadline = time.monotonic() + timeout
        position = since
        with self._changed:
            while True:
                while position < len(self.lines):
                    if condition(self.lines[position]):
                        return self.lines[position]
                    position += 1
                if self._is_ended:
                    raise Ended(f"the front door ended before: {what}\n{self.tail()}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"not within {timeout:g} s: {what}\n{self.tail()}")
                self._changed.wait(left)

    def events(self, name: str) -> list[str]:
        """The log lines of this event."""
        return [line for line in self.lines if event_of(line) == name]

    # What it answers

    def admin(self, method: str, path: str, body: Any = None, timeout: float = PATIENCE) -> tuple[int, Any]:
        return ask(self.admin_path, method, path, body, timeout)

    def get(self, path: str) -> Any:
        status, answer = self.admin("GET", path)
        if status != 200:
            raise AssertionError(f"GET {path}: {status} {answer}")
        return answer

    def post(self, path: str, **fields: Any) -> Any:
        status, answer = self.admin("POST", path, fields)
        if status != 200:
            raise AssertionError(f"POST {path} {fields}: {status} {answer}")
        return answer

    def status(self) -> dict[str, Any]:
        return self.get("/v1/status")

    def history(self) -> list[dict[str, Any]]:
        return self.get("/v1/history")["history"]

    def switch(self, to: str, **fields: Any) -> dict[str, Any]:
        return self.post("/v1/switch", to=to, **fields)

    def rollback(self, **fields: Any) -> dict[str, Any]:
        return self.post("/v1/rollback", **fields)

    def receipt(self) -> dict[str, Any]:
        """Of the last switch, brought up to date."""
        return check_receipt(self.status()["lastSwitch"])

    def settled(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """The last switch's receipt when its counts are final."""
        return wait_until(lambda: (r := self.receipt())["settled"] and r, "the receipt has settled", timeout)

    def sessions(self, color: str | None = None) -> int:
        colors = self.status()["colors"]
        return sum(colors[name]["sessions"] for name in ([color] if color else colors))

    def wait_sessions(self, count: int, color: str | None = None, timeout: float = PATIENCE) -> None:
        try:
            wait_until(lambda: self.sessions(color) == count, "", timeout)
        except AssertionError:
            some = self.get("/v1/sessions")["sessions"][:5]
            raise AssertionError(f"{self.sessions(color)} sessions, not {count}, after {timeout:g} s: {some}") from None

    def listener(self, name: str = "main") -> dict[str, Any]:
        for listener in self.status()["listeners"]:
            if listener["name"] == name:
                return listener
        raise AssertionError(f"there is no listener {name}")

    def address(self, name: str = "main") -> str:
        return self.listener(name)["bind"]

    def preview(self, name: str = "main") -> str:
        return self.listener(name)["preview"]

    def ctl(self, *arguments: str, timeout: float = 60.0, **options: Any) -> subprocess.CompletedProcess[str]:
        return ctl("--socket", self.admin_path, *arguments, timeout=timeout, **options)

    def start_ctl(self, *arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [BGPROXYCTL, "--socket", self.admin_path, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=stderr, text=True,
            # A shell that runs the tests in the background has them ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    # What it uses

    def descriptors_open(self) -> int:
        """Once their number has come to rest: what is opened or closed a moment after a call is so by then. Without the
        pipes that are kept for the next transfer, which status tells."""
        self.status()
        counts: list[int] = []
        while len(counts) < 200 and len(set(counts[-5:])) != 1 or len(counts) < 5:
            counts.append(len(os.listdir(f"/proc/{self.pid}/fd")))
            time.sleep(0.02)
        return counts[-1] - 2 * self.status()["splice"]["pipes"]

    def wait_descriptors(self, most: int) -> None:
        """Descriptors of what has ended are closed some time later."""
        wait_until(lambda: self.descriptors_open() <= most, f"no more than {most} descriptors are open")

    def memory(self) -> int:
        """Bytes of its own memory that are resident (not files, not shared)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no RssAnon")

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_rest(self, share: float = 0.3) -> None:
        """Waits for a second in which each of its threads sleeps for more than this leaves. One that spins never does: it
        runs or is about to, however little of the processor it gets."""

        def awake(path: str) -> bool:
            with contextlib.suppress(OSError):
                return Path(path).read_text().rsplit(")", 1)[1].split()[0] == "R"
            return False

        def rests() -> bool:
            threads = glob.glob(f"/proc/{self.pid}/task/*/stat")
            found = dict.fromkeys(threads, 0)
            for _ in range(100):
                for thread in threads:
                    found[thread] += awake(thread)
                time.sleep(0.01)
            return bool(threads) and max(found.values()) < 100 * share

        wait_until(rests, "the front door rests")


def is_ready(line: str) -> bool:
    return event_of(line) == "ready"


def event_of(line: str) -> str | None:
    """The event that a log line tells of, in either format."""
    if line.startswith("{"):
        with contextlib.suppress(ValueError):
            return json.loads(line).get("event")
        return None
    parts = line.split(" ")
    return parts[2] if len(parts) > 2 else None


def check_receipt(receipt: dict[str, Any]) -> dict[str, Any]:
    """Each session that was open is in exactly one of the outcomes."""
    parts = ("ended", "moved", "returned", "spread", "cut", "remaining")
    values = {part: receipt[part] for part in parts}
    if receipt["open"] != sum(values.values()) or min(values.values()) < 0:
        raise AssertionError(f"the books do not add up: open {receipt['open']}, {values}")
    if receipt["settled"] and receipt["remaining"]:
        raise AssertionError(f"settled with {receipt['remaining']} remaining")
    return receipt


class _UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float):
        super().__init__("bgproxy", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = connect(f"unix:{self._path}", self.timeout)


def ask(path: str, method: str, target: str, body: Any = None, timeout: float = PATIENCE) -> tuple[int, Any]:
    """One call of the admin channel: status and what the answer says."""
    connection = _UnixHTTP(path, timeout)
    try:
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, target, data, {"Content-Type": "application/json"} if data else {})
        response = connection.getresponse()
        text = response.read()
        with contextlib.suppress(ValueError):
            return response.status, json.loads(text)
        return response.status, text
    finally:
        connection.close()


def ctl(*arguments: str, timeout: float = 60.0, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BGPROXYCTL, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, check=False, **options)


def bgproxy(*arguments: str, timeout: float = PATIENCE, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs bgproxy where it is expected to end by itself."""
    return subprocess.run([BGPROXY, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, check=False, **options)


# --- The kernel's view ---------------------------------------------------------------------------------------------

_STATES = {"01": "ESTABLISHED", "02": "SYN_SENT", "03": "SYN_RECV", "04": "FIN_WAIT1", "05": "FIN_WAIT2",
           "06": "TIME_WAIT", "07": "CLOSE", "08": "CLOSE_WAIT", "09": "LAST_ACK", "0A": "LISTEN", "0B": "CLOSING"}


def workers_of(door: FrontDoor) -> int:
    """Threads of the data plane."""
    names = [Path(path).read_text() for path in glob.glob(f"/proc/{door.pid}/task/*/comm")]
    return sum(name.startswith("worker-") for name in names)


def waits_for_answer(process: subprocess.Popen[str]) -> bool:
    """A client of the admin channel that has asked, and waits in a receive."""
    try:
        return Path(f"/proc/{process.pid}/wchan").read_text().startswith("unix_stream")
    except OSError:
        return False


def tcp_sockets(local_port: int | None = None, remote_port: int | None = None, state: str | None = None) -> int:
    """How many TCP sockets of this network namespace match."""
    count = 0
    for file in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(file).read_text().splitlines()[1:]:
                fields = line.split()
                local, remote = (int(field.rsplit(":", 1)[1], 16) for field in fields[1:3])
                count += ((local_port in (None, local)) and (remote_port in (None, remote))
                          and (state in (None, _STATES.get(fields[3]))))
    return count


def unsent(sock: socket.socket) -> int:
    """Bytes that the peer's system has not acknowledged yet (SIOCOUTQ)."""
    return struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]


def port_of(address: str) -> int:
    return int(address.rsplit(":", 1)[1])


def check_no_close_wait(*ports: int) -> None:
    """No socket at these ports waits for a close that never comes."""
    for port in ports:
        wait_until(
            lambda: not tcp_sockets(local_port=port, state="CLOSE_WAIT")
            and not tcp_sockets(remote_port=port, state="CLOSE_WAIT"),
            f"no socket at port {port} is in CLOSE_WAIT")


# --- A test case with two colors -----------------------------------------------------------------------------------


class Case(unittest.TestCase):
    """A test with a list of things to end, in the opposite order of their start."""

    longMessage = True
    maxDiff = 2000

    def setUp(self) -> None:
        self._stack = contextlib.ExitStack()

    def _callTestMethod(self, method: Callable[[], None]) -> None:
        # The blocks end before tearDown and know whether the test has failed.
        with self._stack:
            method()

    def enter(self, block: Any) -> Any:
        """Runs a block (`with`) up to the end of the test."""
        return self._stack.enter_context(block)

    def folder(self, parent: str | None = None) -> Path:
        return Path(self.enter(tempfile.TemporaryDirectory(prefix="bgproxy-e2e-", dir=parent)))

    def colors(self) -> tuple[Backend, Backend]:
        """Two backends that say which they are and echo."""
        return self.enter(Backend(tagged("blue"))), self.enter(Backend(tagged("green")))

    def color_peers(self, kind: str = "echo") -> tuple[Peer, Peer]:
        """The same in processes of their own, for many sessions or high rates."""
        return self.enter(Peer("serve", "blue", kind)), self.enter(Peer("serve", "green", kind))

    def front_door(self, *arguments: Any, **settings: Any) -> FrontDoor:
        return self.enter(FrontDoor(*arguments, **settings))

    def door_to(self, handler: Handler, **settings: Any) -> FrontDoor:
        """A front door whose active color runs this handler; the idle one refuses."""
        backend = self.enter(Backend(handler))
        return self.front_door(backend.address, f"127.0.0.1:{free_port()}", **settings)

    def client(self, address: str, timeout: float = PATIENCE) -> socket.socket:
        return self.enter(connect(address, timeout))

    def open_session(self, address: str, color: str | None = None) -> socket.socket:
        """An open session; with a color, one that reached it."""
        sock, tag = session(address)
        self.enter(sock)
        if color:
            self.assertEqual(tag, color)
        return sock

    def assertNotBefore(self, seconds: float, least: float, what: str) -> None:
        """A time that a scenario names (10 % off at most), counted from before it began; whoever looks may be late."""
        self.assertGreaterEqual(seconds, least * 0.9, f"{what}: too early")

    def assertAfter(self, seconds: float, least: float, what: str, above: float = SLACK) -> None:
        """A time that a scenario names: never earlier (10 % off at most), later only by what a busy machine adds."""
        self.assertNotBefore(seconds, least, what)
        self.assertLessEqual(seconds, least * 1.1 + above, f"{what}: too late")

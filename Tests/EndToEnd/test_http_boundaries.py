"""Never a boundary where the backend sees none: each attack of smuggling.py on a server itself, and through the front door.

Protocol http changes no byte, so a server must give the same answers behind it. Where the front door says that a session
is between two requests the server must be, and the session's next request goes to the new color after a switch.
"""

from __future__ import annotations

import contextlib
import http.server
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import harness
from harness import FrontDoor, connect, wait_until
from smuggling import Attack, attacks
from web import WebCase

QUIET = 0.4
"""Seconds without a byte after which a server is taken to have said all; where that gives a wrong result, the case runs
again with five times as much."""

Answer = tuple[int, str]
"""Status, and the name of what was answered: `blue follow7`; empty for a server's own error page."""


class LenientHandler(http.server.BaseHTTPRequestHandler):
    """Reads bodies as applications in Python do: the first Content-Length by `int`, chunk sizes as well."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    color = ""
    timeout = 60

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.reply()

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.reply()

    do_HEAD = do_OPTIONS = do_DELETE = do_GET

    def reply(self) -> None:
        body = f"[{self.color} {self.path.rsplit('/', 1)[-1]}]\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class LenientServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, color: str):
        super().__init__(("127.0.0.1", 0), type("Handler", (LenientHandler,), {"color": color}))
        self.address = f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_: object) -> None:
        pass  # what a handler cannot read ends its connection

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


@dataclass
class Talk:
    """One connection: what was sent on it is answered by `answers`; `ended` once the other side has."""

    sock: socket.socket
    data: bytes = b""
    ended: bool = False

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except OSError:
            self.ended = True

    def read(self, quiet: float, until: Any = lambda: False) -> None:
        """To the end of the connection, until the condition holds, or nothing has come for so long."""
        deadline = time.monotonic() + quiet
        while not self.ended and not until() and (left := deadline - time.monotonic()) > 0:
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(1 << 16)
            except TimeoutError:
                return
            except OSError:
                self.ended = True
                return
            self.ended = not data
            self.data += data
            deadline = time.monotonic() + quiet

    @property
    def answers(self) -> list[Answer]:
        """Final answers only."""
        found = []
        parts = re.split(rb"HTTP/1\.[01] (\d{3})", self.data)
        if parts[0]:
            found.append((9, parts[0]))  # HTTP/0.9: a body and nothing else
        found += [(int(status), text) for status, text in zip(parts[1::2], parts[2::2])]
        result = []
        for status, text in found:
            names = re.findall(rb"\[(\w+ \w+)\]", text)
            result.append((status, names[0].decode() if names else ""))
        return [answer for answer in result if answer[0] == 9 or answer[0] >= 200]


@dataclass
class Case:
    number: int
    attack: Attack
    before: list[Answer] = field(default_factory=list)
    """What the server itself answers to the attack."""
    after: list[Answer] = field(default_factory=list)
    """What it answers when a request for `follow` comes next on that connection."""
    ended: bool = False
    """It has ended the connection after the attack."""
    ended_after: bool = False
    talk: Talk | None = None
    state: str | None = None

    @property
    def data(self) -> bytes:
        """The attack with names of its own: an answer tells whose it is."""
        return re.sub(rb"/(case|smuggled)\b", lambda match: match[0] + str(self.number).encode(), self.attack.data)

    @property
    def own(self) -> str:
        return f"follow{self.number}"

    def follow(self) -> bytes:
        return f"GET /{self.own} HTTP/1.1\r\nHost: a\r\n\r\n".encode()

    @property
    def server_is_at_boundary(self) -> bool:
        """After the attack the server takes the next request for what it is."""
        return not self.ended and self.after == [*self.before, (200, f"blue {self.own}")]


class Boundaries(WebCase):
    def setUp(self) -> None:
        super().setUp()
        self.cases = [Case(number, attack) for number, attack in enumerate(attacks())]
        self.names = [f"{kind}{case.number}" for case in self.cases for kind in ("case", "smuggled", "follow", "other")]

    # The servers

    def static(self, kind: str) -> tuple[Any, Any]:
        make = {"nginx": self.nginx, "apache": lambda *names: self.apache(*names, keep_alive="60")}[kind]
        servers = make("blue", "blue"), make("green", "green")
        for color in ("blue", "green"):
            for name in self.names:
                self.file(color, name, f"[{color} {name}]\n".encode())
        return servers

    def python_servers(self) -> tuple[Any, Any]:
        return self.enter(LenientServer("blue")), self.enter(LenientServer("green"))

    # Steps

    def in_parallel(self, work: Any, cases: list[Case]) -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(work, cases))

    def ask_directly(self, address: str, case: Case, quiet: float) -> None:
        with connect(address) as sock:
            talk = Talk(sock)
            talk.send(case.data)
            talk.read(quiet)
            case.before, case.ended = talk.answers, talk.ended
            if not talk.ended:
                talk.send(case.follow())
                talk.read(quiet)
            case.after, case.ended_after = talk.answers, talk.ended

    def attack_through(self, address: str, case: Case, quiet: float = 5 * QUIET) -> None:
        """As many answers as the server itself gives, or what comes until all is quiet."""
        case.talk = Talk(self.enter(connect(address)))
        case.talk.send(case.data)
        case.talk.read(quiet, lambda: not case.ended and len(case.talk.answers) >= len(case.before))

    def learn_states(self, door: FrontDoor, cases: list[Case]) -> None:
        """What the front door makes of each connection, once it has come to rest."""

        def look() -> bool:
            sessions = {harness.port_of(session["client"]): session["state"]
                        for session in door.get("/v1/sessions")["sessions"]}
            for case in cases:
                case.state = sessions.get(case.talk.sock.getsockname()[1])
            # What the server waits for more of is busy for good.
            return all(case.state != "busy" or not case.server_is_at_boundary for case in cases)

        with contextlib.suppress(AssertionError):
            wait_until(look, "", timeout=2)

    def ask_as_others(self, address: str, color: str) -> None:
        """Neighbors on connections of their own get what they have asked for."""

        def ask(case: Case) -> None:
            with connect(address) as sock:
                talk = Talk(sock)
                for name in (f"other{case.number}", f"case{case.number}"):
                    talk.data = b""
                    talk.send(f"GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                    talk.read(harness.PATIENCE, lambda: b"]" in talk.data)
                    self.assertEqual(talk.answers, [(200, f"{color} {name}")], case.attack.name)

        self.in_parallel(ask, self.cases)

    def follow(self, case: Case, quiet: float = 5 * QUIET) -> None:
        case.talk.send(case.follow())
        case.talk.read(quiet, lambda: case.own.encode() in case.talk.data.rsplit(b"HTTP/1.", 1)[-1])

    # Verdicts

    def check(self, case: Case, color: str, is_strict: bool) -> None:
        # What this server takes for a request was a body to everybody else: its client alone gets odd answers.
        is_odd = case.attack.is_read_by_few and not is_strict
        is_between = case.state in ("idle", "parked")
        if is_between and not is_odd:
            self.assertTrue(
                case.server_is_at_boundary or case.ended,
                f"a boundary that the server does not see. It answers {case.before}, then "
                f"{case.after[len(case.before):]}; the session is {case.state}")
        answers = case.talk.answers
        own = {f"{each} {kind}{case.number}" for each in ("blue", "green") for kind in ("case", "smuggled", "follow")}
        self.assertLessEqual({name for _, name in answers}, own | {""}, "an answer to somebody else")
        if is_between and (not is_odd or color == "green"):
            self.assertEqual(answers[-1:], [(200, f"{color} {case.own}")], f"its next request; it was {case.state}")
        if is_odd and is_between:
            return
        if is_between:
            self.assertEqual(answers[:-1], case.before)
        elif case.talk.ended or case.attack.is_last:
            self.assertEqual(answers, case.after[:len(answers)], "up to where the connection has ended")
            self.assertTrue(answers or not case.before or case.ended, "no answer at all")
        else:
            self.assertEqual(answers, case.after, f"the session is {case.state}")

    def run_all(self, servers: tuple[Any, Any], switches: bool, is_strict: bool) -> None:
        blue, green = servers
        door = self.http_door(blue, green, drain={"timeout": "5m", "spread": "0s"})
        self.in_parallel(lambda case: self.ask_directly(blue.address, case, QUIET), self.cases)
        self.in_parallel(lambda case: self.attack_through(door.address(), case), self.cases)
        self.learn_states(door, self.cases)
        color = "blue"
        self.ask_as_others(door.address(), color)
        if switches:
            door.switch("green")
            color = "green"
            self.ask_as_others(door.address(), color)
        self.in_parallel(self.follow, self.cases)
        self.ask_as_others(door.address(), color)
        for case in self.cases:
            with self.subTest(case.attack.name):
                try:
                    self.check(case, color, is_strict)
                except AssertionError:
                    # A server that was slow to answer gives a wrong measure.
                    self.again(door, blue.address, case, switches)
                    self.check(case, color, is_strict)
        states = [case.state for case in self.cases]
        for state in ("opaque", "idle"):
            self.assertGreater(states.count(state), 10, f"{state}: the cases are not what they are meant to be")

    def again(self, door: FrontDoor, server: str, case: Case, switches: bool) -> None:
        """One case alone, with more patience."""
        if switches:
            door.switch("blue")
        self.ask_directly(server, case, 5 * QUIET)
        self.attack_through(door.address(), case, 25 * QUIET)
        self.learn_states(door, [case])
        if switches:
            door.switch("green")
        self.follow(case, 25 * QUIET)

    def test_behind_the_front_door_nginx_answers_each_attack_as_it_does_alone(self) -> None:
        self.run_all(self.static("nginx"), False, True)

    def test_behind_the_front_door_apache_answers_each_attack_as_it_does_alone(self) -> None:
        self.run_all(self.static("apache"), False, True)

    def test_behind_the_front_door_python_answers_each_attack_as_it_does_alone(self) -> None:
        self.run_all(self.python_servers(), False, False)

    def test_a_switch_between_two_requests_moves_only_clients_that_nginx_has_answered(self) -> None:
        self.run_all(self.static("nginx"), True, True)

    def test_a_switch_between_two_requests_moves_only_clients_that_apache_has_answered(self) -> None:
        self.run_all(self.static("apache"), True, True)

    def test_a_switch_between_two_requests_moves_only_clients_that_python_has_answered(self) -> None:
        self.run_all(self.python_servers(), True, False)

"""The address of `admin.metrics`: read-only, and however many ask there, and whatever they send, nobody else waits for it."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path

import harness
from harness import Backend, connect, echo, free_port, wait_until
from test_metrics import WithMetrics

CROWD = "127.0.0.3"
"""Where those come from who ask too much; the address of the others is 127.0.0.1."""

LIMIT_OF_ONE = 32
"""Connections that one address may have; there are twice as many."""


def get(path: str, host: str = "localhost") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


class WithReaders(WithMetrics):
    def reader(self, door: harness.FrontDoor, requests: bytes = b"", source: str = "127.0.0.1",
               buffer: int = 0) -> socket.socket:
        """A connection from an address, with so little room for answers, that has sent requests."""
        sock = self.enter(socket.socket())
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.settimeout(harness.PATIENCE)
        sock.bind((source, 0))
        sock.connect(harness.split(self.address(door))[1])
        sock.sendall(requests)
        return sock

    def dropped(self, door: harness.FrontDoor) -> float:
        return self.metrics(door).sum("bgproxy_readers_dropped_total")

    def manifold(self, backend: Backend) -> harness.FrontDoor:
        """A front door with a reading that is too large for each of its readers to have one."""
        targets = [f"127.0.0.1:{port}" for port in range(1, 65)]
        listeners = [{"name": f"listener-{number}", "bind": "127.0.0.1:0", "blue": targets, "green": targets,
                      "preview": "127.0.0.1:0"} for number in range(12)]
        listeners.append({"name": "main", "bind": "127.0.0.1:0", "blue": [backend.address], "green": [backend.address]})
        door = self.serving(listeners=listeners)
        self.assertGreater(LIMIT_OF_ONE * len(self.metrics(door).text), 64 * harness.MIB)
        return door


class EntranceTest(WithReaders):
    def test_nothing_at_the_address_of_the_metrics_changes_anything(self) -> None:
        backend = self.enter(Backend(echo))
        door = self.serving(backend.address, backend.address)
        before = door.status()
        for path in ("/v1/switch", "/v1/rollback", "/v1/pause", "/v1/resume", "/v1/drain", "/v1/reload", "/v1/stop",
                     "/v1/upgrade", "/v1/config", "/v1/sessions", "/v1/health", "/etc/passwd", "//", "/metrics/"):
            for method in ("GET", "POST", "PUT", "DELETE"):
                with self.subTest(path=path, method=method):
                    self.assertEqual(self.fetch(door, path, method)[0], 404)
        for path in ("/", "/metrics", "/v1/status", "/v1/history", "/v1/events"):
            for method in ("POST", "PUT", "DELETE", "PATCH"):
                with self.subTest(path=path, method=method):
                    status, fields, _ = self.fetch(door, path, method)
                    self.assertEqual((status, fields["allow"]), (405, "GET, HEAD"))
        for path in ("/", "/metrics", "/v1/status", "/v1/history"):
            self.assertEqual(self.fetch(door, path)[0], 200)
            self.assertEqual(self.fetch(door, path, "HEAD")[::2], (200, ""))
        after = door.status()
        self.assertEqual((before["active"], before["generation"], before["phase"]),
                         (after["active"], after["generation"], after["phase"]))

    def test_there_is_no_such_address_unless_it_is_configured(self) -> None:
        backend = self.enter(Backend(echo))
        self.assertIsNone(self.front_door(backend.address, backend.address).status()["metrics"])

    def test_the_command_line_overrides_the_file(self) -> None:
        backend, port = self.enter(Backend(echo)), free_port()
        door = self.front_door(backend.address, backend.address, admin={"metrics": f"127.0.0.1:{free_port()}"},
                               arguments=("--metrics", f"127.0.0.1:{port}"))
        self.assertEqual(self.address(door), f"127.0.0.1:{port}")
        self.assertIn(f"metrics=127.0.0.1:{port}", door.events("ready")[0])
        self.assertEqual(self.fetch(door, "/metrics")[0], 200)

    def test_an_address_that_is_taken_is_named_and_nothing_starts(self) -> None:
        backend = self.enter(Backend(echo))
        door = self.enter(harness.FrontDoor(backend.address, backend.address, admin={"metrics": backend.address},
                                            start=False))
        door.launch()
        self.assertEqual(door.wait_exit(), 1)
        self.assertIn(backend.address, door.tail())
        self.assertFalse(Path(door.admin_path).exists())

    def test_a_unix_socket_will_do_and_is_gone_afterwards(self) -> None:
        backend, path = self.enter(Backend(echo)), self.folder() / "metrics.sock"
        door = self.serving(backend.address, backend.address, admin={"metrics": f"unix:{path}"})
        with connect(f"unix:{path}") as sock:
            sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            self.assertIn(b"bgproxy_active", harness.read_all(sock))
        door.stop()
        self.assertFalse(path.exists())

    def test_requests_that_are_none_or_too_large_are_refused_and_harm_nobody(self) -> None:
        backend = self.enter(Backend(echo))
        door = self.serving(backend.address, backend.address)
        address = self.address(door)
        for raw, expected in ((b"nonsense\r\n\r\n", b"400"), (b"GET /metrics HTTP/1.1\r\n\r\n", b"400"),
                              (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n", b"413"),
                              (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", b"4"),
                              (b"\x16\x03\x01\x02\x00" + bytes(100) + b"\r\n\r\n", b"400")):
            with self.subTest(raw=raw[:30]), connect(address) as sock:
                sock.sendall(raw)
                self.assertTrue(harness.read_line(sock).startswith(b"HTTP/1.1 " + expected))
        self.assertEqual(self.fetch(door, "/metrics")[0], 200)
        self.assertEqual(door.status()["active"], "blue")

    def test_a_page_from_elsewhere_cannot_have_it_read_by_a_browser(self) -> None:
        backend = self.enter(Backend(echo))
        door = self.serving(backend.address, backend.address)
        address = self.address(door)
        port = address.rsplit(":", 1)[1]
        for host, expected in (("localhost", b"200"), (f"LOCALHOST:{port}", b"200"), ("127.0.0.1", b"200"),
                               (address, b"200"), (f"[::1]:{port}", b"200"), ("192.0.2.1", b"200"),
                               ("evil.example", b"421"), (f"evil.example:{port}", b"421"), ("", b"421"),
                               ("localhost.evil.example", b"421"), ("127.0.0.1.evil.example", b"421")):
            for path in ("/", "/metrics", "/v1/status", "/v1/events", "/nope"):
                with self.subTest(host=host, path=path), connect(address) as sock:
                    sock.sendall(get(path, host))
                    wanted = b"404" if path == "/nope" and expected == b"200" else expected
                    self.assertEqual(harness.read_line(sock).split()[1], wanted)
        path = self.folder() / "metrics.sock"
        door = self.serving(backend.address, backend.address, admin={"metrics": f"unix:{path}"})
        with connect(f"unix:{path}") as sock:
            sock.sendall(get("/metrics", "front.example"))
            self.assertIn(b"200", harness.read_line(sock), "whoever opens a socket file is no page")

    def test_no_answer_is_kept_or_taken_for_something_else(self) -> None:
        backend = self.enter(Backend(echo))
        door = self.serving(backend.address, backend.address)
        for request, status in ((get("/"), 200), (get("/metrics"), 200), (get("/v1/status"), 200),
                                (get("/v1/events"), 200), (get("/<b>"), 404), (get("/", "evil.example"), 421),
                                (get("/").replace(b"GET", b"POST"), 405), (b"nonsense\r\n\r\n", 400)):
            with self.subTest(request=request):
                sock, head = self.reader(door, request), b""
                while not head.endswith(b"\r\n\r\n"):
                    head += harness.read_exactly(sock, 1)
                lines = head.decode().split("\r\n")
                self.assertEqual(lines[0].split()[1], str(status))
                self.assertEqual(lines.count("X-Content-Type-Options: nosniff"), 1, lines)
                self.assertEqual(lines.count("Cache-Control: no-store"), 1, lines)


class ReaderTest(WithReaders):
    def test_readers_that_do_not_read_are_dropped_with_a_word_and_stall_nobody(self) -> None:
        backend = self.enter(Backend(echo))
        listeners = [{"name": f"listener-{number}", "bind": "127.0.0.1:0", "blue": [backend.address],
                      "green": [backend.address]} for number in range(20)]
        door = self.serving(listeners=listeners)
        self.reader(door, get("/metrics") * 150, buffer=4096)
        self.reader(door, get("/v1/events"), buffer=4096)
        # Each is an event of its own; the longest that a reason may get.
        dropped = lambda event: any("at=metrics" in line for line in door.events(event))  # noqa: E731
        deadline, color = time.monotonic() + 90, "green"
        while not (dropped("answer-dropped") and dropped("events-reader-dropped")):
            self.assertLess(time.monotonic(), deadline, "both readers are dropped")
            door.switch(color, reason="r" * 900)
            color = {"green": "blue", "blue": "green"}[color]
            with connect(door.address("listener-3")) as sock:
                self.assertTrue(harness.says_back(sock))
        self.assertEqual(self.dropped(door), 2)

    def test_many_readers_share_an_answer_and_those_who_make_room_are_counted(self) -> None:
        # Who reads nothing for ten seconds is dropped for that: on a busy machine it may take longer to see all of this.
        self.assertTrue(any(self.many_readers_share_an_answer() for _ in range(4)), "never within ten seconds")

    def many_readers_share_an_answer(self) -> bool:
        """False where it took too long."""
        door = self.manifold(self.enter(Backend(echo)))
        asks = get("/metrics")
        # One reading for each would be more than may wait for readers: some would be turned away.
        readers = [self.reader(door, asks, CROWD, buffer=4096) for _ in range(LIMIT_OF_ONE)]
        firsts = [harness.read_line(sock) for sock in readers]
        self.assertEqual(door.switch("green")["active"], "green")
        dropped = self.dropped(door)
        more = [self.reader(door, asks, CROWD, buffer=4096) for _ in range(5)]
        firsts += [harness.read_line(sock) for sock in more]
        after = self.dropped(door)
        if after > 5:
            return False
        self.assertEqual((dropped, after), (0, 5))
        self.assertEqual([line for line in firsts if b" 200 " not in line], [])
        lines = wait_until(lambda: door.events("answer-dropped"), "the log tells of it")
        if any("does not read" in line for line in lines):
            return False
        self.assertTrue(all('reason="too many connections" at=metrics' in line for line in lines), lines)
        return True

    def test_a_crowd_from_one_address_has_its_own_room_only(self) -> None:
        backend = self.enter(Backend(echo))
        door = self.serving(backend.address, backend.address)
        early = self.reader(door)
        crowd = [self.reader(door, source=CROWD) for _ in range(100)]
        for sock in crowd[:100 - LIMIT_OF_ONE]:
            self.assertEqual(harness.end_of(sock), "fin")
        early.sendall(get("/metrics"))
        self.assertIn(b" 200 ", harness.read_line(early), "the oldest of all, and of another address")
        self.assertEqual(self.dropped(door), 100 - LIMIT_OF_ONE)
        lines = wait_until(lambda: door.events("reader-dropped"), "the log tells of it")
        self.assertIn('reason="too many connections" at=metrics', lines[0])
        self.assertLess(len(lines), 100 - LIMIT_OF_ONE, "at most one in ten seconds")
        crowd[-1].sendall(get("/metrics"))
        self.assertIn(b" 200 ", harness.read_line(crowd[-1]))

    def test_a_crowd_that_always_asks_does_not_shut_out_a_scraper(self) -> None:
        backend = self.enter(Backend(echo))
        door = self.serving(backend.address, backend.address)
        # Together more than there is room for, and each has a request that is worked on as long as it lasts.
        for number in range(120):
            asks = b"".join(get(f"/v1/status?recent={number * 1000 + each}ms") for each in range(200))
            self.reader(door, asks, f"127.0.0.{3 + number % 3}", buffer=harness.MIB)
        for _ in range(10):
            self.assertEqual(self.fetch(door, "/metrics")[0], 200)
        self.assertGreaterEqual(self.dropped(door), 120 - 2 * LIMIT_OF_ONE)
        events = ("reader-dropped", "answer-dropped", "reader-turned-away")
        wait_until(lambda: any(door.events(event) for event in events), "the log tells of it")

    def test_floods_of_any_kind_are_served_in_small_pieces(self) -> None:
        backend = self.enter(Backend(echo))
        door = self.serving(backend.address, backend.address)
        address = self.address(door)
        # All of it is there at once.
        os.kill(door.pid, signal.SIGSTOP)
        try:
            before = self.sleeps(door)
            flood = [self.enter(connect(address)) for _ in range(8)]
            for sock in flood:
                sock.sendall(get("/nope") * 200 + get("/") * 10 + get("/metrics/") * 200 + b"nonsense\r\n\r\n")
        finally:
            os.kill(door.pid, signal.SIGCONT)
        for sock in flood:
            self.assertEqual(self.answers(sock, 411), {b"404": 400, b"200": 10, b"400": 1})
            self.assertEqual(sock.recv(1), b"")
        # The thread that operators are heard on rests after about a millisecond of this, and that is for a few dozen.
        self.assertGreater(self.sleeps(door) - before, 20)
        self.assertEqual(door.switch("green")["active"], "green")

    def sleeps(self, door: harness.FrontDoor) -> int:
        """How often the control thread had nothing to do."""
        status = Path(f"/proc/{door.pid}/task/{door.pid}/status").read_text()
        return int(re.search(r"(?m)^voluntary_ctxt_switches:\s*(\d+)", status)[1])

    def answers(self, sock: socket.socket, count: int) -> dict[bytes, int]:
        """How many of each status there were."""
        found: dict[bytes, int] = {}
        with sock.makefile("rb") as stream:
            for _ in range(count):
                status, length = stream.readline().split()[1], 0
                while (line := stream.readline()) != b"\r\n":
                    if line.startswith(b"Content-Length: "):
                        length = int(line.split()[1])
                self.assertEqual(len(stream.read(length)), length)
                found[status] = found.get(status, 0) + 1
        return found

    def test_readers_of_events_who_leave_make_room_for_others(self) -> None:
        backend = self.enter(Backend(echo))
        door = self.serving(backend.address, backend.address)
        stays = self.enter(connect(self.address(door)))
        stays.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b"200", harness.read_line(stays))
        for _ in range(100):
            with connect(self.address(door)) as sock:
                sock.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.assertIn(b"200", harness.read_line(sock))
        wait_until(lambda: self.metrics(door).sum("bgproxy_event_readers") == 1, "those who left are known to have left")
        self.assertEqual(self.dropped(door), 0)
        door.switch("green", reason="who is still there")
        heard = b""
        while b"who is still there" not in heard:
            chunk = stays.recv(65536)
            self.assertTrue(chunk, "the one who stayed hears it")
            heard += chunk

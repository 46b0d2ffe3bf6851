"""Protocol http where two things meet: a switch, a hold or a lost backend with a request that is half there, a client that
does not read."""

from __future__ import annotations

import hashlib
import socket
import threading
from typing import Any

import harness
from harness import MIB, Backend, Task, end_of, read_exactly, read_line, wait_until
from scripted import Client, ScriptedCase, WebBackend, read_body, read_head, sha


class EdgeCase(ScriptedCase):
    def quits_once(self, backend: WebBackend, path: str, when: threading.Event | None = None) -> None:
        """The first request for this path is read and met by a close, as by a backend that had just given up waiting."""
        original, quits = backend.answer, []

        def answer(sock: socket.socket, method: str, target: str, head: Any) -> bool:
            if target == path and not quits:
                quits.append(path)
                if when:
                    when.wait(harness.PATIENCE)
                return False
            return original(sock, method, target, head)

        backend.answer = answer


class SentAgain(EdgeCase):
    """A request that met the close of an idle backend, and something else with it."""

    def test_a_request_that_its_client_has_cut_short_leaves_no_session_behind(self) -> None:
        reads: list[list[bytes]] = []

        def serve(sock: socket.socket) -> None:
            reads.append([])
            mine = reads[-1]
            while data := sock.recv(65536):
                mine.append(data)
                if data.endswith(b"\r\n\r\n"):
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nblue")
            mine.append(b"")

        backend = self.enter(Backend(serve))
        door = self.door(backend, backend)
        for part in (b"GET /x HT", b"GET /x HTTP/1.1\r\nHost: x\r\nX: ", b"PUT /x HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"):
            client = self.used(door)
            client.sock.sendall(part)
            client.sock.close()
            door.wait_sessions(0)
        wait_until(lambda: all(read[-1:] == [b""] for read in reads), "each backend connection is told of the end")

    def test_a_request_whose_client_has_half_closed_is_sent_again_with_its_end(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.used(door)
        self.quits_once(blue, "/once")
        client.send("GET", "/once")
        client.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(client.answer().body, b"blue")
        self.assertEqual(client.end(), "fin")
        door.wait_sessions(0)
        self.assertEqual(self.counts(door, "blue")["retries"], 1)

    def test_after_a_switch_it_goes_to_the_new_color(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.used(door)
        quits = threading.Event()
        self.quits_once(blue, "/once", quits)
        client.send("GET", "/once")
        wait_until(lambda: "/once" in blue.paths, "the request is there")
        door.switch("green")
        self.assertEqual(self.state(door, client), "busy")
        quits.set()
        self.assertEqual(client.answer().body, b"green")
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["moved"], green.paths), (1, 1, ["/once"]))

    def test_in_a_pause_it_waits_for_the_end_of_the_pause(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.used(door)
        quits = threading.Event()
        self.quits_once(blue, "/once", quits)
        client.send("GET", "/once")
        wait_until(lambda: "/once" in blue.paths, "the request is there")
        self.assertEqual(door.admin("POST", "/v1/pause", {})[0], 200)
        quits.set()
        self.wait_state(door, client, "held")
        self.assertEqual(door.sessions(), 0)
        self.assertEqual(door.admin("POST", "/v1/resume", {})[0], 200)
        self.assertEqual(client.answer().body, b"blue")
        self.assertEqual(blue.paths.count("/once"), 2)

    def test_an_idle_backend_that_resets_costs_the_client_nothing(self) -> None:
        now = threading.Semaphore(0)

        def serve(sock: socket.socket) -> None:
            read_head(sock)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nblue")
            now.acquire(timeout=harness.PATIENCE)
            harness.reset(sock)

        blue = self.enter(Backend(serve))
        door = self.door(blue, blue)
        client = self.used(door)
        port = client.port
        for _ in range(3):
            now.release()
            self.wait_state(door, client, "parked")
            self.assertEqual(client.color(), "blue")
        self.assertEqual(client.port, port)
        self.assertEqual(self.counts(door, "blue")["idleCloses"], 3)

    def test_a_backend_that_restarts_under_idle_clients_costs_them_nothing(self) -> None:
        blue = self.enter(WebBackend("blue"))
        door = self.door(blue, blue)
        clients = [self.used(door) for _ in range(20)]
        blue.close()
        for client in clients:
            self.wait_state(door, client, "parked")
        self.enter(WebBackend("again", address=blue.address))
        self.assertEqual({client.color() for client in clients}, {"again"})


class HalfThere(EdgeCase):
    """A request is in the midst of arriving when the switch comes."""

    def test_a_request_belongs_to_the_color_of_its_first_byte(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green)
        request = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
        for is_used in (True, False):
            door.switch("blue")
            client = self.used(door) if is_used else self.client(door)
            client.sock.sendall(request[:1])
            self.wait_state(door, client, "busy")
            door.switch("green")
            for index in range(1, len(request)):
                client.sock.sendall(request[index:index + 1])
            self.assertEqual(client.answer().body, b"blue")
            self.assertEqual(client.color(), "green")

    def test_a_body_that_waits_for_100_goes_to_the_color_that_has_said_so(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.used(door)
        client.sock.sendall(b"PUT /sum HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        self.assertEqual(client.answer().status, 100)
        door.switch("green")
        client.sock.sendall(b"hello" + b"GET / HTTP/1.1\r\n\r\n")
        answer = client.answer()
        self.assertEqual((answer.body, answer.fields["x-sum"]), (b"blue", sha(b"hello")))
        self.assertEqual(client.answer().body, b"green", "what came in the same segment is another request")

    def test_empty_lines_between_requests_do_not_keep_a_client_on_the_old_color(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.used(door)
        client.sock.sendall(b"\r\n\r\n")
        door.switch("green")
        door.settled()
        self.assertEqual(client.color(), "green")

    def test_an_answer_that_is_refused_before_the_upload_has_ended_reaches_the_client(self) -> None:
        """As nginx does with a body that is too large: answer, FIN, and throw away the rest for a while."""

        def serve(sock: socket.socket) -> None:
            read_head(sock)
            sock.sendall(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nblue")
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1 << 18):
                pass

        blue = self.enter(Backend(serve))
        door = self.door(blue, blue)
        client = self.client(door)
        client.sock.sendall(b"PUT / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n")

        def upload() -> None:
            try:
                for _ in range(200):
                    client.sock.sendall(bytes(500_000))
            except OSError:
                pass

        sending = Task(upload)
        answer = client.answer()
        self.assertEqual((answer.status, answer.body), (413, b"blue"))
        client.sock.close()
        sending.result()
        door.wait_sessions(0)


class SlowReaders(EdgeCase):
    def big(self, color: str, size: int) -> Backend:
        """Answers /big with the pattern, all else with its color."""

        def serve(sock: socket.socket) -> None:
            while True:
                head = read_head(sock)
                read_body(sock, head, False)
                if head.start.split(" ")[1] == "/big":
                    sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
                    harness.send_pattern(sock, size)
                else:
                    sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(color)}\r\n\r\n{color}".encode())

        return self.enter(Backend(serve))

    def head_of(self, client: Client) -> None:
        self.assertEqual(read_head(client.sock).status, 200)

    def test_an_answer_that_is_read_slowly_is_whole_and_the_client_moves_behind_it(self) -> None:
        size = 32 * MIB
        door = self.door(self.big("blue", size), self.big("green", size))
        client = self.client(door)
        client.send("GET", "/big")
        self.head_of(client)
        first = read_exactly(client.sock, 1000)
        door.switch("green")
        self.assertEqual(self.client(door).color(), "green")
        # The next request waits behind an answer that nobody reads.
        client.send("GET", "/")
        self.assertEqual(self.state(door, client), "busy")
        self.assertEqual(first, next(harness.pattern(size))[:1000])
        whole = hashlib.sha256(first)
        left = size - len(first)
        while left:
            data = client.sock.recv(min(left, 1 << 18))
            self.assertTrue(data, f"{left} bytes are missing")
            whole.update(data)
            left -= len(data)
        self.assertEqual(whole.hexdigest(), harness.pattern_hash(size))
        self.assertEqual(client.answer().body, b"green")

    def test_clients_that_pipeline_and_do_not_read_cost_a_bounded_memory(self) -> None:
        size = MIB
        door = self.door(self.big("blue", size), self.big("green", size), drain={"timeout": "5m", "spread": "0s"})
        before = door.memory()
        clients = [self.client(door) for _ in range(40)]
        for client in clients:
            client.sock.sendall(b"GET /big HTTP/1.1\r\n\r\n" * 60 + b"GET / HTTP/1.1\r\n\r\n")
        wait_until(lambda: self.counts(door, "blue")["requests"] >= 40, "the requests are there")
        door.switch("green")
        grown = door.memory() - before
        # A buffer of 64 KiB a direction, and what the allocator keeps.
        self.assertLess(grown, 40 * 2 * 65536 + 4 * MIB, f"{grown / MIB:.1f} MiB")
        for client in clients[:2]:
            for number in range(60):
                self.head_of(client)
                self.assertEqual(harness.receive_hash(client.sock, size)[1], harness.pattern_hash(size))
            self.assertIn(client.answer().body, (b"blue", b"green"))

    def test_clients_that_have_moved_and_ask_nothing_hold_no_buffer(self) -> None:
        count = 1000
        door = self.door(*self.colors())
        # What the front door has once, however many sessions there are.
        self.used(door)
        before = door.memory()
        clients = [self.used(door) for _ in range(count)]
        door.switch("green")
        door.settled()
        self.assertEqual(door.status()["parked"], count + 1)
        grown = door.memory() - before
        self.assertLess(grown / count, 4096, f"{grown / count:.0f} bytes a session")
        self.assertEqual({client.color() for client in clients[:100]}, {"green"})


class Opaque(EdgeCase):
    def test_what_a_client_sends_behind_its_upgrade_is_for_the_new_protocol(self) -> None:
        door = self.door(*self.colors())
        for request in (b"GET /upgrade HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
                        b"CONNECT host:443 HTTP/1.1\r\n\r\n"):
            client = self.client(door)
            client.sock.sendall(request + b"early\n")
            self.assertIn(read_head(client.sock).status, (101, 200))
            self.assertEqual((read_line(client.sock), read_line(client.sock)), (b"blue\n", b"early\n"))
            self.assertEqual(self.state(door, client), "opaque")

    def test_a_session_that_was_upgraded_counts_as_work_in_flight(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green, drain={"timeout": "2s", "spread": "0s"})
        client = self.client(door)
        client.send("GET", "/upgrade", "Connection: Upgrade", "Upgrade: echo")
        self.assertEqual((client.answer().status, read_line(client.sock)), (101, b"blue\n"))
        status, answer = door.admin("POST", "/v1/switch", {"to": "green", "handover": True})
        self.assertEqual(status, 409, answer)
        self.assertIn("opaque", answer["error"]["message"])
        self.assertTrue(harness.says_back(client.sock), "it goes on with the old color")
        self.assertEqual(self.client(door).color(), "blue")

    def test_a_refused_upgrade_leaves_the_session_as_it_was(self) -> None:
        door = self.door(*self.colors())
        client = self.client(door)
        for color in ("blue", "green"):
            door.switch(color)
            self.assertEqual(client.ask("GET", "/", "Connection: Upgrade", "Upgrade: h2c").body.decode(), color)
            self.assertEqual(self.state(door, client), "idle")

    def test_quiet_opaque_sessions_are_spread_over_the_end_of_the_drain(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green, drain={"timeout": "6s", "spread": "3s"})
        clients = [self.client(door) for _ in range(10)]
        for client in clients:
            client.send("GET", "/upgrade", "Connection: Upgrade", "Upgrade: echo")
            self.assertEqual((client.answer().status, read_line(client.sock)), (101, b"blue\n"))
        door.switch("green")
        self.assertEqual({end_of(client.sock) for client in clients}, {"fin"})
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["spread"], receipt["cut"]), (10, 10, 0))


class StalledReaders(EdgeCase):
    """The front door has an answer whole, and the client has not; the backend has done with the connection meanwhile."""

    def stalled(self, door: harness.FrontDoor) -> socket.socket:
        """Has asked for /big and reads nothing; the window is small from the beginning."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.settimeout(harness.PATIENCE)
        self.addCleanup(client.close)
        client.connect(harness.split(door.address())[1])
        client.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        last = -1
        while last != (last := self.bytes_out(door)) or last == 0:
            threading.Event().wait(0.3)
        return client

    def bytes_out(self, door: harness.FrontDoor) -> int:
        return door.get("/v1/sessions")["sessions"][0]["bytesOut"]

    def door_with(self, size: int, behind: bytes, log: list[tuple[int, bytes]]) -> harness.FrontDoor:
        """/big is so long, and something comes behind it: bytes that nobody asked for, or, where there are none, FIN.
        When that has been sent `self.has_done` is set."""
        numbers = iter(range(1, 100))
        has_done = self.has_done = threading.Event()

        def serve(sock: socket.socket) -> None:
            number = next(numbers)
            while (head := read_head(sock)).start:
                log.append((number, head.start.encode()))
                if " /big " in head.start:
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size) + behind)
                    if not behind:
                        sock.shutdown(socket.SHUT_RDWR)
                    has_done.set()
                    if not behind:
                        return
                else:
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        backend = self.enter(Backend(serve))
        return self.door(backend, backend)

    def check(self, behind: bytes) -> None:
        """How much fits between backend and client is found out first: an answer a little shorter is all in the front
        door, which holds its end."""
        with self.door_with(64 * MIB, b"x", []) as door:
            room = self.bytes_out(self.stalled(door) and door)
        checked = 0
        # How much fits differs a little each time; the last is whole for certain, though perhaps nothing of it is held.
        for less in (10_000, 30_000, 60_000, 120_000, 250_000, 500_000, 1_000_000):
            size = room - less
            log: list[tuple[int, bytes]] = []
            door = self.door_with(size, behind, log)
            client = self.stalled(door)
            head = len(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            # Less has come: then the request would be pipelined behind an answer that is still on its way.
            if self.bytes_out(door) < head + size:
                continue
            checked += 1
            self.assertTrue(self.has_done.wait(harness.PATIENCE))
            client.sendall(b"POST /next HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            threading.Event().wait(0.1)
            read_exactly(client, head + size)
            self.assertEqual(read_exactly(client, 40)[-2:], b"ok")
            self.assertEqual(log, [(1, b"GET /big HTTP/1.1"), (2, b"POST /next HTTP/1.1")])
        self.assertGreater(checked, 0, "no answer was whole in the front door")

    def test_a_backend_that_has_closed_meanwhile_is_asked_nothing_more(self) -> None:
        self.check(b"")

    def test_a_backend_that_has_sent_a_408_meanwhile_is_asked_nothing_more(self) -> None:
        self.check(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

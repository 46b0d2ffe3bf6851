"""What the running front door allocates once it has warmed up: nothing for a request, nothing for a session. Counts,
never times."""

from __future__ import annotations

import mmap
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import harness
from harness import Backend, FrontDoor, Handler, find_program, read_exactly, scaled
from web import WebCase

SOURCE = harness.ROOT / "Benchmarks" / "AllocationCount" / "AllocationCount.c"

REQUEST = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nApp v1\n"
CHUNKED = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + 256 * (b"400\r\n" + 1024 * b"x" + b"\r\n")
           + b"0\r\n\r\n")

ROUNDS = 6
"""How many there are, at most, for one that allocates nothing."""

LOOKS = 50
LOOKS_PER_SECOND = 10
"""What the workers may allocate meanwhile: every two seconds they tell the control thread what they have counted, which
is 13 allocations. A round has 500 requests or sessions at the least, so one allocation for each, or for each fourth, is
seen, unless the machine takes half a minute for them."""


def answering(answer: bytes) -> Handler:
    """The same answer to each request; requests have no bodies."""

    def handle(sock: socket.socket) -> None:
        rest = b""
        while data := sock.recv(1 << 16):
            rest += data
            sock.sendall(answer * rest.count(b"\r\n\r\n"))
            rest = rest[rest.rfind(b"\r\n\r\n") + 4:] if b"\r\n\r\n" in rest else rest

    return handle


class Allocations(WebCase):
    def setUp(self) -> None:
        super().setUp()
        compiler = find_program("cc") or find_program("clang") or find_program("gcc")
        if compiler is None:
            self.skipTest("no C compiler is installed, which the counter needs")
        binary = Path(harness.BGPROXY).read_bytes()
        if b"__tsan_init" in binary or b"__asan_init" in binary:
            self.skipTest("this bgproxy has a sanitizer, which needs malloc for itself")
        self.library = self.place / "count.so"
        built = subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(self.library), str(SOURCE)],
                               capture_output=True, text=True, check=False)
        self.assertEqual(built.returncode, 0, built.stderr)

    def counted_door(self, protocol: str, backend: str) -> FrontDoor:
        """A front door whose allocations are counted in a file that is mapped here."""
        main = {"name": "main", "bind": "127.0.0.1:0", "protocol": protocol, "blue": [backend],
                "green": [f"127.0.0.1:{harness.free_port()}"]}
        file = self.place / "counts"
        door = self.front_door(listeners=[main], environment={
            "LD_PRELOAD": str(self.library), "ALLOCATION_COUNT_FILE": str(file)})
        opened = self.enter(file.open("rb"))
        self.counts = self.enter(mmap.mmap(opened.fileno(), 24, prot=mmap.PROT_READ))
        # The control: the admin channel allocates for each answer, and the workers for what they tell it. Where that is
        # not seen, a count of 0 says nothing.
        before = self.allocations(), self.allocations_of_workers()
        for _ in range(10):
            door.status()
        for now, earlier in zip((self.allocations(), self.allocations_of_workers()), before):
            self.assertGreater(now - earlier, 20, "the counter does not see what the front door allocates")
        return door

    def allocations(self) -> int:
        return struct.unpack_from("Q", self.counts)[0]

    def allocations_of_workers(self) -> int:
        return struct.unpack_from("Q", self.counts, 16)[0]

    def assertSteady(self, work: Callable[[], int]) -> None:
        """Soon there is a round in which the workers allocate nothing, or no more than the work tolerates, and what
        they have counted takes. Whatever allocates for each request has none; what is only warming up has."""
        work()
        counts = []
        for _ in range(ROUNDS):
            before, began = self.allocations_of_workers(), time.monotonic()
            tolerated = work()
            counts.append(self.allocations_of_workers() - before)
            if counts[-1] <= tolerated + LOOKS + LOOKS_PER_SECOND * (time.monotonic() - began):
                return
        self.fail(f"every round allocated more than is tolerated: {counts}")

    def clients(self, door: FrontDoor, count: int) -> list[socket.socket]:
        address = door.address()
        return [self.client(address) for _ in range(count)]

    def keep_alive(self, protocol: str, answer: bytes, requests: int, batch: int = 1) -> None:
        """Requests of 16 clients, each of which keeps its connection and has so many under way at a time."""
        backend = self.enter(Backend(answering(answer)))
        door = self.counted_door(protocol, backend.address)
        clients = self.clients(door, 16)

        def ask() -> int:
            for _ in range(requests // len(clients) // batch):
                for client in clients:
                    client.sendall(REQUEST * batch)
                for client in clients:
                    self.assertTrue(read_exactly(client, len(answer) * batch) == answer * batch)
            return 0

        self.assertSteady(ask)
        self.assertEqual(backend.errors, [])

    def sessions(self, protocol: str, requests: int) -> None:
        """A connection for each request, 20 at a time."""
        door = self.counted_door(protocol, self.enter(Backend(answering(ANSWER))).address)
        address = door.address()

        def ask() -> int:
            for _ in range(requests // 20):
                clients = [harness.connect(address) for _ in range(20)]
                for client in clients:
                    client.sendall(REQUEST)
                for client in clients:
                    self.assertEqual(read_exactly(client, len(ANSWER)), ANSWER)
                    client.close()
            return 0

        self.assertSteady(ask)

    def wrk_load(self, protocol: str) -> None:
        """Fewer than one in a thousand requests: how many of its connections wait for the same thing is a matter of
        chance, and pools and queues grow with each new record."""
        harness.need("wrk")
        door = self.counted_door(protocol, self.nginx("blue", "App v1\n").address)
        address = door.address()

        def ask() -> int:
            served = 0
            # A busy machine may need more than one go for enough of them.
            for _ in range(30):
                requests, errors = self.wrk_result(self.wrk(address, scaled(1, 10)))
                self.assertEqual(set(errors.values()), {0}, errors)
                served += requests
                if served >= 10_000:
                    return served // 1000
            self.fail(f"{served} requests were served")

        self.assertSteady(ask)

    def test_requests_on_kept_connections_allocate_nothing_tcp(self) -> None:
        self.keep_alive("tcp", ANSWER, scaled(10_000, 100_000))

    def test_requests_on_kept_connections_allocate_nothing_http(self) -> None:
        self.keep_alive("http", ANSWER, scaled(10_000, 100_000))

    def test_pipelined_requests_allocate_nothing_http(self) -> None:
        self.keep_alive("http", ANSWER, scaled(10_000, 100_000), batch=8)

    def test_large_answers_in_chunks_allocate_nothing_tcp(self) -> None:
        self.keep_alive("tcp", CHUNKED, scaled(500, 5000))

    def test_large_answers_in_chunks_allocate_nothing_http(self) -> None:
        self.keep_alive("http", CHUNKED, scaled(500, 5000))

    def test_sessions_allocate_nothing_tcp(self) -> None:
        self.sessions("tcp", scaled(2000, 20_000))

    def test_sessions_allocate_nothing_http(self) -> None:
        self.sessions("http", scaled(2000, 20_000))

    def test_wrk_allocates_next_to_nothing_tcp(self) -> None:
        self.wrk_load("tcp")

    def test_wrk_allocates_next_to_nothing_http(self) -> None:
        self.wrk_load("http")

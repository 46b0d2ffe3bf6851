"""Flow control: memory stays bounded, nobody waits for somebody else's stalled reader. Scenarios 12 to 14."""

from __future__ import annotations

import hashlib
import socket
import threading
import time

import harness
from harness import MIB, Case, Task, connect, pattern_hash, read_exactly, receive_hash, scaled, send_pattern, wait_until


def send_until_blocked(sock: socket.socket) -> int:
    """Sends until the socket takes no byte for half a second; returns how many it took."""
    sock.settimeout(0.5)
    sent, block = 0, bytes(65536)
    try:
        while True:
            sent += sock.send(block)
    except TimeoutError:
        return sent


class Flow(Case):
    def test_12_reader_stops_memory_is_bounded_reader_goes_on_exact(self) -> None:
        """The client does not read while the server pushes; then it reads, and every byte is there."""
        size = scaled(256, 1024) * MIB
        door = self.door_to(lambda sock: send_pattern(sock, size))
        with connect(door.address()) as client:
            before = door.memory()
            out = lambda: door.status()["colors"]["blue"]["bytesOut"]  # noqa: E731
            wait_until(out, "the first bytes have come through")
            # Stalled: two looks, half a second apart, see the same count.
            last = -1
            while last != (last := out()):
                time.sleep(0.5)
            self.assertLess(last, size)
            self.assertLess(door.memory() - before, 4 * MIB, "one pooled buffer a direction")
            self.assertEqual(receive_hash(client), (size, pattern_hash(size)))
            self.assertLess(door.memory() - before, 4 * MIB)
        door.wait_sessions(0)

    def test_12_the_same_from_client_to_server(self) -> None:
        size = scaled(256, 1024) * MIB
        go_on = threading.Event()
        seen: list[tuple[int, str]] = []

        def serve(sock: socket.socket) -> None:
            go_on.wait(100)
            seen.append(receive_hash(sock))

        door = self.door_to(serve)
        with connect(door.address(), timeout=100) as client:
            before = door.memory()
            sender = Task(send_pattern, client, size)
            last = -1
            while last != (last := door.status()["colors"]["blue"]["bytesIn"]) or last == 0:
                time.sleep(0.5)
            self.assertLess(last, size)
            self.assertLess(door.memory() - before, 4 * MIB, "one pooled buffer a direction")
            go_on.set()
            sent = sender.result()
            client.shutdown(socket.SHUT_WR)
            wait_until(lambda: seen, "the server has read to the end", timeout=60)
        self.assertEqual(seen, [(size, sent)])

    def test_12_stops_and_goes_of_a_slow_reader_are_exact(self) -> None:
        size = 24 * MIB
        door = self.door_to(lambda sock: send_pattern(sock, size))
        with socket.socket() as client:
            # Before connecting: the window is agreed on there.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            client.settimeout(harness.PATIENCE)
            client.connect(harness.split(door.address())[1])
            digest, count = hashlib.sha256(), 0
            while data := client.recv(100_003):
                digest.update(data)
                count += len(data)
                if count % 7 == 0:
                    time.sleep(0.005)  # the reader is slow on purpose
            self.assertEqual((count, digest.hexdigest()), (size, pattern_hash(size)))

    def test_13_a_thousand_stalled_pairs_the_others_keep_their_latency(self) -> None:
        """Each stalled pair has bytes queued in both directions, and nobody reads them."""
        stalled = self.enter(harness.Backend(harness.keep))
        lively = self.enter(harness.Peer("serve", "blue", "echo"))
        dead = f"127.0.0.1:{harness.free_port()}"
        door = self.front_door(listeners=[
            {"name": "stalled", "bind": "127.0.0.1:0", "protocol": "tcp", "blue": [stalled.address], "green": [dead]},
            {"name": "lively", "bind": "127.0.0.1:0", "protocol": "tcp", "blue": [lively.address], "green": [dead]}])
        lively_client = self.open_session(door.address("lively"), "blue")

        def latency() -> float:
            """The least of many questions and answers: what others do on this machine adds to most of them, and what
            the front door does for stalled pairs to all."""
            times = []
            for _ in range(300):
                began = time.monotonic()
                self.assertTrue(harness.says_back(lively_client))
                times.append(time.monotonic() - began)
            return min(times)

        before, memory = latency(), door.memory()
        address = door.address("stalled")
        for _ in range(1000):
            client = self.client(address)
            # Small buffers: a thousand pairs shall not take gigabytes of the kernel.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
            client.setblocking(False)
            while True:
                try:
                    client.send(bytes(16384))
                except BlockingIOError:
                    break
        door.wait_sessions(1001)
        after = latency()
        self.assertLess(after, 10 * before + 0.005, "the latency of a lively session")
        # Each holds at most a buffer a direction.
        self.assertLess(door.memory() - memory, 1000 * 2 * 80 * 1024)
        began = door.cpu_seconds()
        time.sleep(1)  # the span over which the processor is measured
        self.assertLess(door.cpu_seconds() - began, 0.3, "stalled pairs cost no processor")

    def test_14_fin_waits_behind_the_bytes(self) -> None:
        """The server sends and closes at once; the client begins to read later: all bytes, then FIN."""
        for size in (1, 65_536, 65_537, MIB, 5 * MIB + 3, 48 * MIB):
            with self.subTest(size=size):
                closed = threading.Event()

                def serve(sock: socket.socket) -> None:
                    send_pattern(sock, size)
                    sock.shutdown(socket.SHUT_WR)
                    closed.set()
                    sock.recv(1)

                door = self.door_to(serve)
                with connect(door.address()) as client:
                    if size <= 65_537:
                        closed.wait(10)
                    else:
                        wait_until(lambda: door.status()["colors"]["blue"]["bytesOut"], "bytes are on their way")
                    self.assertEqual(receive_hash(client), (size, pattern_hash(size)))

    def test_14_fin_of_the_client_waits_behind_its_bytes(self) -> None:
        for size in (1, 65_537, 5 * MIB + 3, 48 * MIB):
            with self.subTest(size=size):
                begin = threading.Event()
                seen: list[tuple[int, str]] = []

                def serve(sock: socket.socket) -> None:
                    begin.wait(10)
                    seen.append(receive_hash(sock))
                    sock.sendall(b"thanks")

                door = self.door_to(serve)
                with connect(door.address()) as client:
                    def send() -> str:
                        digest = send_pattern(client, size)
                        client.shutdown(socket.SHUT_WR)
                        return digest

                    sender = Task(send)
                    wait_until(lambda: door.status()["colors"]["blue"]["bytesIn"], "bytes are on their way")
                    begin.set()
                    sent = sender.result()
                    self.assertEqual(read_exactly(client, 6), b"thanks")
                self.assertEqual(seen, [(size, sent)])

    def test_14_sustained_bulk_then_fin_repeated(self) -> None:
        """Long enough for whatever the relay does with sustained bulk, often enough to catch a FIN that overtakes."""
        size = 3 * MIB
        door = self.door_to(lambda sock: send_pattern(sock, size))
        wanted = (size, pattern_hash(size))
        address = door.address()

        def repeat() -> None:
            for _ in range(40):
                with connect(address) as client:
                    self.assertEqual(receive_hash(client), wanted)

        for task in [Task(repeat) for _ in range(4)]:
            task.result()
        door.wait_sessions(0)

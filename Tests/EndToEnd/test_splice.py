"""Sustained transfers, whose bytes go through pipes: exact under every fault, bounded, and off where the operator says so."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from typing import Any

import harness
from harness import (
    MIB, Backend, Case, FrontDoor, Task, connect, pattern, pattern_hash, read_exactly, read_line, receive_hash,
    scaled, send_pattern, wait_until)

SIZE = scaled(48, 1024) * MIB
# Whether a transfer at full pace is a sustained one depends on that pace: four full reads, one after another.
TRIES = 50
# What a worker keeps for the next transfer.
KEPT = 4


class SpliceCase(Case):
    def front_door(self, *arguments: Any, **settings: Any) -> FrontDoor:
        return super().front_door(*arguments, **{"splice": "auto"} | settings)

    def spliced(self, door: FrontDoor) -> int:
        return door.status()["splice"]["bytes"]

    def pipes(self, door: FrontDoor) -> int:
        return door.status()["splice"]["pipes"]

    def read_until_spliced(self, door: FrontDoor, client: socket.socket) -> bytes:
        """Reads until the transfer is a sustained one, and returns what it read.

        That takes full reads one after another, so the client pauses: what comes after a pause stands in full buffers.
        """
        before, parts = self.spliced(door), []
        while self.spliced(door) == before:
            self.stall(door)
            parts.append(read_exactly(client, 4 * MIB))
        return b"".join(parts)

    def check_pipes_are_free(self, door: FrontDoor) -> None:
        door.wait_sessions(0)
        self.assertLessEqual(self.pipes(door), KEPT * harness.workers_of(door))

    def stall(self, door: FrontDoor) -> int:
        """Waits until nothing moves any more; returns how many bytes have come from the backend."""
        last = -1
        while last != (last := door.status()["colors"]["blue"]["bytesOut"]) or last == 0:
            time.sleep(0.3)
        return last


class Exact(SpliceCase):
    def test_14_a_fin_waits_behind_the_bytes_in_the_pipe(self) -> None:
        size = 24 * MIB
        door = self.door_to(lambda sock: send_pattern(sock, size))
        with connect(door.address()) as client:
            begun = self.read_until_spliced(door, client)
            self.stall(door)
            self.assertEqual(hashlib.sha256(begun + harness.read_all(client)).hexdigest(), pattern_hash(size))
        self.check_pipes_are_free(door)

    def test_down_up_and_both_at_once(self) -> None:
        seen: list[tuple[int, str]] = []

        def serve(sock: socket.socket) -> None:
            kind = sock.recv(1)
            down = Task(send_pattern, sock, SIZE) if kind in b"db" else None
            if kind in b"ub":
                seen.append(receive_hash(sock, SIZE))
            if down:
                down.result()
            sock.sendall(b"!")

        door = self.door_to(serve)
        wanted = (SIZE, pattern_hash(SIZE))
        for kind in (b"d", b"u", b"b"):
            with self.subTest(kind):
                before = self.spliced(door)
                for _ in range(TRIES):
                    with connect(door.address(), timeout=100) as client:
                        client.sendall(kind)
                        up = Task(send_pattern, client, SIZE) if kind in b"ub" else None
                        if kind in b"db":
                            self.assertEqual(receive_hash(client, SIZE), wanted)
                        self.assertEqual(read_exactly(client, 1), b"!")
                        if up:
                            up.result()
                            self.assertEqual(seen.pop(), wanted)
                    if self.spliced(door) > before:
                        break
                self.assertGreater(self.spliced(door), before)
        self.check_pipes_are_free(door)

    def test_after_a_transfer_small_messages_go_on(self) -> None:
        """The session has spliced; then it asks and answers, byte by byte, and then it transfers again."""
        def serve(sock: socket.socket) -> None:
            for _ in range(2):
                send_pattern(sock, SIZE)
                while (line := read_line(sock)) != b"next\n":
                    sock.sendall(line)

        door = self.door_to(serve)
        with connect(door.address()) as client:
            for round_ in range(2):
                with self.subTest(round_):
                    begun = self.read_until_spliced(door, client)
                    whole = hashlib.sha256(begun + read_exactly(client, SIZE - len(begun))).hexdigest()
                    self.assertEqual(whole, pattern_hash(SIZE))
                for number in range(200):
                    client.sendall(b"%d\n" % number)
                    self.assertEqual(read_line(client), b"%d\n" % number)
                client.sendall(b"next\n")

    def test_an_urgent_byte_in_the_midst_of_it_stops_nothing(self) -> None:
        """splice(2) stops at it; it is left out of the stream, as by any receiver that does not ask for it."""
        def serve(sock: socket.socket) -> None:
            for index, block in enumerate(pattern(24 * MIB)):
                sock.sendall(block)
                if index % 100 == 50:
                    sock.send(b"!", socket.MSG_OOB)

        door = self.door_to(serve)
        with connect(door.address()) as client:
            count, digest = receive_hash(client)
        # The kernel keeps one urgent byte at a time: one that another has overtaken becomes part of the stream.
        self.assertGreaterEqual(count, 24 * MIB)
        if count == 24 * MIB:
            self.assertEqual(digest, pattern_hash(24 * MIB))

    def test_over_unix_sockets(self) -> None:
        folder = self.folder()
        backend = self.enter(Backend(lambda sock: send_pattern(sock, SIZE), f"unix:{folder}/app.sock"))
        door = self.front_door(backend.address, backend.address)
        with connect(door.address()) as client:
            self.assertEqual(receive_hash(client), (SIZE, pattern_hash(SIZE)))


class Broken(SpliceCase):
    def test_what_a_backend_sent_before_its_reset_arrives_and_then_the_reset(self) -> None:
        """The client stalls, so that the pipe is full when the backend resets."""
        sent: list[int] = []
        go_on = threading.Event()

        def serve(sock: socket.socket) -> None:
            count = 0
            sock.settimeout(1)
            try:
                for block in pattern(64 * MIB):
                    left = memoryview(block)
                    while left:
                        taken = sock.send(left)
                        count += taken
                        left = left[taken:]
            except TimeoutError:
                pass
            sent.append(count)
            go_on.wait(30)
            harness.reset(sock)

        door = self.door_to(serve)
        with connect(door.address()) as client:
            received = bytearray(self.read_until_spliced(door, client))
            wait_until(lambda: sent, "both sides are full", timeout=60)
            came = self.stall(door)
            go_on.set()
            wait_until(lambda: door.status()["colors"]["blue"]["resets"] or self._resets(door), "the reset has come")
            try:
                while data := client.recv(1 << 20):
                    received += data
                self.fail("an end that looks complete")
            except ConnectionResetError:
                pass
            # What had come from the backend when it reset has arrived, in order.
            self.assertGreaterEqual(len(received), came)
            self.assertEqual(bytes(received), b"".join(pattern(len(received))))
        self.check_pipes_are_free(door)

    def _resets(self, door: FrontDoor) -> bool:
        return any(session["state"] == "resetting" for session in door.get("/v1/sessions")["sessions"])

    def test_a_client_that_goes_away_resets_the_backend_and_its_pipe_is_free(self) -> None:
        ends: list[str] = []

        def serve(sock: socket.socket) -> None:
            try:
                send_pattern(sock, 1024 * MIB)
                ends.append("complete")
            except (ConnectionResetError, BrokenPipeError):
                ends.append("reset")

        door = self.door_to(serve)
        for _ in range(30):
            client = connect(door.address())
            read_exactly(client, 8 * MIB)
            harness.reset(client)
        wait_until(lambda: len(ends) == 30, "the backend has noticed all of them")
        self.assertEqual(set(ends), {"reset"})
        self.check_pipes_are_free(door)

    def test_sessions_that_are_cut_at_the_deadline_free_their_pipes(self) -> None:
        blue = self.enter(Backend(lambda sock: send_pattern(sock, 1024 * MIB)))
        green = self.enter(Backend())
        door = self.front_door(blue.address, green.address, drain={"timeout": "1s", "spread": "0s"})
        clients = [self.client(door.address()) for _ in range(6)]
        for client in clients:
            read_exactly(client, 8 * MIB)
        self.stall(door)
        door.switch("green")
        self.assertEqual(door.settled()["cut"], 6)
        for client in clients:
            with self.assertRaises(ConnectionResetError):
                while client.recv(1 << 20):
                    pass
        self.check_pipes_are_free(door)


class Bounded(SpliceCase):
    def test_beyond_the_limit_bytes_are_copied_and_none_is_lost(self) -> None:
        """More stalled transfers than there are pipes."""
        size = 32 * MIB
        door = self.door_to(lambda sock: send_pattern(sock, size))
        limit = door.status()["splice"]["limit"]
        self.assertGreater(limit, 0)
        # The kernel counts what all users' pipes take: bgproxy stays within half of that.
        with open("/proc/sys/fs/pipe-user-pages-soft") as file:
            self.assertLessEqual(limit * 256, max(int(file.read()) // 2, 64 * 256))
        clients = []
        for _ in range(limit + 8):
            client = self.client(door.address(), timeout=100)
            # Sustained, before it stalls.
            clients.append((client, hashlib.sha256(read_exactly(client, 8 * MIB))))
        before = door.memory()
        self.stall(door)
        for _ in range(8):
            if self.pipes(door) > limit // 2:
                break
            for client, digest in clients:
                digest.update(read_exactly(client, 2 * MIB))
            self.stall(door)
        self.assertLessEqual(self.pipes(door), limit)
        self.assertGreater(self.pipes(door), limit // 2, "stalled transfers have their bytes in pipes")
        self.assertLess(door.memory() - before, 24 * MIB, "and those without one in buffers")
        wanted = pattern_hash(size)
        for client, digest in clients:
            digest.update(harness.read_all(client))
            self.assertEqual(digest.hexdigest(), wanted)
            client.close()
        self.check_pipes_are_free(door)

    def test_off_is_off_at_once_and_after_a_reload(self) -> None:
        door = self.door_to(lambda sock: send_pattern(sock, SIZE), splice="off")
        with connect(door.address()) as client:
            self.assertEqual(receive_hash(client), (SIZE, pattern_hash(SIZE)))
        self.assertEqual((self.spliced(door), self.pipes(door)), (0, 0))
        for value, moves in (("auto", True), ("off", False)):
            door.settings["splice"] = value
            door.write_config()
            self.assertEqual(door.post("/v1/reload")["changed"], ["splice"])
            before = self.spliced(door)
            for _ in range(TRIES if moves else 3):
                with connect(door.address()) as client:
                    self.assertEqual(receive_hash(client), (SIZE, pattern_hash(SIZE)))
                if moves and self.spliced(door) > before:
                    break
            self.assertEqual(self.spliced(door) > before, moves)


def serve_http(sock: socket.socket) -> None:
    """GET /N: N bytes of the pattern; PUT: the hash of the body; any number of requests."""
    while head := read_head(sock):
        method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
        if method == b"GET":
            size = int(target[1:])
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            send_pattern(sock, size)
        else:
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            count, digest = receive_hash(sock, size)
            body = f"{count} {digest}".encode()
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def read_head(sock: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (byte := sock.recv(1)):
            return b""
        head += byte
    return head


class Http(SpliceCase):
    def door(self) -> FrontDoor:
        blue, green = self.enter(Backend(serve_http)), self.enter(Backend(serve_http))
        return self.front_door(listeners=[{"name": "main", "bind": "127.0.0.1:0", "protocol": "http",
                                           "blue": [blue.address], "green": [green.address]}])

    def begin(self, client: socket.socket, size: int) -> None:
        client.sendall(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % size)
        self.assertIn(b"200 OK", read_head(client))

    def get(self, client: socket.socket, size: int) -> None:
        self.begin(client, size)
        self.assertEqual(receive_hash(client, size), (size, pattern_hash(size)))

    def test_bodies_go_through_pipes_and_boundaries_are_kept(self) -> None:
        door = self.door()
        with connect(door.address(), timeout=100) as client:
            for size in (0, 1, SIZE, 16384, SIZE + 1, 7):
                self.get(client, size)
            self.begin(client, SIZE)
            begun = self.read_until_spliced(door, client)
            whole = hashlib.sha256(begun + read_exactly(client, SIZE - len(begun))).hexdigest()
            self.assertEqual(whole, pattern_hash(SIZE))
            before = self.spliced(door)
            for tries in range(1, TRIES + 1):
                client.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % SIZE)
                sender = Task(send_pattern, client, SIZE)
                body = f"{SIZE} {pattern_hash(SIZE)}".encode()
                self.assertIn(b"200 OK", read_head(client))
                self.assertEqual(read_exactly(client, len(body)), body)
                sender.result()
                if self.spliced(door) > before:
                    break
            self.assertGreater(self.spliced(door), before)
            self.get(client, 5)
        counters = door.status()["colors"]["blue"]
        self.assertEqual((counters["requests"], counters["opaque"]), (8 + tries, 0))

    def test_a_switch_in_the_midst_of_a_body_moves_the_next_request(self) -> None:
        door = self.door()
        with connect(door.address(), timeout=100) as client:
            self.begin(client, SIZE)
            begun = self.read_until_spliced(door, client)
            door.switch("green")
            whole = hashlib.sha256(begun + read_exactly(client, SIZE - len(begun))).hexdigest()
            self.assertEqual(whole, pattern_hash(SIZE))
            self.get(client, 3)
            self.assertEqual(door.settled()["moved"], 1)
            self.assertEqual(door.status()["colors"]["green"]["requests"], 1)

    def test_a_pipelined_request_behind_a_large_body_gets_its_own_answer(self) -> None:
        door = self.door()
        with connect(door.address(), timeout=100) as client:
            client.sendall(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\nGET /9 HTTP/1.1\r\nHost: a\r\n\r\n" % SIZE)
            for size in (SIZE, 9):
                self.assertIn(b"200 OK", read_head(client))
                self.assertEqual(receive_hash(client, size), (size, pattern_hash(size)))

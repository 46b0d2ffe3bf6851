"""The drain: who ends how, and whether the books say so. Scenarios 34 to 39."""

from __future__ import annotations

import hashlib
import signal
import socket
import subprocess
import threading
import time

import harness
from harness import Case, Herd, Task, check_receipt, connect, end_of, port_of, says_back, session, wait_until


def trickle(seconds: float) -> harness.Handler:
    """Sends a block every 20 ms for so long, then its hash's input ends: a transfer that is never quiet."""

    def serve(sock: socket.socket) -> None:
        sock.sendall(b"blue\n")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sock.sendall(b"x" * 4096)
            time.sleep(0.02)  # the pace of the transfer
        sock.sendall(b"end")

    return serve


class Drain(Case):
    def test_34_a_shorter_transfer_completes_and_wait_returns_then(self) -> None:
        blue = self.enter(harness.Backend(trickle(2.0)))
        green = self.enter(harness.Backend(harness.tagged("green")))
        door = self.front_door(blue.address, green.address)
        client = self.open_session(door.address(), "blue")

        def read() -> bytes:
            with client:
                return harness.read_all(client)

        reader = Task(read)
        began = time.monotonic()
        answer = door.ctl("switch", "green", "--wait", "--drain", "30s")
        took = time.monotonic() - began
        self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
        data = reader.result()
        self.assertTrue(data.endswith(b"end"), "the transfer is whole")
        self.assertGreater(took, 1.0, "it has waited for the transfer")
        self.assertLess(took, 15, "and not for the deadline")
        receipt = door.receipt()
        self.assertEqual((receipt["open"], receipt["ended"], receipt["settled"]), (1, 1, True))

    def test_34_wait_prints_its_progress_line_by_line(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        client = self.open_session(door.address(), "blue")
        process = door.start_ctl("switch", "green", "--wait", "--drain", "30s", stderr=subprocess.STDOUT)
        try:
            began = time.monotonic()
            lines = [process.stdout.readline() for _ in range(3)]
            self.assertTrue(all(lines), lines)
            self.assertNotIn("\x1b", "".join(lines))
            self.assertLess(time.monotonic() - began, 15, "while it drains, not at its end")
            client.close()
            output, errors = process.communicate(timeout=20)
            self.assertEqual((process.returncode, errors), (0, None), output)
        finally:
            process.kill()
            process.wait()

    def test_35_a_longer_transfer_is_cut_at_the_deadline_and_counted(self) -> None:
        blue = self.enter(harness.Backend(trickle(20.0)))
        green = self.enter(harness.Backend(harness.tagged("green")))
        door = self.front_door(blue.address, green.address, drain={"timeout": "30s", "spread": "1s"})
        clients = [self.open_session(door.address(), "blue") for _ in range(5)]

        def read_to_end(client: socket.socket) -> tuple[str, float]:
            try:
                harness.read_all(client)
                return "fin", time.time()
            except ConnectionResetError:
                return "reset", time.time()

        readers = [Task(read_to_end, client) for client in clients]
        answer = Task(door.ctl, "switch", "green", "--wait", "--drain", "3s")
        ends = [reader.result() for reader in readers]
        result = answer.result()
        self.assertEqual(result.returncode, 4, result.stdout + result.stderr)
        receipt = door.receipt()
        deadline = harness.wall_time(receipt["at"]) + 3.0
        for how, when in ends:
            self.assertEqual(how, "reset")
            self.assertGreater(when - deadline, -0.1, "not before the deadline")
            self.assertLess(when - deadline, 0.1 + 0.5, "at the deadline; 0.5 s for a busy machine")
        self.assertEqual((receipt["open"], receipt["cut"], receipt["spread"], receipt["ended"]), (5, 5, 0, 0))
        self.assertTrue(receipt["settled"])

    def test_36_nine_thousand_idle_sessions_close_evenly_over_the_spread(self) -> None:
        blue, green = self.color_peers()
        door = self.front_door(blue.address, green.address, drain={"timeout": "12s", "spread": "6s"})
        count, spread = 9000, 6.0
        with Herd(door.address(), count) as herd:
            switched = time.monotonic()
            door.switch("green")
            answered = time.monotonic()
            herd.watch(30)
            self.assertEqual(len(herd.closed), count)
            times = [when - switched for when, _ in herd.closed]
            self.assertEqual({how for _, how in herd.closed}, {"fin"})
            late = answered - switched + harness.SLACK
            self.assertGreater(min(times), 12 - spread - 0.2, "untouched before the spread")
            self.assertLess(max(times), 12 + late)
            # Of twelve slices none has more than double its share, and the middle ones have at least half of it.
            share = count / 12
            slices = [0] * 13
            for when in times:
                slices[max(0, min(12, int((when - (12 - spread)) / (spread / 12))))] += 1
            self.assertLess(max(slices), 2 * share, slices)
            self.assertGreater(min(slices[1:10]), share / 2, slices)
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["spread"], receipt["cut"], receipt["ended"]), (count, count, 0, 0))

    def test_37_a_silent_long_lived_session_is_drained_too(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "3s", "spread": "1s"})
        client = self.open_session(door.address(), "blue")
        began = time.monotonic()
        door.switch("green")
        self.assertEqual(end_of(client), "fin", "closed in the spread, with FIN")
        self.assertGreater(time.monotonic() - began, 2.0 - 0.2)
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["spread"], receipt["cut"]), (1, 1, 0))

    def test_37_sessions_of_every_kind_are_accounted_for(self) -> None:
        """Quiet, busy, half-closed, ended by the client, ended by the server: one outcome for each."""

        def serve(sock: socket.socket) -> None:
            kind = harness.read_line(sock)
            sock.sendall(b"ok\n")
            match kind:
                case b"busy\n":
                    while True:
                        sock.sendall(b"x" * 100)
                        time.sleep(0.05)  # the pace of the transfer
                case b"short\n": time.sleep(0.5)  # the server's time to answer
                case _: harness.keep(sock)

        blue, green = self.enter(harness.Backend(serve)), self.enter(harness.Backend(harness.tagged("green")))
        door = self.front_door(blue.address, green.address, drain={"timeout": "4s", "spread": "2s"})

        def begin(kind: bytes) -> socket.socket:
            client = self.client(door.address())
            client.sendall(kind + b"\n")
            self.assertEqual(harness.read_exactly(client, 3), b"ok\n")
            return client

        short = [begin(b"short") for _ in range(3)]
        quiet = [begin(b"quiet") for _ in range(4)]
        busy = [begin(b"busy") for _ in range(5)]
        leaving = [begin(b"quiet") for _ in range(6)]
        for client in short:
            Task(lambda client=client: (harness.read_all(client), client.close()))
        door.switch("green")
        opened = door.receipt()["open"]
        for client in leaving:
            harness.reset(client)
        receipt = door.settled()
        self.assertEqual((receipt["spread"], receipt["cut"]), (len(quiet), len(busy)))
        self.assertEqual(receipt["ended"], opened - len(quiet) - len(busy))
        self.assertGreaterEqual(opened, 15)
        self.assertLessEqual(opened, 15 + len(short))

    def test_38_extend_gives_more_time(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "3s", "spread": "1s"})
        client = self.open_session(door.address(), "blue")
        began = time.monotonic()
        first = door.switch("green")["drain"]["deadline"]
        answer = door.ctl("drain", "--extend", "3s")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        second = door.status()["drain"]["deadline"]
        self.assertAlmostEqual(harness.wall_time(second) - harness.wall_time(first), 3.0, delta=0.1)
        client.settimeout(30)
        self.assertEqual(end_of(client), "fin")
        self.assertGreater(time.monotonic() - began, 5.0 - 0.2, "not before the new spread")

    def test_38_end_now(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "10m", "spread": "10s"})
        clients = [self.open_session(door.address(), "blue") for _ in range(10)]
        door.switch("green")
        answer = door.ctl("drain", "--now")
        self.assertIn(answer.returncode, (0, 4), answer.stderr)
        for client in clients:
            self.assertIn(end_of(client), ("fin", "reset"))
        receipt = door.settled()
        self.assertEqual(receipt["spread"] + receipt["cut"], 10)
        self.assertIsNone(door.status()["drain"])
        self.assertEqual(door.status()["phase"], "steady")

    def test_38_extend_and_now_where_nothing_drains_are_refused(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        for body in ({"extend": "3s"}, {"now": True}):
            self.assertEqual(door.admin("POST", "/v1/drain", body)[0], 409)
        for body in ({"extend": "soon"}, {"extend": 3}, {"now": "yes"}, {"later": True}):
            self.assertEqual(door.admin("POST", "/v1/drain", body)[0], 400, body)
        self.assertEqual(door.ctl("drain", "--now").returncode, 1)
        self.assertEqual(door.ctl("drain").returncode, 0)

    def test_38_back_in_mid_drain_and_forward_again(self) -> None:
        """Sessions change hands with each step, and each step's receipt accounts for all of them."""
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "10m", "spread": "0s"})
        old = [self.open_session(door.address(), "blue") for _ in range(7)]
        for _ in range(10):
            door.switch("green")
            new = [self.open_session(door.address(), "green") for _ in range(3)]
            door.rollback()
            self.assertEqual(door.status()["colors"]["green"]["draining"], 3)
            for client in new:
                client.close()
            door.wait_sessions(0, "green")
        history = door.history()
        self.assertEqual(len(history), 20)
        for there, back in zip(history[::2], history[1::2]):
            self.assertEqual((there["open"], there["returned"]), (7, 7))
            self.assertEqual(back["open"], 3)
            check_receipt(there), check_receipt(back)
        for client in old:
            self.assertTrue(says_back(client))

    def test_38_wait_of_a_drain_that_is_rolled_back_returns(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "10m", "spread": "0s"})
        client = self.open_session(door.address(), "blue")
        process = door.start_ctl("switch", "green", "--wait")
        try:
            wait_until(lambda: door.status()["active"] == "green", "the switch is made")
            door.rollback()
            output, errors = process.communicate(timeout=20)
            self.assertIn(process.returncode, (0, 1), output + errors)
        finally:
            process.kill()
            process.wait()
        self.assertTrue(says_back(client))

    def test_39_what_status_says_equals_what_the_kernel_says(self) -> None:
        blue, other = self.color_peers()
        green = self.enter(harness.Peer("serve", "green", "echo"))
        dead = self.enter(harness.Peer("serve", "spare", "echo"))
        door = self.front_door([blue.address, other.address], [green.address, dead.address])
        address = door.address()

        def compare() -> None:
            def agrees() -> bool:
                status = door.status()
                targets = [target for color in ("blue", "green")
                           for target in status["listeners"][0]["targets"][color]]
                seen = {target["address"]: harness.tcp_sockets(remote_port=port_of(target["address"]),
                                                              state="ESTABLISHED") for target in targets}
                said = {target["address"]: target["sessions"] for target in targets}
                clients = harness.tcp_sockets(local_port=port_of(address), state="ESTABLISHED")
                total = sum(status["colors"][color]["sessions"] for color in ("blue", "green"))
                return said == seen and total == clients == sum(said.values())

            wait_until(agrees, "status and the kernel agree", timeout=10)

        sessions = [session(address)[0] for _ in range(40)]
        compare()
        for client in sessions[:10]:
            client.close()
        compare()
        door.switch("green")
        sessions[10:20] = [session(address)[0] for _ in range(25)]
        compare()
        status = door.status()
        self.assertEqual(status["colors"]["green"]["sessions"], 25)
        self.assertEqual(status["colors"]["blue"]["draining"], status["colors"]["blue"]["sessions"])
        self.assertEqual(status["drain"]["remaining"], status["colors"]["blue"]["draining"])
        self.assertEqual(len(door.get("/v1/sessions?color=green")["sessions"]), 25)
        self.assertEqual(len(door.get("/v1/sessions")["sessions"]), door.sessions())
        for client in sessions:
            client.close()
        door.wait_sessions(0)
        compare()

    def test_39_ss_sees_the_same(self) -> None:
        harness.need("ss")
        blue, green = self.color_peers()
        door = self.front_door(blue.address, green.address)
        held = [self.open_session(door.address(), "blue") for _ in range(17)]
        output = subprocess.run(
            [harness.find_program("ss"), "-Htn", "state", "established", f"sport = :{port_of(door.address())}"],
            capture_output=True, text=True, check=True).stdout
        self.assertEqual(len(output.splitlines()), len(held))
        self.assertEqual(door.sessions(), len(held))

    def test_39_bytes_and_counts_equal_the_testers_own(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        sent = 0
        for number in range(1, 21):
            with connect(door.address()) as client:
                harness.read_line(client)
                says_back(client, b"y" * number * 100)
                sent += number * 100
        door.wait_sessions(0)
        color = door.status()["colors"]["blue"]
        self.assertEqual((color["accepted"], color["bytesIn"], color["bytesOut"]), (20, sent, sent + 20 * 5))
        self.assertEqual(color["connectFailures"], 0)


class Stalled(Case):
    def test_35_a_reader_that_stalls_is_cut_at_the_deadline(self) -> None:
        """Bytes are queued for it, so it is not quiet: it has until the deadline and is then reset."""
        blue = self.enter(harness.Backend(lambda sock: (sock.sendall(b"blue\n"), sock.sendall(bytes(64 << 20)))))
        green = self.enter(harness.Backend(harness.tagged("green")))
        door = self.front_door(blue.address, green.address, drain={"timeout": "4s", "spread": "2s"})
        client = self.open_session(door.address(), "blue")
        wait_until(lambda: door.status()["colors"]["blue"]["bytesOut"] > 65536, "bytes are queued")
        door.switch("green")
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["cut"], receipt["spread"]), (1, 1, 0))
        with self.assertRaises(ConnectionResetError):
            harness.read_all(client)

    def test_36_a_session_that_becomes_quiet_late_is_closed_whole(self) -> None:
        """In the spread, but with bytes queued: they are delivered before the FIN, not thrown away."""
        size = 12 << 20
        digest = hashlib.sha256(bytes(size)).hexdigest()
        begin = threading.Event()

        def serve(sock: socket.socket) -> None:
            sock.sendall(b"blue\n")
            sock.sendall(bytes(size))
            harness.keep(sock)

        blue, green = self.enter(harness.Backend(serve)), self.enter(harness.Backend(harness.tagged("green")))
        door = self.front_door(blue.address, green.address, drain={"timeout": "12s", "spread": "6s"})
        client = self.open_session(door.address(), "blue")
        switched = time.monotonic()
        door.switch("green")

        def read() -> tuple[int, str]:
            begin.wait(30)
            return harness.receive_hash(client)

        reader = Task(read)
        # The client reads only when the spread has begun.
        wait_until(lambda: time.monotonic() - switched > 6.5, "the spread has begun", pause=0.05)
        begin.set()
        self.assertEqual(reader.result(), (size, digest))
        receipt = door.settled()
        self.assertEqual((receipt["spread"], receipt["cut"]), (1, 0))

    def test_37_preview_sessions_are_outside_of_drains_and_receipts(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, preview="127.0.0.1:0",
                               drain={"timeout": "2s", "spread": "1s"})
        peek, tag = session(door.preview())
        self.enter(peek)
        self.assertEqual(tag, "green")
        self.open_session(door.address(), "blue")
        door.switch("green")
        self.assertEqual(door.receipt()["open"], 1)
        door.settled()
        self.assertTrue(says_back(peek), "a preview session is not drained")

    def test_38_a_stop_in_mid_drain_still_ends(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "3s", "spread": "1s"})
        old, new = self.open_session(door.address(), "blue"), None
        door.switch("green")
        new = self.open_session(door.address(), "green")
        door.signal(signal.SIGTERM)
        self.assertEqual(door.wait_exit(), 0)
        for client in (old, new):
            self.assertIn(end_of(client), ("fin", "reset"))

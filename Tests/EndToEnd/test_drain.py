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


def flood(sock: socket.socket) -> None:
    """Sends as fast as it is read: while a reader takes its time, bytes are queued, so the session is never quiet."""
    sock.sendall(b"blue\n")
    while True:
        sock.sendall(bytes(1 << 16))


def sip(client: socket.socket) -> str:
    """Reads, slowly, to the end; returns how it comes."""
    # So that little lies behind the end.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    try:
        while client.recv(4096):
            time.sleep(0.02)  # the pace of the reader
        return "fin"
    except ConnectionResetError:
        return "reset"


class Drain(Case):
    def test_34_a_shorter_transfer_completes_and_wait_returns_then(self) -> None:
        ends = threading.Event()

        def serve(sock: socket.socket) -> None:
            sock.sendall(b"blue\n")
            while not ends.is_set():
                sock.sendall(b"x" * 4096)
                time.sleep(0.02)  # the pace of the transfer
            sock.sendall(b"end")

        blue = self.enter(harness.Backend(serve))
        green = self.enter(harness.Backend(harness.tagged("green")))
        door = self.front_door(blue.address, green.address)
        client = self.open_session(door.address(), "blue")

        def read() -> bytes:
            with client:
                return harness.read_all(client)

        reader = Task(read)
        process = door.start_ctl("switch", "green", "--wait", "--drain", "10m")
        try:
            self.assertIn("draining blue: 1 of 1 session", process.stderr.readline())
            self.assertIsNone(process.poll())
            ends.set()
            output, errors = process.communicate(timeout=harness.PATIENCE)
        finally:
            process.kill()
            process.wait()
        self.assertEqual(process.returncode, 0, output + errors)
        self.assertTrue(reader.result().endswith(b"end"), "the transfer is whole")
        receipt = door.receipt()
        self.assertEqual((receipt["open"], receipt["ended"], receipt["settled"]), (1, 1, True))

    def test_34_wait_prints_its_progress_line_by_line(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        client = self.open_session(door.address(), "blue")
        process = door.start_ctl("switch", "green", "--wait", "--drain", "10m", stderr=subprocess.STDOUT)
        try:
            # While it drains, not at its end: the client is still there.
            lines = [process.stdout.readline() for _ in range(3)]
            self.assertTrue(all(lines), lines)
            self.assertNotIn("\x1b", "".join(lines))
            client.close()
            output, errors = process.communicate(timeout=20)
            self.assertEqual((process.returncode, errors), (0, None), output)
        finally:
            process.kill()
            process.wait()

    def test_35_a_longer_transfer_is_cut_at_the_deadline_and_counted(self) -> None:
        blue = self.enter(harness.Backend(flood))
        green = self.enter(harness.Backend(harness.tagged("green")))
        door = self.front_door(blue.address, green.address, drain={"timeout": "30s", "spread": "1s"})
        clients = [self.open_session(door.address(), "blue") for _ in range(5)]
        readers = [Task(lambda client=client: (sip(client), time.time())) for client in clients]
        answer = Task(door.ctl, "switch", "green", "--wait", "--drain", "3s")
        ends = [reader.result() for reader in readers]
        result = answer.result()
        self.assertEqual(result.returncode, 4, result.stdout + result.stderr)
        receipt = door.receipt()
        deadline = harness.wall_time(receipt["at"]) + 3.0
        for how, when in ends:
            self.assertEqual(how, "reset")
            self.assertGreater(when - deadline, -0.1, "not before the deadline")
        self.assertEqual((receipt["open"], receipt["cut"], receipt["spread"], receipt["ended"]), (5, 5, 0, 0))
        self.assertTrue(receipt["settled"])

    def test_36_nine_thousand_idle_sessions_close_evenly_over_the_spread(self) -> None:
        blue, green = self.color_peers()
        door = self.front_door(blue.address, green.address, drain={"timeout": "12s", "spread": "6s"})
        count, spread = 9000, 6.0
        with Herd(door.address(), count) as herd:
            switched = time.monotonic()
            door.switch("green")
            herd.watch(60)
            self.assertEqual(len(herd.closed), count)
            times = sorted(when - switched for when, _ in herd.closed)
            self.assertEqual({how for _, how in herd.closed}, {"fin"})
            self.assertGreater(times[0], 12 - spread - 0.2, "untouched before the spread")
            # Whoever looks or closes may be late, and nobody is early: at each moment no more have been closed than the
            # straight line allows, give or take a twelfth.
            for index, when in enumerate(times):
                allowed = count * (when - (12 - spread)) / spread + count / 12
                self.assertLessEqual(index, allowed, f"so many were closed after {when:.2f} s")
            # And not all at its end: a pause of four seconds would leave four slices of twelve.
            slices = {int((when - (12 - spread)) / (spread / 12)) for when in times}
            self.assertGreaterEqual(len(slices), 4, slices)
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
                case b"busy\n": flood(sock)
                case b"short\n": answers.wait(harness.PATIENCE)
                case _: harness.keep(sock)

        answers = threading.Event()

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
        for client in busy:
            Task(sip, client)
        door.switch("green", drain="10m")
        for client in leaving:
            harness.reset(client)
        answers.set()
        for client in short:
            self.assertEqual(harness.read_all(client), b"")
            client.close()
        wait_until(lambda: door.receipt()["ended"] == len(leaving) + len(short), "those who leave have left")
        # Back and forth again, for the short drain: the books of the first switch are closed with those that returned.
        door.rollback()
        first = door.history()[0]
        self.assertEqual((first["open"], first["ended"], first["returned"]), (18, 9, 9))
        door.switch("green")
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["spread"], receipt["cut"], receipt["ended"]),
                         (9, len(quiet), len(busy), 0))

    def test_37_quiet_sessions_end_with_fin_though_the_front_door_comes_late_to_the_end_of_their_drain(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "3s", "spread": "1s"})
        clients = [self.open_session(door.address(), "blue") for _ in range(20)]
        deadline = harness.wall_time(door.switch("green")["drain"]["deadline"])
        door.signal(signal.SIGSTOP)
        wait_until(lambda: time.time() > deadline + 0.2, "the deadline has passed", pause=0.05)
        door.signal(signal.SIGCONT)
        self.assertEqual({end_of(client) for client in clients}, {"fin"})
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["spread"], receipt["cut"]), (20, 20, 0))

    def test_38_extend_gives_more_time(self) -> None:
        blue, green = self.colors()
        # Until its end, with a spread of a second, there is time to extend it.
        door = self.front_door(blue.address, green.address, drain={"timeout": "4s", "spread": "1s"})
        client = self.open_session(door.address(), "blue")
        began = time.monotonic()
        first = door.switch("green")["drain"]["deadline"]
        answer = door.ctl("drain", "--extend", "2s")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        second = door.status()["drain"]["deadline"]
        self.assertAlmostEqual(harness.wall_time(second) - harness.wall_time(first), 2.0, delta=0.1)
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
        door = self.front_door([blue.address, other.address], [green.address, dead.address],
                               drain={"timeout": "10m", "spread": "0s"})
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

            wait_until(agrees, "status and the kernel agree")

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
        door = self.front_door(blue.address, green.address, drain={"timeout": "14s", "spread": "7s"})
        client = self.open_session(door.address(), "blue")
        deadline = harness.wall_time(door.switch("green")["drain"]["deadline"])

        def read() -> tuple[int, str]:
            begin.wait(30)
            return harness.receive_hash(client)

        reader = Task(read)
        # The client reads only when the spread has begun. It has most of that for what it was to have read long ago.
        wait_until(lambda: time.time() > deadline - 6.9, "the spread has begun", pause=0.05)
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

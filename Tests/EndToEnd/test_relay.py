"""Relay: the bytes, their ends, and nothing left behind. Scenarios 1 to 11."""

from __future__ import annotations

import socket
import threading
import time

import harness
from harness import MIB, Case, Task, connect, end_of, pattern_hash, port_of, read_all, read_exactly, read_line
from harness import receive_hash, reset, scaled, send_pattern, wait_until


class Relay(Case):
    def test_01_server_speaks_first(self) -> None:
        door = self.door_to(lambda sock: (sock.sendall(b"220 ready\r\n"), sock.recv(1)))
        for _ in range(20):
            with connect(door.address()) as client:
                self.assertEqual(read_line(client), b"220 ready\r\n")

    def echo_both_ways(self, address: str, size: int) -> None:
        """Sends and receives at once, ends the sending, and compares everything."""
        with connect(address) as client:
            def send() -> str:
                digest = send_pattern(client, size)
                client.shutdown(socket.SHUT_WR)
                return digest

            sender = Task(send)
            count, received = receive_hash(client)
            self.assertEqual((count, received), (size, sender.result()), f"echo of {size} bytes")

    def test_02_echo_of_every_size_is_exact(self) -> None:
        door = self.door_to(harness.echo)
        for size in (0, 1, 2, 16383, 16384, 16385, 65535, 65536, 65537, MIB, 3 * MIB + 7):
            with self.subTest(size=size):
                self.echo_both_ways(door.address(), size)
        door.wait_sessions(0)

    def test_02_echo_of_a_large_stream_both_ways_at_once_is_exact(self) -> None:
        size = scaled(256, 1024) * MIB
        door = self.door_to(harness.echo)
        self.echo_both_ways(door.address(), size)
        wait_until(lambda: door.status()["colors"]["blue"]["bytesIn"] == size, "every byte in is counted")
        self.assertEqual(door.status()["colors"]["blue"]["bytesOut"], size)

    def test_02_independent_streams_both_ways_at_once_are_exact(self) -> None:
        """Not an echo: neither direction waits for the other."""
        size = 64 * MIB
        seen: list[tuple[int, str]] = []

        def serve(sock: socket.socket) -> None:
            reader = Task(receive_hash, sock)
            send_pattern(sock, size)
            sock.shutdown(socket.SHUT_WR)
            seen.append(reader.result())

        door = self.door_to(serve)
        with connect(door.address()) as client:
            reader = Task(receive_hash, client)
            sent = send_pattern(client, size)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(reader.result(), (size, sent))
        wait_until(lambda: seen, "the server has seen the end")
        self.assertEqual(seen, [(size, sent)])

    def test_02_many_echoes_at_once_are_exact(self) -> None:
        door = self.door_to(harness.echo)
        address = door.address()
        tasks = [Task(self.echo_both_ways, address, 2 * MIB + 4099 * number) for number in range(24)]
        for task in tasks:
            task.result()

    def test_03_a_byte_every_10_ms_passes_without_steps(self) -> None:
        """Neither 40 ms (a delayed acknowledgment) nor 200 ms (Nagle's wait) may show."""
        arrivals: list[float] = []

        def serve(sock: socket.socket) -> None:
            while sock.recv(1):
                arrivals.append(time.monotonic())

        door = self.door_to(serve)
        departures: list[float] = []
        with connect(door.address()) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def late(count: int = 50) -> int:
                """Of so many bytes, those that were delayed by 8 ms or more: three of four, where somebody waits for an
                acknowledgment that comes after 40 ms."""
                begun = len(departures)
                for _ in range(count):
                    departures.append(time.monotonic())
                    client.sendall(b"x")
                    time.sleep(0.01)  # the pace is the scenario
                wait_until(lambda: len(arrivals) == len(departures), "every byte has arrived")
                return sum(arrived - left > 0.008 for left, arrived in zip(departures[begun:], arrivals[begun:]))

            # The kernel acknowledges the first ones at once. A busy machine delays some, too, but not all the time.
            late()
            self.assertTrue(any(late() < 20 for _ in range(40)), "bytes come in steps")

    def test_03_small_writes_in_a_row_do_not_wait_for_an_acknowledgment(self) -> None:
        """Write, write, read: the pattern that stalls 40 ms a round where a side has no TCP_NODELAY."""

        def serve(sock: socket.socket) -> None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while len(data := sock.recv(1)) == 1:
                if data == b"b":
                    sock.sendall(b"1")
                    sock.sendall(b"2")

        door = self.door_to(serve)
        with connect(door.address()) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def late(rounds: int = 50) -> int:
                late = 0
                for _ in range(rounds):
                    began = time.monotonic()
                    client.sendall(b"a")
                    client.sendall(b"b")
                    self.assertEqual(read_exactly(client, 2), b"12")
                    late += time.monotonic() - began > 0.035
                return late

            # The kernel acknowledges the first ones at once. A busy machine delays some, too, but not all the time.
            late()
            self.assertTrue(any(late() < 10 for _ in range(10)), "rounds wait for an acknowledgment")

    def test_04_client_half_closes_answer_comes_later(self) -> None:
        """The answer begins 5 s after the client's FIN and is 50 MB."""
        size = 50 * 1000 * 1000

        def serve(sock: socket.socket) -> None:
            question = read_all(sock)
            time.sleep(5)  # the scenario's
            if question == b"question":
                send_pattern(sock, size)

        door = self.door_to(serve)
        with connect(door.address(), timeout=30) as client:
            client.sendall(b"question")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(receive_hash(client), (size, pattern_hash(size)))
        door.wait_sessions(0)

    def test_05_server_half_closes_client_goes_on(self) -> None:
        size = 20 * MIB
        seen: list[tuple[int, str]] = []

        def serve(sock: socket.socket) -> None:
            sock.sendall(b"I have said all\n")
            sock.shutdown(socket.SHUT_WR)
            seen.append(receive_hash(sock))

        door = self.door_to(serve)
        with connect(door.address()) as client:
            self.assertEqual(read_all(client), b"I have said all\n")
            sent = send_pattern(client, size)
            client.shutdown(socket.SHUT_WR)
            wait_until(lambda: seen, "the server has read to the end")
        self.assertEqual(seen, [(size, sent)])
        door.wait_sessions(0)

    def test_06_both_fin_at_once(self) -> None:
        rounds = 200
        both = threading.Barrier(2)
        ends: list[str] = []

        def serve(sock: socket.socket) -> None:
            read_line(sock)
            both.wait(10)
            sock.shutdown(socket.SHUT_WR)
            ends.append(end_of(sock))

        door = self.door_to(serve)
        address = door.address()
        for _ in range(rounds):
            with connect(address) as client:
                client.sendall(b"go\n")
                both.wait(10)
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(end_of(client), "fin")
        wait_until(lambda: len(ends) == rounds, "every server has seen the end")
        self.assertEqual(set(ends), {"fin"})
        door.wait_sessions(0)
        harness.check_no_close_wait(port_of(address))

    def test_07_client_fin_server_never_ends_at_the_half_closed_timeout(self) -> None:
        """The server has read everything and says nothing any more."""
        door = self.door_to(lambda sock: (read_all(sock), harness.keep(sock)), timeouts={"halfClosed": "3s"})
        before = door.descriptors_open()
        with connect(door.address()) as client:
            client.sendall(b"bye")
            began = time.monotonic()
            client.shutdown(socket.SHUT_WR)
            how = end_of(client)
            self.assertAfter(time.monotonic() - began, 3.0, f"the session ends ({how})")
        door.wait_sessions(0)
        wait_until(lambda: door.descriptors_open() <= before, "both sockets are closed")

    def test_07_server_fin_client_never_ends_at_the_half_closed_timeout(self) -> None:
        door = self.door_to(lambda sock: (sock.shutdown(socket.SHUT_WR), harness.keep(sock)),
                            timeouts={"halfClosed": "2s"})
        began = time.monotonic()
        with connect(door.address()) as client:
            self.assertEqual(end_of(client), "fin")
            door.wait_sessions(0)
            self.assertAfter(time.monotonic() - began, 2.0, "the session ends")

    def test_07_a_half_closed_session_that_still_carries_bytes_lives_on(self) -> None:
        def serve(sock: socket.socket) -> None:
            read_all(sock)
            for _ in range(12):
                time.sleep(0.5)  # a pace far below the timeout, for longer than it
                sock.sendall(b"part\n")

        door = self.door_to(serve, timeouts={"halfClosed": "4s"})
        with connect(door.address()) as client:
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(client), b"part\n" * 12)

    def test_07_a_silent_session_ends_at_the_idle_timeout(self) -> None:
        door = self.door_to(harness.echo, timeouts={"idle": "2s"})
        with connect(door.address()) as client:
            began = time.monotonic()
            self.assertTrue(harness.says_back(client))
            how = end_of(client)
            self.assertAfter(time.monotonic() - began, 2.0, f"the session ends ({how})")
        door.wait_sessions(0)

    def test_08_client_reset_in_mid_transfer_reaches_the_backend(self) -> None:
        rounds = 50
        errors: list[str] = []

        def serve(sock: socket.socket) -> None:
            sock.settimeout(30)
            try:
                while True:
                    sock.sendall(bytes(65536))
            except (ConnectionResetError, BrokenPipeError) as error:
                errors.append(type(error).__name__)

        door = self.door_to(serve)
        address = door.address()
        backend_port = port_of(door.listener()["targets"]["blue"][0]["address"])
        for _ in range(rounds):
            client = connect(address)
            read_exactly(client, 100_000)
            reset(client)
        wait_until(lambda: len(errors) == rounds, "every backend has seen the reset")
        door.wait_sessions(0)
        harness.check_no_close_wait(port_of(address), backend_port)

    def test_08_client_reset_while_sending_reaches_the_backend_as_reset(self) -> None:
        rounds = 50
        ends: list[str] = []

        def serve(sock: socket.socket) -> None:
            # Who was reset before it was accepted may never be heard of.
            sock.sendall(b"!")
            try:
                while sock.recv(65536):
                    pass
                ends.append("fin")
            except ConnectionResetError:
                ends.append("reset")

        door = self.door_to(serve)
        for _ in range(rounds):
            client = connect(door.address())
            read_exactly(client, 1)
            client.sendall(bytes(200_000))
            reset(client)
        wait_until(lambda: len(ends) == rounds, "every backend has seen an end")
        self.assertEqual(set(ends), {"reset"}, "a request that was cut never looks complete")
        door.wait_sessions(0)

    def test_09_backend_reset_reaches_the_client_as_reset(self) -> None:
        """An answer that was cut never looks complete, whatever it had delivered before."""

        def serve(sock: socket.socket) -> None:
            count = int(read_line(sock))
            sock.sendall(bytes(count))
            reset(sock)

        door = self.door_to(serve)
        for count in (0, 1, 1000, 70_000, MIB):
            for _ in range(20):
                with self.subTest(bytes=count), connect(door.address()) as client:
                    client.sendall(f"{count}\n".encode())
                    with self.assertRaises(ConnectionResetError):
                        read_all(client)
        door.wait_sessions(0)
        harness.check_no_close_wait(port_of(door.address()))

    def test_09_bytes_before_a_backend_reset_are_delivered(self) -> None:
        """What the backend's system had handed over before the reset reaches the client first."""
        count = 40_000
        delivered = threading.Event()

        def serve(sock: socket.socket) -> None:
            sock.sendall(bytes(count))
            # The front door has taken everything: now the reset destroys nothing on this side.
            wait_until(lambda: harness.unsent(sock) == 0, "the front door has taken the bytes")
            delivered.wait(10)
            reset(sock)

        door = self.door_to(serve)
        for _ in range(20):
            delivered.clear()
            with connect(door.address()) as client:
                delivered.set()
                got = 0
                with self.assertRaises(ConnectionResetError):
                    while data := client.recv(65536):
                        got += len(data)
                self.assertEqual(got, count)

    def test_10_server_sends_8_mb_half_closes_and_reads_on_while_the_client_sends(self) -> None:
        size = 8 * 1000 * 1000
        seen: list[tuple[int, str]] = []

        def serve(sock: socket.socket) -> None:
            send_pattern(sock, size)
            sock.shutdown(socket.SHUT_WR)
            seen.append(receive_hash(sock))

        door = self.door_to(serve)
        for _ in range(3):
            seen.clear()
            with connect(door.address()) as client:
                def send() -> str:
                    digest = send_pattern(client, 4 * size)
                    client.shutdown(socket.SHUT_WR)
                    return digest

                sender = Task(send)
                self.assertEqual(receive_hash(client), (size, pattern_hash(size)))
                sent = sender.result()
                wait_until(lambda: seen, "the server has read to the end")
                self.assertEqual(seen, [(4 * size, sent)])

    def test_11_connect_and_close_storm_leaves_nothing_behind(self) -> None:
        blue, green = self.color_peers()
        door = self.front_door(blue.address, green.address)
        address = door.address()
        harness.color_of(address)
        door.wait_sessions(0)
        before = door.descriptors_open()
        accepted = door.status()["colors"]["blue"]["accepted"]

        def storm(number: int) -> None:
            for turn in range(number):
                client = connect(address)
                match turn % 4:
                    case 0: client.close()
                    case 1: reset(client)
                    case 2: client.sendall(b"x"), client.close()
                    case _: read_line(client), client.close()

        count = scaled(2000, 20_000)
        for task in [Task(storm, count) for _ in range(4)]:
            task.result()
        door.wait_sessions(0)
        wait_until(lambda: door.descriptors_open() <= before, f"descriptors are back at {before}")
        status = door.status()
        # A client that resets before it is accepted may vanish from the kernel's queue unseen.
        self.assertLessEqual(status["colors"]["blue"]["accepted"] - accepted, 4 * count)
        self.assertGreaterEqual(status["colors"]["blue"]["accepted"] - accepted, 3 * count)
        self.assertEqual(status["listeners"][0]["targets"]["blue"][0]["sessions"], 0)
        harness.check_no_close_wait(port_of(address), port_of(blue.address))

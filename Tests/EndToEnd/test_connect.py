"""Reaching the target, or not. Scenarios 15 to 20."""

from __future__ import annotations

import contextlib
import socket
import time

import harness
from harness import BlackHole, Case, Task, connect, end_of, fate, free_port, read_line, reset, wait_until
from networks import Network


class Connect(Case):
    def failures(self, door: harness.FrontDoor) -> int:
        return door.status()["colors"]["blue"]["connectFailures"]

    def test_15_refused_the_client_is_reset_at_once_and_counted(self) -> None:
        green = self.enter(harness.Backend())
        # At once, not at a timeout: none is as short as the client's patience.
        door = self.front_door([f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"], green.address,
                               timeouts={"connect": "5m", "idle": "1h"})
        for number in range(1, 21):
            self.assertEqual(fate(door.address()), "reset")
            wait_until(lambda: self.failures(door) >= number, "it is counted")
        door.wait_sessions(0)

    def test_15_a_refused_target_is_skipped_before_the_client_notices(self) -> None:
        blue, green = self.colors()
        door = self.front_door([f"127.0.0.1:{free_port()}", blue.address, f"127.0.0.1:{free_port()}"], green.address)
        self.assertEqual([harness.color_of(door.address()) for _ in range(30)], ["blue"] * 30)

    def test_15_bytes_sent_before_the_connect_has_failed_over_arrive_once(self) -> None:
        good = self.enter(harness.Backend(harness.echo))
        door = self.front_door([f"127.0.0.1:{free_port()}", good.address], f"127.0.0.1:{free_port()}")
        for _ in range(20):
            with connect(door.address()) as client:
                client.sendall(b"early")
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(harness.read_all(client), b"early")

    def test_16_black_holed_ends_at_the_connect_timeout(self) -> None:
        """Which is longer than where none is set, so that one which is not heeded ends it too early."""
        with BlackHole() as hole:
            door = self.front_door(hole.address, f"127.0.0.1:{free_port()}", timeouts={"connect": "6s"})
            began = time.monotonic()
            with connect(door.address()) as client:
                how = end_of(client)
                self.assertNotBefore(time.monotonic() - began, 6.0, "the connect timeout")
                self.assertEqual(how, "reset")
            wait_until(lambda: self.failures(door) == 1, "it is counted")
            door.wait_sessions(0)

    def test_16_after_a_black_holed_target_the_next_one_is_tried(self) -> None:
        blue, green = self.colors()
        with BlackHole() as hole:
            door = self.front_door([hole.address, blue.address], green.address, timeouts={"connect": "1s"})
            # Fewest sessions wins, so of two that stay open one begins at the black hole.
            tasks = [Task(harness.session, door.address()) for _ in range(2)]
            for task in tasks:
                sock, tag = task.result()
                self.enter(sock)
                self.assertEqual(tag, "blue")

    def test_17_accepted_then_closed_at_once(self) -> None:
        door = self.door_to(lambda sock: None)
        for _ in range(50):
            self.assertEqual(fate(door.address()), "fin")
        door.wait_sessions(0)

    def test_17_accepted_then_reset_at_once(self) -> None:
        door = self.door_to(reset)
        for _ in range(50):
            self.assertEqual(fate(door.address()), "reset")
        door.wait_sessions(0)

    def test_18_backlog_full_for_a_while_the_client_is_served_when_there_is_room(self) -> None:
        with BlackHole() as hole:
            door = self.front_door(hole.address, f"127.0.0.1:{free_port()}", timeouts={"connect": "90s"})
            clients = [self.client(door.address(), timeout=90) for _ in range(5)]
            for client in clients:
                client.sendall(b"hello\n")
            door.wait_sessions(5)
            hole.release(harness.echo)
            for client in clients:
                self.assertEqual(read_line(client), b"hello\n")

    def test_19_client_resets_while_the_connect_is_under_way(self) -> None:
        with BlackHole() as hole:
            door = self.front_door(hole.address, f"127.0.0.1:{free_port()}", timeouts={"connect": "60s"})
            before = door.descriptors_open()
            clients = [connect(door.address()) for _ in range(50)]
            door.wait_sessions(50)
            for client in clients:
                reset(client)
            door.wait_sessions(0)
            door.wait_descriptors(before)

    def test_19_client_closes_while_the_connect_is_under_way(self) -> None:
        """A FIN could be a half-close, so the session may wait for its target, but no longer than the timeout."""
        with BlackHole() as hole:
            door = self.front_door(hole.address, f"127.0.0.1:{free_port()}", timeouts={"connect": "1s"})
            before = door.descriptors_open()
            for _ in range(50):
                with connect(door.address()) as client:
                    client.sendall(b"question")
            wait_until(lambda: self.failures(door) == 50, "each was there, and has not got through")
            door.wait_sessions(0)
            door.wait_descriptors(before)

    def test_19_question_and_half_close_while_the_connect_is_under_way_are_answered(self) -> None:
        with BlackHole() as hole:
            door = self.front_door(hole.address, f"127.0.0.1:{free_port()}", timeouts={"connect": "90s"})
            with connect(door.address(), timeout=90) as client:
                client.sendall(b"question")
                client.shutdown(socket.SHUT_WR)
                door.wait_sessions(1)
                hole.release(lambda sock: sock.sendall(b"answer to " + harness.read_all(sock)))
                self.assertEqual(harness.read_all(client), b"answer to question")

    def test_20_out_of_ephemeral_ports_a_clear_error_and_recovery(self) -> None:
        """In a network namespace with ten ports; clients come over a Unix socket and need none."""
        network = self.enter(Network(ports="40000 40009"))
        blue = self.enter(harness.Peer("serve", "blue", "echo", "127.0.0.1:5000", prefix=network.prefix))
        path = f"unix:{self.folder()}/clients.sock"
        door = self.front_door(blue.address, "127.0.0.1:5001", bind=path, prefix=network.prefix, timeouts={"connect": "2s"})
        with contextlib.ExitStack() as stack:
            served, left_out = [], []
            for task in [Task(harness.session, path) for _ in range(20)]:
                with contextlib.suppress(OSError):
                    sock, tag = task.result()
                    stack.enter_context(sock)
                    (served if tag == "blue" else left_out).append(sock)
            self.assertGreaterEqual(len(served), 5)
            self.assertLess(len(served), 20)
            for sock in served:
                self.assertTrue(harness.says_back(sock))
            door.wait_line(lambda line: "port" in line and (" warning " in line or " error " in line),
                           what="the log says that ports are missing")
            began = door.cpu_seconds()
            time.sleep(1)  # the span over which the processor is measured
            self.assertLess(door.cpu_seconds() - began, 0.3)
        door.wait_sessions(0)

        def served_again() -> bool:
            try:
                return harness.color_of(path) == "blue"
            except OSError:
                return False

        # The ports' sockets rest in TIME_WAIT; the kernel reuses them towards the same address after a second.
        wait_until(served_again, "sessions are served again", timeout=75, pause=0.2)


class SlowServers(Case):
    def test_17_a_storm_of_short_answers_loses_no_byte(self) -> None:
        """The server answers and closes before the front door has looked twice: the answer arrives whole."""
        answer = b"short answer " * 100
        door = self.door_to(lambda sock: sock.sendall(answer))
        address = door.address()

        def ask() -> None:
            for _ in range(200):
                with connect(address) as client:
                    self.assertEqual(harness.read_all(client), answer)

        for task in [Task(ask) for _ in range(4)]:
            task.result()

    def test_18_a_target_with_a_tiny_backlog_under_a_burst(self) -> None:
        """Nothing is lost, however short the target's queue is: late ones wait for the kernel's next try.

        The clients speak first: towards a full queue the kernel forgets a connection on which only the server would.
        The tries of all who came at once come at once again, each time after twice as long; at least five get in then.
        """
        backend = self.enter(harness.Backend(harness.echo, backlog=4))
        door = self.front_door(backend.address, f"127.0.0.1:{free_port()}", timeouts={"connect": "60s"})
        address = door.address()

        def ask(number: int) -> None:
            with connect(address, timeout=90) as client:
                self.assertTrue(harness.says_back(client, b"question %d" % number))

        # Two tries more than three bursts need, where the server was not there to make room.
        for task in [Task(ask, number) for number in range(15)]:
            task.result()

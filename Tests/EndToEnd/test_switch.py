"""The switch and the way back. Scenarios 24 to 33."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import threading
import time

import harness
from harness import BlackHole, Case, Peer, Task, check_receipt, color_of, connect, end_of, fate, free_port, read_line
from harness import pattern_hash, receive_hash, says_back, send_pattern, wait_until

MIB = harness.MIB


class Switch(Case):
    def test_24_at_the_highest_rate_none_is_lost_and_all_after_the_answer_are_on_the_new_color(self) -> None:
        blue, green = self.color_peers("hello")
        door = self.front_door(blue.address, green.address)
        storms = [self.enter(Peer("storm", door.address())) for _ in range(3)]
        changes: list[tuple[float, float, str]] = []
        deadline = time.monotonic() + harness.scaled(10, 60)
        active = "blue"
        while len(changes) < 100 or time.monotonic() < deadline:
            active = "green" if active == "blue" else "blue"
            asked = time.monotonic()
            status = door.switch(active)
            self.assertEqual(status["active"], active)
            changes.append((asked, time.monotonic(), active))
            # Of these, each storm may have begun one before the answer, and one may not have come to its end.
            wanted = status["colors"][active]["accepted"] + 10
            wait_until(lambda: door.status()["colors"][active]["accepted"] >= wanted, "sessions start", pause=0.02)
        sessions = [session for storm in storms for session in storm.finish()["sessions"]]
        failed = [session for session in sessions if session[3]]
        self.assertEqual(failed, [], f"of {len(sessions)} sessions")
        self.assertGreater(len(sessions), 500)
        self.check_colors(sessions, changes)

    def check_colors(self, sessions: list, changes: list[tuple[float, float, str]]) -> None:
        """Each session that started between one answer and the next question got the color of that answer."""
        checked = 0
        sessions.sort()
        position = 0
        for index, (_, answered, color) in enumerate(changes):
            until = changes[index + 1][0] if index + 1 < len(changes) else float("inf")
            while position < len(sessions) and sessions[position][0] <= answered:
                position += 1
            while position < len(sessions) and sessions[position][0] < until:
                # One that ended before the next question; a later one may rightly be on either color.
                if sessions[position][1] < until:
                    self.assertEqual(sessions[position][2], color, f"a session after switch {index + 1}")
                    checked += 1
                position += 1
        self.assertGreater(checked, 100, "sessions whose color is certain")

    def test_24_all_listeners_switch_together(self) -> None:
        blue, green = self.color_peers("hello")
        door = self.front_door(listeners=[
            {"name": f"l{n}", "bind": "127.0.0.1:0", "protocol": "tcp", "blue": [blue.address],
             "green": [green.address]} for n in range(5)])
        addresses = [listener["bind"] for listener in door.status()["listeners"]]
        for turn in range(40):
            color = ("green", "blue")[turn % 2]
            door.switch(color)
            # More tries than workers, so that each of them has its turn.
            self.assertEqual([color_of(address) for address in addresses * 2], [color] * 10)

    def test_25_sessions_from_before_are_exact_to_their_end(self) -> None:
        """Twenty transfers run both ways while the front door switches back and forth."""
        size = 6 * MIB
        blue, green = self.enter(harness.Backend(harness.echo)), self.enter(harness.Backend(harness.echo))
        door = self.front_door(blue.address, green.address, drain={"timeout": "5m", "spread": "0s"})
        address = door.address()
        go_on = threading.Event()

        def transfer() -> None:
            with connect(address, timeout=60) as client:
                self.assertTrue(says_back(client))
                sent: list[str] = []

                def send() -> None:
                    sent.append(send_pattern(client, size))
                    go_on.wait(60)
                    client.shutdown(socket.SHUT_WR)

                sender = Task(send)
                count = receive_hash(client, size)
                self.assertEqual(end_of(client), "fin")
                sender.result()
                self.assertEqual(count, (size, sent[0]))

        tasks = [Task(transfer) for _ in range(20)]
        door.wait_sessions(20)
        for turn in range(20):
            door.switch(("green", "blue")[turn % 2])
        self.assertEqual(door.sessions(), 20)
        go_on.set()
        for task in tasks:
            task.result()
        door.wait_sessions(0)

    def test_26_connecting_at_the_flip_is_counted_and_never_lost(self) -> None:
        """Claimed by blue, whose connect is still under way when green becomes active: it is served."""
        green = self.enter(harness.Backend(harness.tagged("green")))
        with BlackHole() as hole:
            door = self.front_door(hole.address, green.address, timeouts={"connect": "20s"})
            clients = [self.client(door.address()) for _ in range(10)]
            door.wait_sessions(10)
            door.switch("green")
            self.assertEqual(door.receipt()["open"], 10)
            self.assertEqual(color_of(door.address()), "green")
            hole.release(harness.tagged("blue"))
            for client in clients:
                self.assertIn(read_line(client), (b"blue\n", b"green\n"))
                self.assertTrue(says_back(client))
            receipt = door.receipt()
            self.assertEqual((receipt["ended"], receipt["cut"], receipt["connectFailures"]), (0, 0, 0))

    def test_26_a_connect_that_fails_after_the_flip_is_in_the_receipt(self) -> None:
        green = self.enter(harness.Backend(harness.tagged("green")))
        with BlackHole() as hole:
            door = self.front_door(hole.address, green.address, timeouts={"connect": "5s"})
            clients = [self.client(door.address()) for _ in range(5)]
            door.wait_sessions(5)
            door.switch("green")
            # Each either goes on with green or is told that it has failed: both are in the receipt.
            ends = [end_of(client) for client in clients]
            self.assertLessEqual(set(ends), {"data", "reset"})
            receipt = door.settled()
            moved = ends.count("data")
            self.assertEqual((receipt["open"], receipt["moved"]), (5, moved))
            self.assertEqual((receipt["ended"], receipt["connectFailures"]), (5 - moved, 5 - moved))

    def test_26_in_the_backlog_at_the_flip_is_never_lost(self) -> None:
        """Connected by the kernel, not yet accepted: the front door stands still, and wakes to a switch."""
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        address = door.address()
        for turn in range(10):
            color = ("green", "blue")[turn % 2]
            door.signal(signal.SIGSTOP)
            try:
                clients = [connect(address) for _ in range(20)]
                answer = Task(door.switch, color)
                clients += [connect(address) for _ in range(20)]
            finally:
                door.signal(signal.SIGCONT)
            for client in clients:
                with client:
                    self.assertIn(read_line(client), (b"blue\n", b"green\n"))
            self.assertEqual(answer.result()["active"], color)
            self.assertEqual(color_of(address), color)

    def test_27_switches_back_to_back_with_the_state_on_a_tmpfs(self) -> None:
        folder = self.folder("/dev/shm" if os.path.isdir("/dev/shm") else None)
        blue, green = self.color_peers("hello")
        door = self.front_door(blue.address, green.address, folder=folder)
        storm = self.enter(Peer("storm", door.address(), "0.002"))
        standing = self.open_idle_sessions(door)
        descriptors = door.descriptors_open()
        memory: list[int] = []
        count, end = 0, time.monotonic() + 10
        while count < 700 or time.monotonic() < end:
            count += 1
            color = ("green", "blue")[count % 2 == 0]
            status = door.switch(color)
            self.assertEqual((status["active"], status["lastSwitch"]["to"]), (color, color))
            if count in (600, 700):
                memory.append(door.memory())
        status = door.status()
        self.assertEqual(status["generation"], count)
        self.assertLessEqual(door.descriptors_open(), descriptors + 10)
        sessions = storm.finish()["sessions"]
        self.assertEqual([session for session in sessions if session[3]], [])
        for receipt in door.history():
            check_receipt(receipt)
        for sock in standing:
            sock.close()
        # The history is bounded, on disk too.
        history = door.history()
        self.assertLessEqual(len(history), 1000)
        self.assertLess((door.state_file.parent / "state.json.history").stat().st_size, 4 << 20)
        self.assertLess(memory[1] - memory[0], 2 * MIB)

    def open_idle_sessions(self, door: harness.FrontDoor) -> list[socket.socket]:
        """Sessions that nobody is to cut; the `hello` backends have closed their side already."""
        return [self.client(door.address()) for _ in range(5)]

    def test_28_two_operators_at_once_expect_loses_cleanly(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        active, other = "blue", "green"
        for turn in range(30):
            start = threading.Barrier(2)

            def ask(reason: str) -> tuple[int, dict]:
                start.wait(10)
                return door.admin("POST", "/v1/switch", {"to": other, "expect": active, "reason": reason})

            answers = [task.result() for task in [Task(ask, "first"), Task(ask, "second")]]
            self.assertEqual(sorted(status for status, _ in answers), [200, 409])
            loser = next(body for status, body in answers if status == 409)
            self.assertTrue(loser["error"]["code"] and loser["error"]["message"])
            winner = ("first", "second")[answers[0][0] == 409]
            status = door.status()
            self.assertEqual((status["active"], status["generation"]), (other, turn + 1))
            self.assertEqual(status["lastSwitch"]["reason"], winner)
            active, other = other, active
        self.assertEqual(len(door.history()), 30)

    def test_28_many_operators_switches_are_one_after_another(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)

        def operate(number: int) -> None:
            for turn in range(25):
                door.switch(("green", "blue")[(turn + number) % 2], reason=f"{number}.{turn}")

        for task in [Task(operate, number) for number in range(6)]:
            task.result()
        history = door.history()
        self.assertEqual([receipt["generation"] for receipt in history], list(range(1, len(history) + 1)))
        for before, after in zip(history, history[1:]):
            self.assertEqual(after["from"], before["to"])
            self.assertNotEqual(after["from"], after["to"])
        self.assertEqual(door.status()["active"], history[-1]["to"])

    def test_29_to_the_active_color_changes_nothing(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        before = door.status()
        after = door.switch("blue")
        self.assertEqual((after["generation"], after["active"], after["lastSwitch"]),
                         (before["generation"], "blue", None))
        answer = door.ctl("switch", "blue")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertEqual(door.history(), [])

    def test_29_to_an_unknown_color_is_an_error(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        for color in ("red", "", "Blue", "blue ", None, 3, ["green"]):
            status, answer = door.admin("POST", "/v1/switch", {"to": color})
            self.assertEqual((status, "error" in answer), (400, True), color)
        answer = door.ctl("switch", "red")
        self.assertEqual(answer.returncode, 2)
        self.assertIn("red", answer.stderr)
        self.assertEqual((door.status()["active"], door.status()["generation"]), ("blue", 0))

    def test_29_to_a_dead_color(self) -> None:
        """Refused as unhealthy where that is known; else clients are reset and counted, and the way back is open."""
        blue = self.enter(harness.Backend(harness.tagged("blue")))
        door = self.front_door(blue.address, f"127.0.0.1:{free_port()}")
        kept = self.open_session(door.address(), "blue")
        status, answer = door.admin("POST", "/v1/switch", {"to": "green"})
        if status == 409:
            self.assertEqual(answer["error"]["code"], "unhealthy")
            self.assertEqual(color_of(door.address()), "blue")
            return
        self.assertEqual(status, 200)
        for _ in range(5):
            self.assertEqual(fate(door.address()), "reset")
        wait_until(lambda: door.status()["colors"]["green"]["connectFailures"] >= 5, "they are counted")
        self.assertEqual(door.rollback()["active"], "blue")
        self.assertEqual(color_of(door.address()), "blue")
        self.assertTrue(says_back(kept))

    def test_30_the_new_color_dies_right_after(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        old = [self.open_session(door.address(), "blue") for _ in range(5)]
        door.switch("green")
        new = self.open_session(door.address(), "green")
        green.close()
        self.assertIn(end_of(new), ("fin", "reset"))
        self.assertEqual(fate(door.address()), "reset")
        self.assertEqual(door.rollback(reason="green died")["active"], "blue")
        self.assertEqual([color_of(door.address()) for _ in range(10)], ["blue"] * 10)
        for session in old:
            self.assertTrue(says_back(session))

    def test_31_back_while_the_old_color_drains_cuts_no_session(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "7s", "spread": "1s"})
        old = [self.open_session(door.address(), "blue") for _ in range(20)]
        door.switch("green", reason="v2")
        new = [self.open_session(door.address(), "green") for _ in range(10)]
        for sock in old[:5]:
            sock.close()
        door.wait_sessions(15, "blue")
        status = door.rollback(reason="no")
        self.assertEqual((status["active"], status["previous"]), ("blue", None))
        first, second = door.history()
        check_receipt(first)
        self.assertEqual((first["open"], first["ended"], first["returned"], first["cut"], first["remaining"]),
                         (20, 5, 15, 0, 0))
        self.assertTrue(first["settled"])
        self.assertEqual((second["from"], second["to"], second["open"]), ("green", "blue", 10))
        # Green drains now; blue's old deadline passes and touches nobody.
        receipt = door.settled()
        self.assertEqual(receipt["spread"] + receipt["cut"], 10)
        for sock in new:
            self.assertIn(end_of(sock), ("fin", "reset"))
        for sock in old[5:]:
            self.assertTrue(says_back(sock))
        self.assertEqual(door.sessions("blue"), 15)

    def test_31_rollback_undoes_once_and_then_says_so(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        self.assertIsNone(door.status()["previous"])
        nothing = door.rollback()
        self.assertEqual((nothing["active"], nothing["generation"]), ("blue", 0))
        self.assertEqual(door.switch("green")["previous"], "blue")
        first = door.ctl("rollback", "--reason", "errors")
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertEqual((door.status()["active"], door.status()["generation"]), ("blue", 2))
        second = door.ctl("rollback")
        self.assertEqual(second.returncode, 0, second.stderr)
        self.assertIn("nothing to roll back", (second.stdout + second.stderr).lower())
        self.assertEqual((door.status()["active"], door.status()["generation"]), ("blue", 2))
        self.assertEqual(door.history()[-1]["reason"], "errors")

    def test_31_two_operators_roll_back_at_once(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        for _ in range(20):
            door.switch("green")
            for task in [Task(door.rollback) for _ in range(2)]:
                self.assertEqual(task.result()["active"], "blue")
            self.assertEqual(door.status()["active"], "blue")

    def test_32_new_work_never_waits_for_the_old_drain(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "5m", "spread": "0s"})
        old = self.open_session(door.address(), "blue")
        for _ in range(5):
            began = time.monotonic()
            door.switch("green")
            self.assertEqual(color_of(door.address()), "green")
            door.switch("blue")
            self.assertEqual(color_of(door.address()), "blue")
            # Far below the drain; an idle machine needs milliseconds.
            self.assertLess(time.monotonic() - began, 60)
        door.switch("green")
        self.assertEqual(door.status()["phase"], "draining")
        self.assertEqual(door.status()["drain"]["remaining"], 1)
        self.assertTrue(says_back(old))

    def test_33_keep_alive_clients_stay_whole_on_their_color(self) -> None:
        """Protocol tcp does not look into a session: question after question is answered by the color it began with."""

        def server(tag: str) -> harness.Handler:
            def serve(sock: socket.socket) -> None:
                while line := read_line(sock):
                    sock.sendall(tag.encode() + b" " + line)
            return serve

        blue, green = self.enter(harness.Backend(server("blue"))), self.enter(harness.Backend(server("green")))
        door = self.front_door(blue.address, green.address)

        def ask(client: socket.socket, number: int) -> str:
            client.sendall(b"%d\n" % number)
            color, echoed = read_line(client).split()
            self.assertEqual(int(echoed), number)
            return color.decode()

        old = [self.client(door.address()) for _ in range(10)]
        for number in range(20):
            for client in old:
                self.assertEqual(ask(client, number), "blue")
            if number == 9:
                door.switch("green")
        new = self.client(door.address())
        self.assertEqual(ask(new, 0), "green")

    def test_33_what_the_receipt_of_a_switch_tells(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        self.open_session(door.address(), "blue")
        before = time.time()
        status = door.switch("green", reason="release 42")
        receipt = check_receipt(status["lastSwitch"])
        self.assertEqual((receipt["generation"], receipt["from"], receipt["to"], receipt["reason"]),
                         (1, "blue", "green", "release 42"))
        self.assertEqual(receipt["by"], {"uid": os.geteuid(), "pid": os.getpid()})
        self.assertEqual((receipt["open"], receipt["remaining"], receipt["settled"]), (1, 1, False))
        self.assertTrue(receipt["persisted"])
        self.assertFalse(receipt["automatic"] or receipt["forced"])
        self.assertIsNone(receipt["cause"])
        self.assertGreater(receipt["persistMicroseconds"], 0)
        self.assertGreaterEqual(receipt["flipMicroseconds"], 0)
        self.assertTrue(before - 1 <= harness.wall_time(receipt["at"]) <= time.time() + 1)
        self.assertEqual((status["previous"], status["share"]), ("blue", {"blue": 0, "green": 100}))
        self.assertEqual(door.history(), [receipt])

    def test_33_dry_run_and_expect_change_nothing(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        dry = door.ctl("switch", "green", "--dry-run")
        self.assertEqual(dry.returncode, 0, dry.stderr)
        self.assertEqual(door.switch("green", dryRun=True)["active"], "blue")
        refused = door.ctl("switch", "green", "--expect", "green")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("blue", refused.stderr)
        self.assertEqual(door.admin("POST", "/v1/switch", {"to": "green", "expect": "green"})[0], 409)
        self.assertEqual((door.status()["active"], door.status()["generation"]), ("blue", 0))
        self.assertEqual(color_of(door.address()), "blue")
        self.assertEqual(door.history(), [])


class LargeTransfer(Case):
    def test_25_a_large_transfer_across_many_switches_is_exact(self) -> None:
        part, parts = harness.scaled(8, 64) * MIB, 16
        size = part * parts
        blue = self.enter(harness.Backend(lambda sock: send_pattern(sock, size)))
        green = self.enter(harness.Backend(harness.tagged("green")))
        door = self.front_door(blue.address, green.address, drain={"timeout": "10m", "spread": "0s"})
        with connect(door.address(), timeout=60) as client:
            digest = hashlib.sha256()
            for turn in range(parts):
                # While more of it comes than has been read.
                reader = Task(harness.read_exactly, client, part)
                door.switch(("green", "blue")[turn % 2])
                digest.update(reader.result())
            self.assertEqual(client.recv(1), b"")
            self.assertEqual(digest.hexdigest(), pattern_hash(size))

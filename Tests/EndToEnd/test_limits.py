"""Limits: of sessions, of descriptors, and many silent clients. Scenarios 21 to 23."""

from __future__ import annotations

import re
import resource
import selectors
import socket
import time
from collections import Counter

import harness
from harness import Case, Herd, Task, connect, end_of, read_line, wait_until


class Limits(Case):
    def test_21_at_the_session_limit_nobody_is_served_and_a_free_slot_is_used_at_once(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, limits={"sessions": 10})
        sessions = [self.open_session(door.address(), "blue") for _ in range(10)]
        for _ in range(10):
            with connect(door.address(), timeout=0.3) as late:
                # Waiting and being closed are both answers; being served is not.
                try:
                    self.assertIn(end_of(late), ("fin", "reset"))
                except TimeoutError:
                    pass
            self.assertLessEqual(door.sessions(), 10)
            for session in (sessions[0], sessions[-1]):
                self.assertTrue(harness.says_back(session), "those inside are not disturbed")
            sessions.pop(0).close()
            wait_until(lambda: door.sessions() < 10, "the slot is free")
            sessions.append(self.open_session(door.address(), "blue"))
        door.wait_sessions(10)

    def test_21_who_waits_at_the_limit_is_served_when_a_slot_is_free(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, limits={"sessions": 3})
        sessions = [self.open_session(door.address(), "blue") for _ in range(3)]
        waiting = [self.client(door.address()) for _ in range(3)]
        door.wait_rest()  # waiting does not spin
        self.assertEqual(door.sessions(), 3)
        for session in sessions:
            session.close()
        for client in waiting:
            self.assertEqual(read_line(client), b"blue\n")

    def test_21_the_operator_is_heard_at_the_limit_and_can_switch(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, limits={"sessions": 5})
        sessions = [self.open_session(door.address(), "blue") for _ in range(5)]
        waiting = self.client(door.address())
        self.assertEqual(door.switch("green")["active"], "green")
        sessions[0].close()
        self.assertEqual(read_line(waiting), b"green\n", "whoever waited starts after the switch")

    def test_22_out_of_descriptors_no_spin_no_crash_recovery(self) -> None:
        blue, green = self.color_peers()
        door = self.front_door(blue.address, green.address)
        address = door.address()
        sessions = [self.open_session(address, "blue") for _ in range(20)]
        limits, short = resource.prlimit(door.pid, resource.RLIMIT_NOFILE), time.monotonic()
        # No number above what is in use is left.
        resource.prlimit(door.pid, resource.RLIMIT_NOFILE, (door.descriptors_open() // 2, limits[1]))
        asking = Task(door.status)
        waiting = [self.enter(connect(address, timeout=30)) for _ in range(10)]
        time.sleep(1)  # so that what is told once a second could be told again
        door.wait_rest()  # it does not spin
        for session in sessions:
            self.assertTrue(harness.says_back(session), "those inside are not disturbed")
        resource.prlimit(door.pid, resource.RLIMIT_NOFILE, limits)
        self.assertEqual(asking.result()["active"], "blue", "the operator is heard as soon as it is possible")
        for client in waiting:
            try:
                self.assertEqual(read_line(client), b"blue\n")
            except ConnectionResetError:
                pass  # accepted while there was no descriptor for its target
        self.assertEqual(harness.color_of(door.address()), "blue")
        self.assertEqual(door.switch("green")["active"], "green")
        took = time.monotonic() - short
        door.wait_line(lambda line: " error " in line or " warning " in line, what="the log tells of it")
        told = Counter(re.sub(r"^\S+ |\d+", "", line) for line in door.lines if " error " in line or " warning " in line)
        self.assertLessEqual(max(told.values()), took + 2, f"once a second about a thing, not once an event: {told}")

    def test_22_with_few_descriptors_the_operator_is_heard_and_all_are_served_in_turn(self) -> None:
        """The session limit follows from the descriptor limit, with a few kept for the operator."""
        blue, green = self.color_peers()
        door = self.front_door(blue.address, green.address, descriptors=400)
        clients = [self.enter(connect(door.address(), timeout=30)) for _ in range(300)]
        wait_until(lambda: door.sessions() >= 20, "as many as there are descriptors for")
        wait_until(lambda: (before := door.sessions()) and (time.sleep(0.3) or before == door.sessions()),
                   "no more come in")
        status = door.ctl("status")
        self.assertEqual(status.returncode, 0, status.stderr)
        switched = door.switch("green")
        self.assertEqual(switched["active"], "green")
        inside = switched["lastSwitch"]["open"]
        self.assertLess(inside, 200)
        door.wait_rest()  # it does not spin
        self.assertLess(door.sessions(), 200)
        # Whoever is inside makes room: not always those that came first, as each worker accepts its own.
        seen: Counter[str] = Counter()
        with selectors.DefaultSelector() as waiting:
            for client in clients:
                waiting.register(client, selectors.EVENT_READ)
            while waiting.get_map():
                ready = waiting.select(harness.PATIENCE)
                self.assertTrue(ready, f"the next one is served, after {seen}")
                for key, _ in ready:
                    seen[read_line(key.fileobj).decode().strip()] += 1
                    waiting.unregister(key.fileobj)
                    key.fileobj.close()
        self.assertEqual(seen, {"blue": inside, "green": 300 - inside}, "who came in after the switch is on green")
        door.wait_sessions(0)

    def test_23_nine_thousand_silent_clients(self) -> None:
        blue, green = self.color_peers()
        door = self.front_door(blue.address, green.address)
        lively = self.open_session(door.address(), "blue")
        before, descriptors = door.memory(), door.descriptors_open()
        count = 9000
        with Herd(door.address(), count) as herd:
            self.assertEqual(herd.tags, {"blue": count})
            self.assertEqual(door.sessions(), count + 1)
            each = (door.memory() - before) / count
            self.assertLess(each, 1024, "bytes of user memory for an idle session")
            door.wait_rest(0.2)  # silence costs no processor
            self.assertTrue(harness.says_back(lively))
            self.assertEqual(harness.color_of(door.address()), "blue")
            answer = door.get("/v1/sessions")["sessions"]
            self.assertGreaterEqual(len(answer), count + 1)
            herd.watch(0.1)
            self.assertEqual(herd.closed, [])
        door.wait_sessions(1)
        wait_until(lambda: door.descriptors_open() <= descriptors, "every descriptor is free again")

    def test_23_all_nine_thousand_still_work(self) -> None:
        blue, green = self.color_peers()
        door = self.front_door(blue.address, green.address)
        with Herd(door.address(), 9000) as herd:
            for sock in herd.sockets():
                sock.send(b"x")
            waiting = {sock.fileno(): sock for sock in herd.sockets()}
            deadline = time.monotonic() + 60
            for sock in waiting.values():
                sock.settimeout(max(0.1, deadline - time.monotonic()))
                self.assertEqual(sock.recv(8), b"x")


class Backlog(Case):
    def test_21_a_burst_of_connects_is_served_whole(self) -> None:
        blue, green = self.color_peers()
        door = self.front_door(blue.address, green.address)
        clients = []
        for _ in range(3000):
            client = self.enter(socket.socket())
            client.setblocking(False)
            client.connect_ex(harness.split(door.address())[1])
            clients.append(client)
        for client in clients:
            client.settimeout(30)
            self.assertEqual(read_line(client), b"blue\n")

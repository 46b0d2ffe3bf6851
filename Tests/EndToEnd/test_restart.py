"""Signals, kills, restarts, and the state on disk. Scenarios 42 to 44."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import time

import harness
from harness import Case, FrontDoor, Peer, Task, color_of, connect, end_of, free_port, says_back, session, wait_until

OTHER = {"blue": "green", "green": "blue"}


class Signals(Case):
    def test_42_sigterm_under_load_loses_no_session_and_exits_0(self) -> None:
        blue, green = self.color_peers()
        door = self.front_door(blue.address, green.address)
        address = door.address()
        storms = [self.enter(Peer("requests", address)) for _ in range(2)]
        standing = [self.open_session(address, "blue") for _ in range(10)]
        time.sleep(1)  # a time under load
        asked = time.monotonic()
        door.signal(signal.SIGTERM)
        door.wait_line(lambda line: "stop" in line, what="the log says that it stops")
        wait_until(lambda: self.is_refused(address), "new connections are refused")
        time.sleep(0.5)  # a time in which the storm meets it
        sessions = [session for storm in storms for session in storm.finish()["sessions"]]
        self.assertTrue(any(session[0] > asked for session in sessions), "the storm outlived the signal")
        for began, ended, tag, error, stage in sessions:
            if ended < asked:
                self.assertEqual((tag, error), ("blue", ""))
            elif error:
                # Too late, and told so: refused, or reset unserved where it met the closing of the listener.
                self.assertIn(stage, ("connect", "greeting"), error)
                self.assertGreater(ended, asked)
        for client in standing:
            self.assertTrue(says_back(client), "a session runs on while the front door drains")
        with self.assertRaises(ConnectionRefusedError):
            connect(address)
        for client in standing:
            client.close()
        self.assertEqual(door.wait_exit(), 0)

    def test_42_sigterm_ends_what_is_left_at_the_drain_timeout(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "2s", "spread": "1s"})
        client = self.open_session(door.address(), "blue")
        began = time.monotonic()
        door.signal(signal.SIGTERM)
        self.assertEqual(door.wait_exit(), 0)
        self.assertAfter(time.monotonic() - began, 1.0, "the end")
        self.assertIn(end_of(client), ("fin", "reset"))

    def test_42_sigint_without_sessions_ends_at_once_with_0(self) -> None:
        blue, green = self.colors()
        for number in (signal.SIGINT, signal.SIGTERM):
            with FrontDoor(blue.address, green.address) as door:
                door.signal(number)
                self.assertEqual(door.wait_exit(), 0)

    def test_42_a_second_signal_ends_at_once(self) -> None:
        blue, green = self.colors()
        for second in (signal.SIGTERM, signal.SIGINT):
            with FrontDoor(blue.address, green.address, drain={"timeout": "10m", "spread": "0s"}) as door:
                client, _ = session(door.address())
                with client:
                    door.signal(signal.SIGTERM)
                    door.wait_line(lambda line: "stop" in line, what="the log says that it stops")
                    self.assertTrue(says_back(client))
                    door.signal(second)
                    door.wait_exit()

    def test_42_stop_of_the_operator_drains_as_sigterm_does(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        address = door.address()
        client = self.open_session(address, "blue")
        self.assertEqual(door.ctl("stop").returncode, 0)
        wait_until(lambda: self.is_refused(address), "new connections are refused")
        self.assertTrue(says_back(client))
        client.close()
        self.assertEqual(door.wait_exit(), 0)

    def is_refused(self, address: str) -> bool:
        try:
            connect(address).close()
            return False
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            return False  # it met the closing of the listener

    def test_42_sigkill_under_load_and_back_at_once(self) -> None:
        blue, green = self.color_peers()
        port = free_port()
        door = self.front_door(blue.address, green.address, bind=f"127.0.0.1:{port}")
        door.switch("green")
        storm = self.enter(Peer("requests", f"127.0.0.1:{port}"))
        for _ in range(5):
            clients = [self.open_session(f"127.0.0.1:{port}", "green") for _ in range(10)]
            door.kill()
            for client in clients:
                self.assertIn(end_of(client), ("fin", "reset"))
            # The same address, admin socket and state file, without a wait or a clean-up by hand.
            door.start()
            self.assertEqual(door.status()["active"], "green")
        sessions = storm.finish()["sessions"]
        self.assertEqual({tag for _, _, tag, error, _ in sessions if not error}, {"green"})

    def test_42_sigstop_and_sigcont_under_load(self) -> None:
        size = 64 * harness.MIB
        blue = self.enter(harness.Backend(harness.echo))
        door = self.front_door(blue.address, f"127.0.0.1:{free_port()}")
        address = door.address()

        def transfer() -> None:
            with connect(address, timeout=60) as client:
                sender = Task(harness.send_pattern, client, size)
                count = harness.receive_hash(client, size)
                self.assertEqual(count, (size, sender.result()))

        tasks = [Task(transfer) for _ in range(3)]
        while any(task.is_alive() for task in tasks):
            door.signal(signal.SIGSTOP)
            try:
                late = [connect(address) for _ in range(10)]
                time.sleep(0.1)  # the stop shall be felt
            finally:
                door.signal(signal.SIGCONT)
            for client in late:
                with client:
                    self.assertTrue(says_back(client))
        for task in tasks:
            task.result()

    def test_42_sigpipe_and_sighup_without_a_file_do_not_end_it(self) -> None:
        blue, green = self.colors()
        folder = self.folder()
        door = self.front_door(folder=folder, use_file=False, arguments=(
            "--listen", "127.0.0.1:0", "--blue", blue.address, "--green", green.address,
            "--socket", f"{folder}/admin/admin.sock", "--state", f"{folder}/state/state.json"))
        door.signal(signal.SIGPIPE)
        door.signal(signal.SIGHUP)
        self.assertEqual(color_of(door.address()), "blue")
        self.assertEqual(door.status()["active"], "blue")

    def test_42_a_log_that_nobody_reads_stops_nothing(self) -> None:
        """stderr is a pipe that is full: lines are lost, traffic and operators are not."""
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, start=False)
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb"), os.fdopen(writing, "wb") as stream:
            os.set_blocking(writing, False)
            try:
                while True:
                    os.write(writing, b"x" * 65536)
            except BlockingIOError:
                os.set_blocking(writing, True)
            process = subprocess.Popen([harness.BGPROXY, "--config", str(door.config_file)], stderr=stream,
                                       stdin=subprocess.DEVNULL)
            try:
                wait_until(lambda: os.path.exists(door.admin_path), "the admin socket is there")
                wait_until(lambda: self.answers(door), "the front door answers")
                for turn in range(300):
                    door.switch(("green", "blue")[turn % 2], reason="r" * 500)
                self.assertEqual(color_of(door.address()), "blue")
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(harness.PATIENCE), 0)
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()

    def answers(self, door: FrontDoor) -> bool:
        try:
            return door.admin("GET", "/v1/status")[0] == 200
        except OSError:
            return False


class Kills(Case):
    def test_43_killed_during_the_state_write_many_times(self) -> None:
        """Whenever it is killed, it comes back in the last acknowledged color, or in one whose switch was under way."""
        blue, green = self.colors()
        port = free_port()
        door = self.front_door(blue.address, green.address, bind=f"127.0.0.1:{port}", start=False)
        randomness = random.Random(seed := int(os.environ.get("BGPROXY_TEST_SEED", "43")))
        acknowledged, generation, interrupted, under_way = "blue", 0, 0, False
        rounds = harness.scaled(220, 1000)
        # How long a switch takes here and now, so that about half of the kills come before its answer.
        usual = 0.002
        for turn in range(rounds):
            door.start()
            status = door.status()
            note = f"round {turn}, seed {seed}"
            allowed = {acknowledged, OTHER[acknowledged]} if under_way else {acknowledged}
            self.assertIn(status["active"], allowed, note)
            self.assertIn(status["generation"], (generation, generation + 1), note)
            if turn % 10 == 0:
                self.assertEqual(color_of(f"127.0.0.1:{port}"), status["active"], note)
            acknowledged, generation = status["active"], status["generation"]
            # A few that are acknowledged, then one that may be cut anywhere.
            for _ in range(randomness.randrange(3)):
                acknowledged = OTHER[acknowledged]
                generation += 1
                began = time.perf_counter()
                self.assertEqual(door.switch(acknowledged)["generation"], generation, note)
                usual = 0.8 * usual + 0.2 * min(time.perf_counter() - began, 0.1)
            under_way = True
            request = json.dumps({"to": OTHER[acknowledged]}).encode()
            with connect(f"unix:{door.admin_path}") as admin:
                admin.sendall(b"POST /v1/switch HTTP/1.1\r\nHost: bgproxy\r\nContent-Type: application/json\r\n"
                              b"Content-Length: %d\r\n\r\n%b" % (len(request), request))
                end = time.perf_counter() + randomness.random() * 2 * usual
                while time.perf_counter() < end:
                    pass
                door.kill()
                answer = self.rest_of(admin)
            if answer.startswith(b"HTTP/1.1 200"):
                acknowledged = OTHER[acknowledged]
                generation += 1
                under_way = False
            else:
                interrupted += 1
        self.assertGreater(interrupted, rounds // 10, "kills before the answer")
        door.start()
        for receipt in door.history():
            harness.check_receipt(receipt)

    def rest_of(self, sock: socket.socket) -> bytes:
        try:
            return harness.read_all(sock)
        except ConnectionResetError:
            return b""

    def test_43_left_overs_of_a_write_do_not_matter(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        door.switch("green")
        door.kill()
        folder = door.state_file.parent
        for name in list(os.listdir(folder)):
            (folder / f"{name}.new").write_text("{ half a fi")
            (folder / f"{name}.tmp").write_text("")
        history = folder / "state.json.history"
        with history.open("a") as file:
            file.write('{"generation":2,"from":"gre')
        door.start()
        self.assertEqual(door.status()["active"], "green")
        self.assertEqual(door.switch("blue")["generation"], 2)
        door.restart()
        self.assertEqual([receipt["generation"] for receipt in door.history()], [1, 2])


class State(Case):
    def test_44_a_restart_keeps_the_color_and_what_a_rollback_leads_to(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, active="blue")
        door.switch("green", reason="v2")
        door.restart()
        status = door.status()
        self.assertEqual((status["active"], status["previous"], status["generation"]), ("green", "blue", 1))
        self.assertEqual(color_of(door.address()), "green")
        self.assertEqual(door.rollback()["active"], "blue")
        door.restart()
        status = door.status()
        self.assertEqual((status["active"], status["previous"], status["generation"]), ("blue", None, 2))
        self.assertEqual(door.rollback()["generation"], 2)

    def test_44_start_up_never_switches(self) -> None:
        """`active`, in the file or on the command line, counts only where there is no state file."""
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, active="green")
        self.assertEqual((door.status()["active"], color_of(door.address())), ("green", "green"))
        self.assertEqual(door.status()["generation"], 0)
        door.switch("blue")
        door.arguments = ("--active", "green")
        door.restart()
        self.assertEqual((door.status()["active"], color_of(door.address())), ("blue", "blue"))

    def test_44_the_color_is_kept_from_the_first_start_on(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, active="green")
        door.stop()
        door.settings["active"] = "blue"
        door.write_config()
        door.start()
        self.assertIn(door.status()["active"], ("green", "blue"))
        if door.state_file.exists():
            self.assertEqual(json.loads(door.state_file.read_text())["active"], door.status()["active"])

    def test_44_the_history_survives_restarts_and_is_bounded(self) -> None:
        blue, green = self.colors()
        folder = self.folder("/dev/shm" if os.path.isdir("/dev/shm") else None)
        door = self.front_door(blue.address, green.address, folder=folder)
        for turn in range(6):
            door.switch(("green", "blue")[turn % 2], reason=f"number {turn}")
        before = door.history()
        door.restart()
        self.assertEqual(door.history(), before)
        door.kill()
        door.start()
        self.assertEqual([receipt["reason"] for receipt in door.history()], [f"number {turn}" for turn in range(6)])
        for turn in range(3000):
            door.switch(("green", "blue")[turn % 2])
        history = door.history()
        self.assertLess(len(history), 2000)
        self.assertEqual(history[-1]["generation"], 3006)
        self.assertLess((door.state_file.parent / "state.json.history").stat().st_size, 4 << 20)
        door.restart()
        self.assertEqual(door.history(), history)

    def test_44_a_receipt_that_a_kill_left_open_is_closed_at_the_next_start(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        held = [self.open_session(door.address(), "blue") for _ in range(4)]
        door.switch("green")
        wait_until(lambda: (door.state_file.parent / "state.json.history").exists(), "the history is written")
        door.kill()
        door.start()
        receipt = door.receipt()
        self.assertEqual((receipt["open"], receipt["remaining"], receipt["settled"]), (len(held), 0, True))

    def test_44_a_damaged_state_file_is_refused_by_name_and_active_replaces_it(self) -> None:
        blue, green = self.colors()
        damages = [b"", b"{", b"null", b"[]", b"\x00" * 100, b'{"active":"red"}', b'{"active":"green"}', b"\xff\xfe",
                   b'{"version":99,"active":"green","generation":1}', os.urandom(4096), b"x" * (1 << 20)]
        for damage in damages:
            with self.subTest(damage=damage[:40]):
                folder = self.folder()
                with FrontDoor(blue.address, green.address, folder=folder, start=False, active="blue") as door:
                    door.state_file.parent.mkdir()
                    door.state_file.write_bytes(damage)
                    result = harness.bgproxy("--config", str(door.config_file))
                    self.assertEqual(result.returncode, 1, result.stderr)
                    self.assertIn(str(door.state_file), result.stderr)
                    self.assertIn("--active", result.stderr)
                    self.assertIsNone(harness.TRAPS.search(result.stderr))
                    self.assertEqual(door.state_file.read_bytes(), damage, "nobody's evidence is overwritten")
                    door.arguments = ("--active", "green")
                    door.start()
                    self.assertEqual(door.status()["active"], "green")
                    door.switch("blue")
                    door.arguments = ()
                    door.restart()
                    self.assertEqual(door.status()["active"], "blue")

    def test_44_the_file_is_whole_whenever_it_is_read(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        door.switch("green")
        ended = False

        reads = 0

        def read() -> None:
            nonlocal reads
            while not ended:
                record = json.loads(door.state_file.read_text())
                self.assertIn(record["active"], OTHER)
                reads += 1

        reader, turn = Task(read), 0
        while turn < 100 or reads < 100 and reader.is_alive():
            color = ("blue", "green")[turn % 2]
            door.switch(color)
            self.assertEqual(json.loads(door.state_file.read_text())["active"], color, "on disk before the answer")
            turn += 1
        ended = True
        reader.result()


class TwoFrontDoors(Case):
    def refused(self, door: FrontDoor, *words: str) -> None:
        result = harness.bgproxy("--config", str(door.config_file))
        self.assertEqual(result.returncode, 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertIsNone(harness.TRAPS.search(result.stderr))

    def test_44_on_one_state_file_the_second_names_the_first(self) -> None:
        blue, green = self.colors()
        first = self.front_door(blue.address, green.address)
        second = self.front_door(blue.address, green.address, start=False, stateFile=str(first.state_file))
        self.refused(second, str(first.state_file), str(first.pid))
        first.switch("green")
        self.assertEqual(color_of(first.address()), "green")
        first.kill()
        second.start()
        self.assertEqual(second.status()["active"], "green", "the lock ends with its holder")

    def test_44_on_one_address(self) -> None:
        blue, green = self.colors()
        first = self.front_door(blue.address, green.address)
        second = self.front_door(blue.address, green.address, bind=first.address(), start=False)
        self.refused(second, first.address())
        self.assertFalse(os.path.exists(second.admin_path), "no socket file is left behind")
        self.assertEqual([color_of(first.address()) for _ in range(10)], ["blue"] * 10)

    def test_44_on_one_preview_address(self) -> None:
        blue, green = self.colors()
        first = self.front_door(blue.address, green.address)
        second = self.front_door(blue.address, green.address, preview=first.address(), start=False)
        self.refused(second, first.address())

    def test_44_on_one_admin_socket(self) -> None:
        blue, green = self.colors()
        first = self.front_door(blue.address, green.address)
        second = self.front_door(blue.address, green.address, start=False, admin={"socket": first.admin_path})
        self.refused(second, first.admin_path, str(first.pid))
        self.assertEqual(first.status()["active"], "blue")

    def test_44_on_one_unix_socket_address(self) -> None:
        blue, green = self.colors()
        path = f"unix:{self.folder()}/front.sock"
        first = self.front_door(blue.address, green.address, bind=path)
        second = self.front_door(blue.address, green.address, bind=path, start=False)
        self.refused(second, path[5:])
        self.assertEqual(color_of(path), "blue")
        first.kill()
        second.start()
        self.assertEqual(color_of(path), "blue", "the file of one that was killed is replaced")

    def test_44_a_stale_admin_socket_is_replaced_and_other_files_are_not(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        door.kill()
        self.assertTrue(os.path.exists(door.admin_path))
        door.start()
        self.assertEqual(door.status()["active"], "blue")
        door.stop()
        self.assertFalse(os.path.exists(door.admin_path), "a clean end leaves no socket file")
        with open(door.admin_path, "w") as file:
            file.write("somebody's data")
        self.refused(door, door.admin_path)
        with open(door.admin_path) as file:
            self.assertEqual(file.read(), "somebody's data")
        os.unlink(door.admin_path)


class Readiness(Case):
    def test_port_0_is_told_by_the_log_and_by_status(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, preview="127.0.0.1:0")
        line = next(line for line in door.lines if harness.is_ready(line))
        self.assertIn(f"main={door.address()}", line)
        self.assertIn(f"preview.main={door.preview()}", line)
        self.assertNotEqual(harness.port_of(door.address()), 0)

    def test_ready_in_json(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, arguments=("--log-format", "json"))
        line = next(line for line in door.lines if harness.is_ready(line))
        self.assertIn(f'"main":"{door.address()}"', line.replace(" ", ""))
        door.switch("green", reason='a "quoted"\nreason')
        wait_until(lambda: door.events("switch"), "the switch is in the log")
        for text in door.lines:
            entry = json.loads(text)
            self.assertTrue(entry["time"] and entry["level"] and entry["event"])

    def notify(self, name: str | bytes, said: str) -> None:
        blue, green = self.colors()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.bind(name)
            supervisor.settimeout(harness.PATIENCE)
            door = self.front_door(blue.address, green.address, environment={"NOTIFY_SOCKET": said})
            self.assertIn(b"READY=1", supervisor.recv(4096).split(b"\n"))
            self.assertEqual(color_of(door.address()), "blue")

    def test_notify_socket_hears_ready(self) -> None:
        path = f"{self.folder()}/notify.sock"
        self.notify(path, path)

    def test_abstract_notify_socket_hears_ready(self) -> None:
        name = f"bgproxy-e2e-{os.getpid()}"
        self.notify(b"\0" + name.encode(), f"@{name}")

    def test_a_notify_socket_that_is_not_there_stops_nothing(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, environment={"NOTIFY_SOCKET": "/nonexistent/notify"})
        self.assertEqual(color_of(door.address()), "blue")

    def test_no_line_for_each_connection_at_level_info(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        lines = len(door.lines)
        for _ in range(50):
            color_of(door.address())
        door.wait_sessions(0)
        self.assertEqual(door.lines[lines:], [])

"""bgproxyctl: what people and scripts see, and the exit codes they rely on."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import time

import harness
from harness import Backend, Case, ctl, session, tagged, wait_until


class ExitCodes(Case):
    def test_0_done_also_when_the_color_is_active_already(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        for arguments in (("status",), ("switch", "green"), ("switch", "green"), ("rollback",), ("rollback",),
                          ("sessions",), ("health",), ("history",), ("config",), ("drain",), ("reload",)):
            result = door.ctl(*arguments)
            self.assertEqual(result.returncode, 0, f"{arguments}: {result.stderr}")
            self.assertTrue(result.stdout.strip(), arguments)

    def test_1_refused_with_the_reason(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        result = door.ctl("switch", "green", "--expect", "green")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("blue", result.stderr)

    def test_2_usage(self) -> None:
        for arguments in ((), ("dance",), ("switch",), ("switch", "red"), ("switch", "green", "blue"),
                          ("status", "--wat"), ("switch", "green", "--drain"), ("switch", "green", "--drain", "soon"),
                          ("--timeout", "x", "status"),
                          ("drain", "--now", "--extend", "5s"), ("pause", "--max", "soon"), ("resume", "now"),
                          ("switch", "green", "--during", "true"), ("switch", "green", "--ramp", "10:1m"),
                          ("switch", "green", "--ramp", "10%:1m", "--after", "true"),
                          ("switch", "green", "--ramp", "10%:1m", "--handover"),
                          ("switch", "green", "--bake", "25h")):
            result = ctl(*arguments)
            self.assertEqual(result.returncode, 2, f"{arguments}: {result.stdout}{result.stderr}")
            self.assertTrue(result.stderr.strip())
        self.assertIn("switch", ctl("swich", "green").stderr, "did you mean")

    def test_2_what_is_not_built_is_refused_by_name(self) -> None:
        for arguments, name in ((("upgrade",), "upgrade"),):
            result = ctl(*arguments)
            self.assertEqual(result.returncode, 2, f"{arguments}: {result.stderr}")
            self.assertIn(name, result.stderr)
        help_text = ctl("--help").stdout
        for verb in ("upgrade",):
            self.assertNotIn(f" {verb} ", help_text)

    def test_3_no_front_door_answers(self) -> None:
        folder = self.folder()
        missing = f"{folder}/nobody.sock"
        with harness.listening(f"unix:{folder}/stale.sock"):
            pass
        with harness.listening(f"unix:{folder}/silent.sock"):
            for path in (missing, f"{folder}/stale.sock", f"{folder}/silent.sock", str(folder)):
                result = ctl("--socket", path, "--timeout", "500ms", "status")
                self.assertEqual(result.returncode, 3, f"{path}: {result.stderr}")
                self.assertIn(path, result.stderr)

    def test_3_something_else_answers(self) -> None:
        for answer in (b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                       b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", b"\x00" * 100):
            with self.subTest(answer=answer):
                path = f"unix:{self.folder()}/other.sock"
                with Backend(lambda sock: (sock.recv(65536), sock.sendall(answer)), path):
                    result = ctl("--socket", path[5:], "--timeout", "2s", "status")
                self.assertIn(result.returncode, (1, 3), result.stdout)
                self.assertTrue(result.stderr.strip())
                self.assertIsNone(harness.TRAPS.search(result.stderr))

    def test_4_the_drain_window_ended_before_every_session_had(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "2s", "spread": "1s"})
        self.open_session(door.address(), "blue")
        result = door.ctl("switch", "green", "--wait")
        self.assertEqual(result.returncode, 4, result.stdout + result.stderr)
        receipt = door.receipt()
        self.assertEqual((receipt["spread"], receipt["settled"]), (1, True))

    def test_4_a_rollback_waits_too(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        door.switch("green")
        self.open_session(door.address(), "green")
        result = door.ctl("rollback", "--wait", "--drain", "2s")
        self.assertEqual(result.returncode, 4, result.stdout + result.stderr)

    def test_wait_is_not_bounded_by_the_timeout_of_an_answer(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        client = self.open_session(door.address(), "blue")
        process = door.start_ctl("--timeout", "4s", "switch", "green", "--wait", "--drain", "10m")
        try:
            # A line a second: when the sixth has come it has waited longer.
            lines = [process.stderr.readline() for _ in range(6)]
            self.assertTrue(all(lines), lines)
            client.close()
            self.assertEqual(process.wait(harness.PATIENCE), 0)
        finally:
            process.kill()
            process.communicate()

    def test_the_front_door_is_killed_while_somebody_waits(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        self.open_session(door.address(), "blue")
        process = door.start_ctl("switch", "green", "--wait", "--drain", "60s")
        try:
            wait_until(lambda: door.status()["active"] == "green", "the switch is made")
            door.kill()
            output, errors = process.communicate(timeout=20)
            self.assertIn(process.returncode, (1, 3), output)
            self.assertTrue(errors.strip())
        finally:
            process.kill()
            process.wait()


class Output(Case):
    def setUp(self) -> None:
        super().setUp()
        self.blue, self.green = self.colors()
        self.door = self.front_door(self.blue.address, self.green.address, preview="127.0.0.1:0")

    def test_status_tells_what_counts(self) -> None:
        self.open_session(self.door.address(), "blue")
        self.door.switch("green", reason="release 42")
        text = self.door.ctl("status").stdout
        for word in ("blue", "green", self.door.address(), self.blue.address, self.green.address, "main"):
            self.assertIn(word, text)
        self.assertNotIn("\x1b", text, "no color in a pipe")

    def test_the_receipt_of_a_switch_is_printed(self) -> None:
        text = self.door.ctl("switch", "green", "--reason", "release 42").stdout
        for word in ("blue", "green", "release 42"):
            self.assertIn(word, text)

    def test_json_is_the_answer_of_the_front_door(self) -> None:
        status = json.loads(self.door.ctl("status", "--json").stdout)
        self.assertEqual(status["pid"], self.door.pid)
        switched = json.loads(self.door.ctl("switch", "green", "--json", "--reason", "r").stdout)
        self.assertEqual(switched["active"], "green")
        self.open_session(self.door.address(), "green")
        for verb in ("sessions", "health", "history", "config"):
            printed = json.loads(self.door.ctl(verb, "--json").stdout)
            self.assertEqual(printed.keys(), self.door.get(f"/v1/{verb}").keys())
        self.assertEqual(json.loads(self.door.ctl("rollback", "--json").stdout)["active"], "blue")
        self.assertEqual(json.loads(self.door.ctl("drain", "--json").stdout)["active"], "blue")
        self.assertIn("needsRestart", json.loads(self.door.ctl("reload", "--json").stdout))

    def test_sessions_can_be_asked_for_one_color(self) -> None:
        self.open_session(self.door.address(), "blue")
        self.door.switch("green")
        self.open_session(self.door.address(), "green")
        both = self.door.ctl("sessions").stdout
        self.assertIn(self.blue.address, both)
        self.assertIn(self.green.address, both)
        blue = self.door.ctl("sessions", "--color", "blue").stdout
        self.assertIn(self.blue.address, blue)
        self.assertNotIn(self.green.address, blue)

    def test_quiet_prints_errors_only(self) -> None:
        done = self.door.ctl("--quiet", "switch", "green")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        refused = self.door.ctl("--quiet", "switch", "blue", "--expect", "blue")
        self.assertEqual(refused.returncode, 1)
        self.assertTrue(refused.stderr.strip())

    def test_the_socket_comes_from_the_environment_too(self) -> None:
        result = ctl("status", env=os.environ | {"BGPROXY_SOCKET": self.door.admin_path})
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_every_verb_has_help_with_an_example(self) -> None:
        for verb in ("status", "switch", "rollback", "drain", "sessions", "health", "history", "config", "watch",
                     "reload", "stop"):
            result = ctl(verb, "--help")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(f"bgproxyctl {verb}", result.stdout)
            self.assertIn(verb, ctl("--help").stdout)

    def test_watch_prints_events_one_a_line_until_interrupted(self) -> None:
        for options, parse in (((), str), (("--json",), json.loads)):
            process = self.door.start_ctl("watch", *options)
            try:
                # The watcher is there when it has told of a first event: repeat until it does.
                seen = ""
                deadline = time.monotonic() + 20
                while not seen and time.monotonic() < deadline:
                    self.door.switch("green" if self.door.status()["active"] == "blue" else "blue", reason="look")
                    if select.select([process.stdout], [], [], 0.3)[0]:
                        seen = process.stdout.readline()
                self.assertTrue(parse(seen))
                process.send_signal(signal.SIGINT)
                output, errors = process.communicate(timeout=harness.PATIENCE)
                for line in output.splitlines():
                    self.assertTrue(parse(line))
                self.assertIsNone(harness.TRAPS.search(errors))
            finally:
                process.kill()
                process.wait()

    def test_a_reader_that_leaves_ends_it_quietly(self) -> None:
        result = subprocess.run(
            ["bash", "-c", '"$0" --socket "$1" config | head -c 1 >/dev/null; echo "${PIPESTATUS[0]}"',
             harness.BGPROXYCTL, self.door.admin_path], capture_output=True, text=True, timeout=20, check=False)
        self.assertIsNone(harness.TRAPS.search(result.stderr), result.stderr)

    def test_history_shows_reasons_without_obeying_them(self) -> None:
        self.door.switch("green", reason="one\ntwo")
        text = self.door.ctl("history").stdout
        self.assertIn("one", text)
        self.assertNotIn("\ntwo", text, "a line end in a reason makes no line of its own")


class Terminal(Case):
    def on_terminal(self, door: harness.FrontDoor, *arguments: str, environment: dict[str, str] | None = None,
                    meanwhile=lambda text: None) -> tuple[int, str]:
        """Runs bgproxyctl on a terminal and returns its exit code and what it wrote, of which `meanwhile` is told as it
        comes."""
        ours, theirs = pty.openpty()
        env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm-256color"}
        process = subprocess.Popen([harness.BGPROXYCTL, "--socket", door.admin_path, *arguments], stdin=theirs,
                                   stdout=theirs, stderr=theirs, env=env | (environment or {}))
        os.close(theirs)
        try:
            output = b""
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                if not select.select([ours], [], [], 0.5)[0]:
                    continue
                try:
                    data = os.read(ours, 65536)
                except OSError:
                    break  # the other side is closed
                output += data
                meanwhile(output.decode(errors="replace"))
            return process.wait(harness.PATIENCE), output.decode(errors="replace")
        finally:
            os.close(ours)
            if process.poll() is None:
                process.kill()
                process.wait()

    def test_color_on_a_terminal_and_none_where_it_is_not_wanted(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        code, text = self.on_terminal(door, "status")
        self.assertEqual(code, 0, text)
        self.assertIn("\x1b[", text)
        for arguments, environment in ((("status", "--no-color"), {}), (("status",), {"NO_COLOR": "1"})):
            code, text = self.on_terminal(door, *arguments, environment=environment)
            self.assertEqual(code, 0, text)
            self.assertNotIn("\x1b[", text)

    def test_wait_shows_a_progress_bar(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        client, _ = session(door.address())

        def leave(text: str) -> None:
            if text.count("draining") >= 3:
                client.close()

        code, text = self.on_terminal(door, "switch", "green", "--wait", "--drain", "10m", meanwhile=leave)
        self.assertEqual(code, 0, text)
        self.assertIn("\x1b[A\r\x1b[2K", text, "it redraws in place")


class Speed(Case):
    def test_a_switch_answers_promptly_also_with_a_silent_backend(self) -> None:
        """The order of a switch waits for disk and workers, never for a backend."""
        silent = self.enter(Backend(harness.keep))
        green = self.enter(Backend(tagged("green")))
        # Whatever ends on the backend's side ends after the patience of this test.
        door = self.front_door(silent.address, green.address, drain={"timeout": "10m", "spread": "0s"})
        for _ in range(10):
            sock = self.client(door.address())
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(b"question")
        door.wait_sessions(10)
        self.assertEqual(door.ctl("--timeout", "55s", "switch", "green").returncode, 0)
        self.assertEqual(door.receipt()["remaining"], 10)

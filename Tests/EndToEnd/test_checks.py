"""Checks around a switch, and the wait for a release: what bgproxyctl does on its own side."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import harness
from harness import Case, FrontDoor, color_of, wait_until

NOBODY = 65534


class CheckCase(Case):
    def setUp(self) -> None:
        super().setUp()
        self.place = Path(self.folder())
        self.trace = self.place / "trace"

    def door(self, **settings) -> FrontDoor:
        self.blue, self.green = self.colors()
        return self.front_door(self.blue.address, self.green.address, preview="0.0.0.0:0", **settings)

    def traced(self) -> list[str]:
        return self.trace.read_text().splitlines() if self.trace.exists() else []

    def note(self, text: str) -> str:
        return f'echo "{text}" >>{self.trace}'


class Checks(CheckCase):
    def test_they_run_in_order_and_know_what_they_are_for(self) -> None:
        door = self.door(checks={"before": [self.note("1 $BGPROXY_FROM $BGPROXY_TO")], "after": [self.note("4")]})
        port = door.preview().rpartition(":")[2]
        result = door.ctl(
            "switch", "green", "--reason", "two words", "--after", self.note("5"),
            "--before", self.note("2 $BGPROXY_PREVIEW $BGPROXY_PREVIEW_MAIN $BGPROXY_SOCKET $BGPROXY_REASON"),
            "--before", "echo told; test $(bash -c 'exec 3<>/dev/tcp/${BGPROXY_PREVIEW/://}; head -n 1 <&3') = green")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(self.traced(), [
            "1 blue green", f"2 127.0.0.1:{port} 127.0.0.1:{port} {door.admin_path} two words", "4", "5"])
        self.assertIn("told", result.stderr, "what they print is seen")
        self.assertEqual(door.receipt()["to"], "green")
        again = door.ctl("switch", "green", "--before", self.note("6"))
        self.assertEqual((again.returncode, len(self.traced())), (0, 4), "nothing is to be done")

    def test_one_that_fails_stops_the_switch(self) -> None:
        door = self.door(checks={"before": ["exit 3"]})
        for options in ((), ("--dry-run",), ("--force",)):
            result = door.ctl("switch", "green", "--before", self.note("too late"), *options)
            self.assertEqual((result.returncode, result.stdout), (1, ""), result.stderr)
            self.assertIn("exit code 3", result.stderr)
        self.assertEqual((self.traced(), door.status()["generation"]), ([], 0))

    def test_one_that_fails_afterwards_rolls_back(self) -> None:
        door = self.door(checks={"after": [self.note("in force"), "exit 7"]})
        client = self.open_session(door.address(), "blue")
        result = door.ctl("switch", "green", "--json")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(json.loads(result.stdout)["active"], "blue")
        self.assertIn("exit code 7", result.stderr)
        there, back = door.history()
        self.assertEqual((there["to"], back["to"], back["automatic"]), ("green", "blue", False))
        self.assertIn("after-check failed: exit 7: exit code 7", back["reason"])
        self.assertTrue(harness.says_back(client), "nobody was cut")
        self.assertEqual(self.traced(), ["in force"])

    def test_they_end_with_bgproxyctl(self) -> None:
        door = self.door()
        for number, code in ((signal.SIGINT, -signal.SIGINT), (signal.SIGKILL, -signal.SIGKILL)):
            with contextlib.suppress(FileNotFoundError):
                self.trace.unlink()
            process = door.start_ctl(
                "switch", "green", "--before", f"sleep 1000 & echo $! >{self.trace}.part; mv {self.trace}.part {self.trace}; wait")
            wait_until(self.trace.exists, "the check runs")
            process.send_signal(number)
            self.assertEqual(process.wait(harness.PATIENCE), code)
            process.communicate()
            child = Path(f"/proc/{self.trace.read_text().strip()}")
            wait_until(lambda: not child.exists() or "\nState:\tZ" in (child / "status").read_text(), "its child has ended")
        self.assertEqual(door.status()["generation"], 0)

    def test_a_ramp_needs_somebody_who_waits_for_the_checks_after_it(self) -> None:
        door = self.door(checks={"after": [self.note("after")]})
        result = door.ctl("switch", "green", "--ramp", "10%:200ms")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(door.status()["phase"], "steady")
        result = door.ctl("switch", "green", "--ramp", "10%:200ms,50%:200ms", "--wait")
        self.assertEqual((result.returncode, self.traced()), (0, ["after"]), result.stderr)
        self.assertIn("ramping green", result.stderr)

    def test_the_commands_of_another_users_front_door_are_not_run(self) -> None:
        harness.need_root()
        harness.need("setpriv")
        # The binaries may be where only root can go.
        folder = Path(self.folder())
        for program in (harness.BGPROXY, harness.BGPROXYCTL):
            shutil.copy(program, folder)
            os.chmod(folder / Path(program).name, 0o755)
        os.chown(folder, NOBODY, NOBODY)
        blue, green = self.colors()
        door = FrontDoor(
            blue.address, green.address, folder=folder, start=False, checks={"before": [f"touch {folder}/ran"]})
        setpriv = [harness.find_program("setpriv"), "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
        door.command = lambda: [*setpriv, str(folder / "bgproxy"), "--config", str(door.config_file)]
        self.enter(door)
        door.start()
        result = door.ctl("switch", "green")
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn(f"uid {NOBODY}", result.stderr)
        self.assertIn("uid 0", result.stderr)
        self.assertEqual(((folder / "ran").exists(), door.status()["generation"]), (False, 0))
        own = subprocess.run([*setpriv, folder / "bgproxyctl", "--socket", door.admin_path, "switch", "green"],
                             capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual((own.returncode, (folder / "ran").exists()), (0, True), own.stderr)


class Waiting(CheckCase):
    def test_0_a_bake_that_passes(self) -> None:
        door = self.door()
        result = door.ctl("switch", "green", "--bake", "1500ms", "--wait")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("passed", result.stdout)
        self.assertIn("baking green", result.stderr)
        self.assertEqual(door.status()["active"], "green")

    def test_1_an_operator_takes_it_back(self) -> None:
        door = self.door()
        for options, to in ((("--bake", "60s"), "green"), (("--ramp", "10%:60s"), "green")):
            process = door.start_ctl("switch", to, "--wait", *options)
            wait_until(lambda: door.status()["phase"] in ("baking", "ramping"), "the release has begun")
            self.assertEqual(door.ctl("rollback").returncode, 0)
            output, errors = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 1, output + errors)
            self.assertIn("rolled back", output)
            self.assertIn(f"uid {os.getuid()}", errors)

    def test_5_a_release_that_fails(self) -> None:
        door = self.door()
        process = door.start_ctl("switch", "green", "--wait", "--bake", "60s")
        wait_until(lambda: door.status()["phase"] == "baking", "the bake has begun")
        self.green.close()
        while process.poll() is None:
            with contextlib.suppress(OSError):
                color_of(door.address(), 2)
        output, errors = process.communicate()
        self.assertEqual(process.returncode, 5, output + errors)
        cause = door.history()[-1]["cause"]
        self.assertIn(cause["signal"], output)
        self.assertIn(cause["signal"], errors)
        self.assertEqual(door.status()["active"], "blue")

    def test_a_front_door_that_is_killed_comes_back_into_its_bake(self) -> None:
        door = self.door()
        process = door.start_ctl("switch", "green", "--bake", "4s", "--wait")
        # It has had its answer: a front door that is killed before that leaves its operator without one.
        self.assertIn("baking green", process.stderr.readline())
        door.kill()
        self.assertIn("trial", json.loads(door.state_file.read_text()), "in its bake")
        door.start()
        output, errors = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, output + errors)
        self.assertIn("passed", output)

"""The state on a disk that is full or read-only, and what the way back does then. Needs root, for a small tmpfs."""

from __future__ import annotations

import json
import os
import subprocess
import unittest
from pathlib import Path

import harness
from harness import Case, FrontDoor, color_of, says_back, wait_until


class SmallDisk:
    """A tmpfs of its own that can be filled, emptied, and made read-only."""

    def __init__(self, folder: Path):
        harness.need_root()
        harness.need("mount", "umount")
        self.path = folder
        self.path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=755", "bgproxy-e2e", str(self.path)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            raise unittest.SkipTest("mounting a tmpfs is not allowed here")

    def __enter__(self) -> SmallDisk:
        return self

    def __exit__(self, *_: object) -> None:
        # The view that forbids, if it is still there, and the disk.
        for _ in range(2):
            if os.path.ismount(self.path):
                subprocess.run(["umount", "--lazy", str(self.path)], check=False)

    def fill(self) -> None:
        with open(self.path / "filler", "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass

    def empty(self) -> None:
        (self.path / "filler").unlink()

    def forbid(self) -> None:
        """Read-only from here on, for whoever opens a file: a second view of the folder lies over the first."""
        subprocess.run(["mount", "--bind", str(self.path), str(self.path)], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(self.path)], check=True, capture_output=True)

    def allow(self) -> None:
        subprocess.run(["umount", str(self.path)], check=True, capture_output=True)


class Disk(Case):
    def start(self) -> tuple[FrontDoor, SmallDisk]:
        folder = self.folder()
        disk = self.enter(SmallDisk(folder / "state"))
        blue, green = self.colors()
        return self.front_door(blue.address, green.address, folder=folder), disk

    def check_refused(self, door: FrontDoor, to: str, active: str) -> None:
        """Nothing of a refused switch shows: not in traffic, not in status, not in the history, not on disk."""
        before = door.status()
        session = self.open_session(door.address(), active)
        status, answer = door.admin("POST", "/v1/switch", {"to": to})
        self.assertEqual(status, 409, answer)
        self.assertTrue(answer["error"]["code"])
        self.assertIn("state", answer["error"]["message"])
        result = door.ctl("switch", to)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertTrue(result.stderr.strip())
        after = door.status()
        for key in ("active", "previous", "generation", "switchedAt", "phase", "lastSwitch"):
            self.assertEqual(after[key], before[key], key)
        self.assertTrue(says_back(session))
        self.assertEqual(color_of(door.address()), active)

    def test_full_disk_refuses_the_switch_and_nothing_changes(self) -> None:
        door, disk = self.start()
        disk.fill()
        self.check_refused(door, "green", "blue")
        disk.empty()
        self.assertEqual(door.switch("green")["active"], "green")
        self.assertTrue(door.receipt()["persisted"])
        # The refused switch does not come true with a restart either.
        self.assertEqual(door.rollback()["active"], "blue")

    def test_read_only_disk_refuses_the_switch_and_nothing_changes(self) -> None:
        door, disk = self.start()
        disk.forbid()
        self.check_refused(door, "green", "blue")
        disk.allow()
        self.assertEqual(door.switch("green")["active"], "green")

    def test_a_refused_switch_does_not_come_true_with_a_restart(self) -> None:
        door, disk = self.start()
        door.switch("green")
        disk.fill()
        self.check_refused(door, "blue", "green")
        door.kill()
        disk.empty()
        door.start()
        self.assertEqual(door.status()["active"], "green")

    def rollback_unpersisted(self, break_disk: str, mend_disk: str) -> None:
        door, disk = self.start()
        door.switch("green")
        session = self.open_session(door.address(), "green")
        disk.fill() if break_disk == "fill" else disk.forbid()
        status = door.rollback(reason="the release is bad")
        self.assertEqual((status["active"], status["lastSwitch"]["persisted"]), ("blue", False))
        self.assertEqual(color_of(door.address()), "blue")
        self.assertTrue(says_back(session), "drains, as after any switch")
        door.wait_line(lambda line: " error " in line, what="the log complains")
        self.assertEqual(json.loads(door.state_file.read_text())["active"], "green")
        disk.empty() if mend_disk == "empty" else disk.allow()
        wait_until(lambda: json.loads(door.state_file.read_text())["active"] == "blue", "the write is tried again")
        wait_until(lambda: door.receipt()["persisted"], "the receipt says so")
        door.kill()
        door.start()
        status = door.status()
        self.assertEqual((status["active"], status["previous"]), ("blue", None))
        self.assertEqual([receipt["generation"] for receipt in door.history()], [1, 2])

    def test_full_disk_does_not_pin_a_bad_release(self) -> None:
        self.rollback_unpersisted("fill", "empty")

    def test_read_only_disk_does_not_pin_a_bad_release(self) -> None:
        self.rollback_unpersisted("ro", "rw")

    def test_unwritable_folder_refuses_the_start_by_name(self) -> None:
        folder = self.folder()
        disk = self.enter(SmallDisk(folder / "state"))
        disk.forbid()
        blue, green = self.colors()
        with FrontDoor(blue.address, green.address, folder=folder, start=False) as door:
            result = harness.bgproxy("--config", str(door.config_file))
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn(str(door.state_file.parent), result.stderr)

    def test_a_folder_that_does_not_exist_is_made(self) -> None:
        blue, green = self.colors()
        folder = self.folder()
        path = folder / "some" / "where" / "else" / "state.json"
        door = self.front_door(blue.address, green.address, folder=folder, stateFile=str(path))
        door.switch("green")
        self.assertEqual(json.loads(path.read_text())["active"], "green")
        self.assertEqual(os.stat(path).st_mode & 0o022, 0, "others cannot write the state")

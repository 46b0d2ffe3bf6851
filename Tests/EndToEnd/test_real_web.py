"""Real input: two web servers, curl and wrk, across a switch."""

from __future__ import annotations

import hashlib
import random
import subprocess

import harness
from harness import FrontDoor, Program, Task, wait_until
from web import WebCase


class Web(WebCase):
    def setUp(self) -> None:
        super().setUp()
        harness.need("curl")

    def curl_loop(self, blue: Program, green: Program) -> None:
        """curl after curl across a switch and back: no request fails, and the colors never mix."""
        door = self.front_door(blue.address, green.address, preview="127.0.0.1:0")
        stop = self.place / "stop"
        script = 'until [ -e "$1" ]; do curl -sS --fail --max-time 20 "http://$0/" || echo failed; done'
        process = subprocess.Popen(["bash", "-c", script, door.address(), str(stop)], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        try:
            wait_until(lambda: door.status()["colors"]["blue"]["accepted"] >= 40, "blue has served some")
            preview = subprocess.run(["curl", "-sS", f"http://{door.preview()}/"], capture_output=True, text=True,
                                     check=True)
            self.assertEqual(preview.stdout, "App v2\n", "before the release goes live")
            self.assertEqual(door.ctl("switch", "green", "--reason", "v2").returncode, 0)
            wait_until(lambda: door.status()["colors"]["green"]["accepted"] > 40, "green has served some")
            stop.touch()
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        self.assertRegex(output, r"\A(App v1\n){40,}(App v2\n){40,}\Z")

    def test_curl_loop_across_a_switch_between_two_nginx(self) -> None:
        self.curl_loop(self.nginx("blue", "App v1\n"), self.nginx("green", "App v2\n"))

    def test_curl_loop_across_a_switch_from_nginx_to_apache(self) -> None:
        self.curl_loop(self.nginx("blue", "App v1\n"), self.apache("green", "App v2\n"))

    def test_large_file_through_curl_across_a_switch_has_the_right_hash(self) -> None:
        blue, green = self.nginx("blue", "App v1\n"), self.nginx("green", "App v2\n")
        size = harness.scaled(200, 1024) * harness.MIB
        data = random.Random(1).randbytes(harness.MIB)
        digest = hashlib.sha256()
        with open(self.place / "blue" / "large", "wb") as file:
            for number in range(size // len(data)):
                block = number.to_bytes(8, "big") + data[8:]
                file.write(block)
                digest.update(block)
        door = self.front_door(blue.address, green.address, drain={"timeout": "5m", "spread": "10s"})
        # Into a pipe that is read only so far: the switch comes in the midst of it.
        process = subprocess.Popen(["curl", "-sS", "--fail", f"http://{door.address()}/large"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        received = hashlib.sha256()
        try:
            begun = process.stdout.read(20 * harness.MIB)
            received.update(begun)
            answer = Task(door.ctl, "switch", "green", "--wait", "--drain", "5m")
            wait_until(lambda: door.status()["active"] == "green", "the switch is made")
            self.assertIsNone(process.poll(), "in its midst")
            count = len(begun)
            while block := process.stdout.read(harness.MIB):
                received.update(block)
                count += len(block)
            _, errors = process.communicate(timeout=100)
            self.assertEqual((process.returncode, errors), (0, b""))
            self.assertEqual(answer.result().returncode, 0, "the drain ended with the transfer")
        finally:
            process.kill()
            process.wait()
        self.assertEqual((count, received.hexdigest()), (size, digest.hexdigest()))

    # wrk

    def test_wrk_with_a_session_a_request_across_many_switches_has_no_error(self) -> None:
        harness.need("wrk")
        blue, green = self.nginx("blue", "App v1\n"), self.nginx("green", "App v2\n")
        door = self.front_door(blue.address, green.address, drain={"timeout": "1m", "spread": "0s"})
        process = self.wrk_until_told(door.address(), "-H", "Connection: close")
        self.wait_more(door, "blue", "accepted", 100)
        for turn in range(60):
            color = ("green", "blue")[turn % 2]
            door.switch(color)
            self.wait_more(door, color, "accepted", 20)
        requests, errors = self.end_wrk(process)
        self.assertEqual(sum(errors.values()), 0, f"{errors} of {requests}")
        self.assertGreater(requests, 1000)
        colors = door.status()["colors"]
        self.assertEqual(colors["blue"]["connectFailures"] + colors["green"]["connectFailures"], 0)

    def wait_more(self, door: FrontDoor, color: str, counter: str, count: int) -> None:
        """So many more than now."""
        before = door.status()["colors"][color][counter]
        wait_until(lambda: door.status()["colors"][color][counter] >= before + count, f"{color}: {count} more {counter}")

    def test_wrk_with_keep_alive_across_switches_within_the_drain_has_no_error(self) -> None:
        harness.need("wrk")
        blue, green = self.nginx("blue", "App v1\n"), self.nginx("green", "App v2\n")
        door = self.front_door(blue.address, green.address, drain={"timeout": "5m", "spread": "0s"})
        process = self.wrk_until_told(door.address())
        door.wait_sessions(64)
        for turn in range(9):
            door.switch(("green", "blue")[turn % 2])
            self.wait_more(door, "blue", "bytesOut", 300_000)
        self.assertEqual(door.sessions("blue"), 64, "sessions stay where they began")
        requests, errors = self.end_wrk(process)
        self.assertEqual(sum(errors.values()), 0, f"{errors} of {requests}")
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["ended"]), (64, 64))

    def test_wrk_with_keep_alive_across_a_short_drain_sees_just_what_the_receipt_says(self) -> None:
        """Sessions that are still busy at the deadline are reset: each is one error of wrk's, and counted here."""
        harness.need("wrk")
        blue, green = self.nginx("blue", "App v1\n"), self.nginx("green", "App v2\n")
        door = self.front_door(blue.address, green.address, drain={"timeout": "2s", "spread": "1s"})
        process = self.wrk_until_told(door.address())
        door.wait_sessions(64)
        self.wait_more(door, "blue", "bytesOut", 300_000)
        door.switch("green")
        receipt = door.settled()
        door.wait_sessions(64, "green")
        self.wait_more(door, "green", "bytesOut", 300_000)
        requests, errors = self.end_wrk(process)
        self.assertEqual(receipt["open"], 64)
        self.assertEqual(receipt["cut"] + receipt["spread"] + receipt["ended"], 64)
        self.assertEqual((errors["connect"], errors["timeout"], errors["status"]), (0, 0, 0), errors)
        self.assertLessEqual(errors["read"] + errors["write"], 64, "no session but those of the receipt")
        self.assertGreater(requests, 1000)

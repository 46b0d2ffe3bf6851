"""A release on trial with real programs: nginx as the colors, wrk and h2load as the clients. What befalls the new color takes
it back, and nothing fails that did not have to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time

import harness
from harness import FrontDoor, Program, check_receipt, wait_until
from web import WebCase

QUICK = {"interval": "200ms", "timeout": "1s", "rise": 2, "fall": 2}
BAKE = {"minimumClients": 1, "minimumSamples": 20, "firstByte": "off"}
"""On a busy machine any answer may be late: only the tests of that look at it."""

LATE = BAKE | {"firstByte": "5000%"}
DIED = ("health", "connectFailures", "resets")
"""What tells of a color that was killed: its targets' health, or the clients that notice a moment earlier."""


class RealRelease(WebCase):
    def setUp(self) -> None:
        super().setUp()
        harness.need("nginx", "wrk")

    def nginx_that(self, *directives: str) -> Program:
        """nginx whose answer to everything is what the directives say."""
        port = harness.free_port()
        folder = self.place / f"odd-{port}"
        folder.mkdir()
        (folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
            f"events {{ worker_connections 4096; }}\nhttp {{ access_log off; keepalive_requests 1000000;\n"
            f"server {{ listen 127.0.0.1:{port}; {' '.join(directives)} }} }}\n")
        return self.enter(Program(folder, "nginx", [
            harness.find_program("nginx"), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"],
            f"127.0.0.1:{port}"))

    def door_between(self, blue: Program, green: Program, bake: dict = BAKE, **health: object) -> FrontDoor:
        door = self.http_door(blue, green, health=QUICK | health, bake=bake, drain={"timeout": "5s", "spread": "1s"},
                              timeouts={"connect": "20s"})
        wait_until(lambda: door.status()["colors"]["green"]["healthy"], "green is healthy")
        return door

    def taken_back(self, door: FrontDoor) -> dict:
        wait_until(lambda: (door.status()["lastSwitch"] or {}).get("automatic"), "the release is taken back", 40)
        self.assertEqual(door.status()["active"], "blue")
        return check_receipt(door.receipt())

    def under_load(self, door: FrontDoor, befall: object = None) -> tuple[dict, dict[str, int]]:
        """Switches to green under wrk and has something befall it; the receipt of the way back, and wrk's errors."""
        process = self.wrk_until_told(door.address())
        self.wait_requests(door, "blue", 500)
        door.switch("green", bake="10m")
        if befall:
            self.wait_requests(door, "green", 500)
            befall()
        receipt = self.taken_back(door)
        served = door.status()["colors"]["blue"]["requests"]
        self.wait_requests(door, "blue", served + 500)
        return receipt, self.end_wrk(process)[1]

    def kill(self, program: Program) -> None:
        """The master and its worker, at once."""
        children = subprocess.run(["pgrep", "-P", str(program.process.pid)], capture_output=True, text=True,
                                  check=False).stdout.split()
        for pid in [program.process.pid, *map(int, children)]:
            os.kill(pid, signal.SIGKILL)

    def freeze(self, program: Program) -> None:
        children = subprocess.run(["pgrep", "-P", str(program.process.pid)], capture_output=True, text=True,
                                  check=True).stdout.split()
        for pid in map(int, children):
            os.kill(pid, signal.SIGSTOP)
            self._stack.callback(self.thaw, pid)

    def thaw(self, pid: int) -> None:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def test_killed_under_wrk_it_is_taken_back_and_only_what_it_was_doing_is_lost(self) -> None:
        green = self.nginx("green", "App v2\n")
        door = self.door_between(self.nginx("blue", "App v1\n"), green)
        receipt, errors = self.under_load(door, lambda: self.kill(green))
        self.assertIn(receipt["cause"]["signal"], DIED)
        # What was in nginx's hands when it was killed, one for each connection at most.
        self.assertLessEqual(sum(errors.values()), 64, errors)
        self.assertEqual(errors["status"], 0, "no client was told that the release is dead")

    def test_stopped_in_order_it_is_taken_back_and_no_request_fails(self) -> None:
        green = self.nginx("green", "App v2\n")
        door = self.door_between(self.nginx("blue", "App v1\n"), green)
        receipt, errors = self.under_load(door, lambda: os.kill(green.process.pid, signal.SIGQUIT))
        self.assertIn(receipt["cause"]["signal"], DIED)
        self.assertEqual(sum(errors.values()), 0, errors)

    def test_frozen_it_is_taken_back_for_its_first_bytes(self) -> None:
        green = self.nginx("green", "App v2\n")
        door = self.door_between(self.nginx("blue", "App v1\n"), green, bake=LATE)
        process = self.wrk_until_told(door.address())
        self.wait_requests(door, "blue", 500)
        door.switch("green", bake="10m")
        self.wait_requests(door, "green", 500)
        self.freeze(green)
        self.assertEqual(self.taken_back(door)["cause"]["signal"], "firstByte")
        # New clients are served at once; those who wait for an answer of the frozen one, when its drain has ended.
        self.assertEqual(self.asker(door.address()).get(), "App v1\n")
        served = door.status()["colors"]["blue"]["requests"]
        self.wait_requests(door, "blue", served + 500)
        _, errors = self.end_wrk(process)
        self.assertLessEqual(sum(errors.values()), 64, errors)

    def test_frozen_without_traffic_it_is_taken_back_for_its_probes(self) -> None:
        green = self.nginx("green", "App v2\n")
        door = self.door_between(self.nginx("blue", "App v1\n"), green, http={"path": "/"})
        door.switch("green", bake="1m")
        self.freeze(green)
        receipt = self.taken_back(door)
        self.assertEqual(receipt["cause"]["signal"], "health")

    def test_answering_with_errors_it_is_taken_back(self) -> None:
        door = self.door_between(self.nginx("blue", "App v1\n"), self.nginx_that("return 500;"))
        receipt, errors = self.under_load(door)
        self.assertEqual(receipt["cause"]["signal"], "serverErrors")
        self.assertEqual(errors | {"status": 0}, dict.fromkeys(errors, 0))

    def test_closing_without_an_answer_it_is_taken_back(self) -> None:
        door = self.door_between(self.nginx("blue", "App v1\n"), self.nginx_that("return 444;"))
        self.assertEqual(self.under_load(door)[0]["cause"]["signal"], "resets")

    def test_slow_it_is_taken_back(self) -> None:
        """The new release asks a database that takes its time: here, nginx before a server that answers late."""
        slow = self.enter(harness.Backend(self.answer_late))
        green = self.nginx_that(f"location / {{ proxy_pass http://{slow.address}; }}")
        door = self.door_between(self.nginx("blue", "App v1\n"), green, bake=LATE)
        self.assertEqual(self.under_load(door)[0]["cause"]["signal"], "firstByte")

    @staticmethod
    def answer_late(sock: object) -> None:
        """Later than fifty times what is usual on a busy machine."""
        while sock.recv(4096):
            time.sleep(15)
            sock.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            return

    def test_the_books_of_a_way_back_equal_the_clients_own(self) -> None:
        """h2load has 64 connections open through it all and counts what became of its requests."""
        harness.need("h2load")
        green = self.nginx("green", "App v2\n")
        door = self.door_between(self.nginx("blue", "App v1\n"), green)
        # So many requests, and not for so long: at the beginning and the end of a time it counts none. At this pace they
        # take it eight seconds at least.
        process = subprocess.Popen(["h2load", "--h1", "-c64", "-t2", "-n10240", "--rps=20", f"http://{door.address()}/"],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            self.wait_requests(door, "blue", 500)
            door.switch("green", bake="1m")
            self.wait_requests(door, "green", 500)
            os.kill(green.process.pid, signal.SIGQUIT)
            receipt = self.taken_back(door)
            output, _ = process.communicate(timeout=90)
        finally:
            process.kill()
            process.wait()
        done = re.search(r"(\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", output)
        self.assertIsNotNone(done, output)
        self.assertEqual(done.groups(), ("10240", "10240", "10240", "0", "0"), output)
        # One that was sent again is counted for the color that it was for.
        self.assertEqual(sum(color["requests"] for color in door.status()["colors"].values()), 10240, output)
        self.assertEqual((receipt["cut"], receipt["spread"]), (0, 0))
        self.assertLessEqual(receipt["open"], 64)

    def test_killed_at_random_moments_the_front_door_comes_back_into_its_bake(self) -> None:
        green = self.nginx("green", "App v2\n")
        door = self.door_between(self.nginx("blue", "App v1\n"), green)
        door.switch("green", bake="10m")
        for _ in range(harness.scaled(3, 30)):
            process = self.wrk_until_told(door.address())
            self.wait_requests(door, "green", 100)
            door.kill()
            self.end_wrk(process)
            door.start()
            self.assertEqual(door.status()["phase"], "baking")
        self.kill(green)
        self.assertIn(self.taken_back(door)["cause"]["signal"], DIED)

"""Protocol http with real programs: Apache, nginx and Python's http.server as the colors; curl, Python's pools, h2load,
Chromium and WebSockets as clients. None of them notices a switch."""

from __future__ import annotations

import random
import re
import subprocess
import time
from pathlib import Path

import harness
from harness import FrontDoor, Task, wait_until
from web import WebCase, sha256

V1, V2 = "App v1\n", "App v2\n"
KIB = 1 << 10


class Curl(WebCase):
    """Many requests on one connection of curl's, across a switch."""

    def setUp(self) -> None:
        super().setUp()
        harness.need("curl")

    def curl(self, *transfers: list[str]) -> subprocess.Popen[str]:
        """Transfers one after another; a line for each: status, local port, connections that it made."""
        command = ["curl"]
        for number, transfer in enumerate(transfers):
            line = "%{http_code} %{local_port} %{num_connects}\\n"
            command += (["--next"] if number else []) + ["-sS", "--fail", "--max-time", "30", "-w", line, *transfer]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def on_one_connection(self, process: subprocess.Popen[str], status: str | None = None) -> None:
        try:
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        self.assertEqual((process.returncode, errors), (0, ""), output)
        lines = [line.split() for line in output.splitlines()]
        self.assertEqual([line[2] for line in lines], ["1"] + ["0"] * (len(lines) - 1), "one connection for all")
        self.assertEqual(len({line[1] for line in lines}), 1)
        if status:
            self.assertEqual({line[0] for line in lines}, {status})

    def wait_requests(self, door: FrontDoor, color: str, count: int) -> None:
        wait_until(lambda: door.status()["colors"][color]["requests"] >= count, f"{color} has had {count} requests")

    def download(self, blue: object, green: object) -> None:
        for color in ("blue", "green"):
            self.random_file(color, "data", 256 * KIB)
        door = self.http_door(blue, green)
        files = [self.place / f"copy{number}" for number in range(24)]
        # So slow that the switch happens in its midst.
        process = self.curl(*(["--rate", "20/s", "-o", str(file), f"http://{door.address()}/data"] for file in files))
        self.wait_requests(door, "blue", 5)
        self.assertEqual(door.switch("green")["active"], "green")
        self.on_one_connection(process, "200")
        self.assertOneChange([self.color_of_body(file.read_bytes()) for file in files])
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["moved"]), (1, 1))
        colors = door.status()["colors"]
        self.assertEqual(colors["blue"]["requests"] + colors["green"]["requests"], len(files))

    def test_curl_keeps_its_one_connection_across_a_switch_from_nginx_to_apache(self) -> None:
        self.download(self.nginx("blue", V1), self.apache("green", V2))

    def test_curl_keeps_its_one_connection_across_a_switch_from_apache_to_python(self) -> None:
        self.download(self.apache("blue", V1), self.python("green", V2))

    def test_curl_keeps_its_one_connection_across_a_switch_from_python_to_nginx(self) -> None:
        self.download(self.python("blue", V1), self.nginx("green", V2))

    def test_an_answer_that_runs_at_the_switch_is_finished_and_the_connection_goes_on_with_the_new_color(self) -> None:
        blue, green = self.nginx("blue", V1), self.apache("green", V2)
        for color in ("blue", "green"):
            self.random_file(color, "large", 64 * harness.MIB)
        door = self.http_door(blue, green)
        files = [self.place / f"copy{number}" for number in range(3)]
        process = self.curl(["--limit-rate", "30M", "-o", str(files[0]), f"http://{door.address()}/large"],
                            *(["-o", str(file), f"http://{door.address()}/"] for file in files[1:]))
        wait_until(lambda: door.status()["colors"]["blue"]["bytesOut"] > 8 * harness.MIB, "the answer runs")
        self.assertEqual(door.switch("green")["active"], "green")
        self.assertEqual(door.sessions("blue"), 1, "in its midst")
        self.on_one_connection(process, "200")
        self.assertEqual([self.color_of_body(file.read_bytes()) for file in files], ["blue", "green", "green"])
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["moved"]), (1, 1))

    def upload(self, blue: object, green: object, *options: str) -> None:
        """Each file arrives whole at one color; the one that is under way at the switch, at the old one."""
        door = self.http_door(blue, green)
        sources = [self.place / f"source{number}" for number in range(12)]
        for number, source in enumerate(sources):
            source.write_bytes(random.Random(number).randbytes(256 * KIB + number))
        process = self.curl(*(
            [*options, "--limit-rate", "2M", "-T", str(source), "-o", str(self.place / f"answer{number}"),
             f"http://{door.address()}/put/{source.name}"] for number, source in enumerate(sources)))
        self.wait_requests(door, "blue", 4)
        self.assertEqual(door.switch("green")["active"], "green")
        self.on_one_connection(process)
        colors = []
        for source in sources:
            found = [color for color in ("blue", "green") if (self.place / color / "put" / source.name).exists()]
            self.assertEqual(len(found), 1, f"{source.name} is at {found}")
            self.assertEqual(sha256((self.place / found[0] / "put" / source.name).read_bytes()),
                             sha256(source.read_bytes()))
            colors += found
        self.assertOneChange(colors)
        self.assertEqual(door.settled()["moved"], 1)

    def test_uploads_that_expect_100_continue_arrive_whole_across_a_switch_from_apache_to_nginx(self) -> None:
        self.upload(self.apache("blue", V1), self.nginx("green", V2), "-H", "Expect: 100-continue")

    def test_uploads_that_expect_100_continue_arrive_whole_across_a_switch_from_nginx_to_apache(self) -> None:
        self.upload(self.nginx("blue", V1), self.apache("green", V2), "-H", "Expect: 100-continue")

    def test_chunked_uploads_arrive_whole_across_a_switch_from_apache_to_nginx(self) -> None:
        self.upload(self.apache("blue", V1), self.nginx("green", V2), "-H", "Transfer-Encoding: chunked", "-H",
                    "Expect:")

    def test_chunked_uploads_that_expect_100_continue_arrive_whole_across_a_switch_from_nginx_to_apache(self) -> None:
        self.upload(self.nginx("blue", V1), self.apache("green", V2), "-H", "Transfer-Encoding: chunked", "-H",
                    "Expect: 100-continue")

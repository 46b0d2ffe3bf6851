"""Protocol http with real programs: Apache, nginx and Python's http.server as the colors; curl, Python's pools, h2load,
Chromium and WebSockets as clients. None of them notices a switch."""

from __future__ import annotations

import base64
import collections
import contextlib
import hashlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import harness
from harness import Task, wait_until
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
            command += (["--next"] if number else []) + ["-sS", "--fail", "--max-time", "90", "-w", line, *transfer]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def pipe(self, name: str) -> Path:
        path = self.place / name
        os.mkfifo(path)
        return path

    def read_later(self, pipe: Path) -> tuple[Task, threading.Event]:
        """Reads what curl writes when the event is set: until then curl stands still in the midst of an answer."""
        go_on = threading.Event()

        def read() -> bytes:
            with pipe.open("rb") as stream:
                go_on.wait(60)
                return stream.read()

        return Task(read), go_on

    def write_later(self, pipe: Path, data: bytes) -> threading.Event:
        """Writes the first half, and when the event is set the other: until then curl stands still in an upload."""
        go_on = threading.Event()

        def write() -> None:
            with pipe.open("wb") as stream:
                stream.write(data[:len(data) // 2])
                stream.flush()
                go_on.wait(60)
                stream.write(data[len(data) // 2:])

        Task(write)
        return go_on

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

    def download(self, blue: object, green: object) -> None:
        for color in ("blue", "green"):
            self.random_file(color, "data", 256 * KIB)
        door = self.http_door(blue, green)
        files = [self.place / f"copy{number}" for number in range(24)]
        # In its midst it waits until the switch is made.
        waits = 8
        reader, go_on = self.read_later(self.pipe(files[waits].name))
        process = self.curl(*(["-o", str(file), f"http://{door.address()}/data"] for file in files))
        self.wait_requests(door, "blue", waits + 1)
        self.assertEqual(door.switch("green")["active"], "green")
        go_on.set()
        self.on_one_connection(process, "200")
        bodies = [reader.result() if number == waits else file.read_bytes() for number, file in enumerate(files)]
        self.assertEqual([self.color_of_body(body) for body in bodies],
                         ["blue"] * (waits + 1) + ["green"] * (len(files) - waits - 1))
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["moved"]), (1, 1))
        self.assertEqual(self.requests(door), len(files))

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
        reader, go_on = self.read_later(self.pipe(files[0].name))
        process = self.curl(["-o", str(files[0]), f"http://{door.address()}/large"],
                            *(["-o", str(file), f"http://{door.address()}/"] for file in files[1:]))
        wait_until(lambda: door.status()["colors"]["blue"]["bytesOut"] > 64 * KIB, "the answer runs")
        self.assertEqual(door.switch("green")["active"], "green")
        self.assertEqual(door.sessions("blue"), 1, "in its midst")
        go_on.set()
        self.on_one_connection(process, "200")
        bodies = [reader.result(), *(file.read_bytes() for file in files[1:])]
        self.assertEqual([self.color_of_body(body) for body in bodies], ["blue", "green", "green"])
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["moved"]), (1, 1))

    def upload(self, blue: object, green: object, *options: str) -> None:
        """Each file arrives whole at one color; the one that is under way at the switch, at the old one."""
        door = self.http_door(blue, green)
        sources = [self.place / f"source{number}" for number in range(12)]
        bodies = [random.Random(number).randbytes(256 * KIB + number) for number in range(len(sources))]
        # In its midst it waits until the switch is made. A pipe tells no length.
        waits = 5
        length = [] if "Transfer-Encoding: chunked" in options else [
            "-H", "Transfer-Encoding:", "-H", f"Content-Length: {len(bodies[waits])}"]
        for number, source in enumerate(sources):
            if number != waits:
                source.write_bytes(bodies[number])
        go_on = self.write_later(self.pipe(sources[waits].name), bodies[waits])
        process = self.curl(*(
            [*options, *(length if number == waits else []), "-T", str(source), "-o",
             str(self.place / f"answer{number}"), f"http://{door.address()}/put/{source.name}"]
            for number, source in enumerate(sources)))
        self.wait_requests(door, "blue", waits + 1)
        self.assertEqual(door.switch("green")["active"], "green")
        go_on.set()
        self.on_one_connection(process)
        colors = []
        for body, source in zip(bodies, sources):
            found = [color for color in ("blue", "green") if (self.place / color / "put" / source.name).exists()]
            self.assertEqual(len(found), 1, f"{source.name} is at {found}")
            self.assertEqual(sha256((self.place / found[0] / "put" / source.name).read_bytes()), sha256(body))
            colors += found
        self.assertEqual(colors, ["blue"] * (waits + 1) + ["green"] * (len(sources) - waits - 1))
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


class Pools(WebCase):
    """Connection pools of Python's libraries: to them there was never but one server."""

    def pool(self, library: str) -> None:
        users = 6
        blue, green = self.python("blue", V1), self.python("green", V2)
        for color in ("blue", "green"):
            self.random_file(color, "data", 50 * KIB)
        door = self.http_door(blue, green)
        client = self.peer(library, door.address(), str(users), library=library)
        self.wait_requests(door, "blue", 50)
        changes = self.switch_around(door, harness.scaled(40, 400))
        told = client.finish()
        requests = [(began, ended, self.hashes.get(answer, answer), error)
                    for began, ended, answer, error in told["requests"]]
        self.assertEqual([request for request in requests if request[3]], [], f"of {len(requests)} requests")
        self.assertEqual(told["connections"], users, "none was opened anew")
        self.check_colors([request[:3] for request in requests], changes)
        colors = door.status()["colors"]
        self.assertEqual(self.requests(door), len(requests))
        served = [len(server.finish()["requests"]) for server in (blue, green)]
        self.assertEqual(served, [colors["blue"]["requests"], colors["green"]["requests"]])

    def test_a_pool_of_requests_never_opens_a_second_connection_across_many_switches(self) -> None:
        self.pool("requests")

    def test_a_pool_of_urllib3_never_opens_a_second_connection_across_many_switches(self) -> None:
        self.pool("urllib3")


class ShortKeepAlive(WebCase):
    """Apache that closes its idle connections soon: the client's matter only without a front door."""

    def test_a_client_that_pauses_longer_than_apache_keeps_a_connection_keeps_its_own(self) -> None:
        blue = self.apache("blue", V1, keep_alive="300ms")
        green = self.apache("green", V2, keep_alive="300ms")
        door = self.http_door(blue, green)
        with contextlib.closing(http.client.HTTPConnection(door.address(), timeout=harness.PATIENCE)) as client:
            ports = set()
            for turn in range(6):
                color, text = ("blue", V1) if turn < 3 else ("green", V2)
                if turn == 3:
                    door.switch("green")
                client.request("GET", "/")
                ports.add(client.sock.getsockname()[1])
                self.assertEqual(client.getresponse().read(), text.encode())
                wait_until(lambda: door.status()["parked"] == 1, "Apache has closed")
                self.assertEqual(door.sessions(color), 0)
            self.assertEqual(len(ports), 1, "one connection for all")
            colors = door.status()["colors"]
            self.assertEqual([colors[color]["idleCloses"] for color in ("blue", "green")], [3, 3])

    def test_requests_at_the_very_moment_that_apache_closes_all_get_their_answer(self) -> None:
        """Each client asks again just about when its backend gives up: some requests meet the close on their way."""
        blue = self.apache("blue", V1, keep_alive="50ms")
        green = self.apache("green", V2, keep_alive="50ms")
        door = self.http_door(blue, green)

        def ask(number: int) -> int:
            pace = random.Random(number)
            with contextlib.closing(http.client.HTTPConnection(door.address(), timeout=harness.PATIENCE)) as client:
                ports = set()
                while not stop.is_set():
                    client.request("GET", "/")
                    ports.add(client.sock.getsockname()[1])
                    answer = client.getresponse()
                    self.assertEqual((answer.status, answer.read() in (V1.encode(), V2.encode())), (200, True))
                    # The subject of this test is the time between two requests.
                    time.sleep(pace.uniform(0.045, 0.06))
                return len(ports)

        def idle_closes() -> int:
            return sum(color["idleCloses"] for color in door.status()["colors"].values())

        stop = threading.Event()
        clients = [Task(ask, number) for number in range(12)]
        try:
            for color in ("green", "blue", "green"):
                begun = self.requests(door)
                wait_until(lambda: self.requests(door) > begun + 200, "the clients ask")
                door.switch(color)
            wait_until(lambda: idle_closes() > 20, "Apache has closed")
        finally:
            stop.set()
        self.assertEqual({client.result() for client in clients}, {1}, "one connection each")


class Load(WebCase):
    """h2load in HTTP/1.1 mode, pipelining included."""

    def h2load(self, depth: int, green: Any) -> None:
        harness.need("h2load")
        blue = self.nginx("blue", V1)
        door = self.http_door(blue, green)
        clients, count = 32, harness.scaled(40000, 400000)
        switches = runs = 0

        def served_least() -> int:
            return min(color["requests"] for color in door.status()["colors"].values())

        # How many switches come into one run is the machine's matter.
        while switches <= 10 or served_least() <= 100:
            runs += 1
            process = subprocess.Popen(
                ["h2load", "--h1", "-t", "1", "-c", str(clients), "-m", str(depth), "-n", str(count),
                 f"http://{door.address()}/"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            try:
                self.wait_requests(door, "blue", 200)
                while process.poll() is None:
                    switches += 1
                    door.switch(("green", "blue")[switches % 2 == 0])
                output, _ = process.communicate(timeout=60)
            finally:
                process.kill()
                process.wait()
            requests = re.search(r"^requests: (.*)$", output, re.MULTILINE)
            self.assertIsNotNone(requests, output)
            self.assertEqual(requests[1], f"{count} total, {count} started, {count} done, {count} succeeded, 0 failed, "
                                          "0 errored, 0 timeout", f"{switches} switches\n{output}")
            self.assertRegex(output, rf"status codes: {count} 2xx, 0 3xx, 0 4xx, 0 5xx")
        self.assertEqual(self.requests(door), count * runs)

    def test_h2load_in_mode_h1_sees_no_error_across_back_to_back_switches(self) -> None:
        self.h2load(1, self.apache("green", V2))

    def test_h2load_that_pipelines_sees_no_error_across_back_to_back_switches(self) -> None:
        # Apache, when all of its workers are busy, ends connections with requests of a pipeline unanswered.
        self.h2load(8, self.nginx("green", V2))


class WebSockets(WebCase):
    def test_a_websocket_survives_a_switch_until_its_drain_deadline(self) -> None:
        servers = [self.peer("websocket-serve", color, library="websockets") for color in ("blue", "green")]
        door = self.http_door(*servers, drain={"timeout": "4s", "spread": "0s"})
        client = self.peer("websocket", door.address(), library="websockets")
        self.assertEqual(client.hello["color"], "blue")
        wait_until(lambda: door.status()["colors"]["blue"]["opaque"] == 1, "the session is opaque")
        [session] = door.get("/v1/sessions")["sessions"]
        self.assertEqual((session["state"], session["color"]), ("opaque", "blue"))
        switched = time.monotonic()
        door.switch("green")
        later = self.peer("websocket", door.address(), library="websockets")
        self.assertEqual(later.hello["color"], "green")
        told = json.loads(client.process.stdout.readline())
        self.assertNotBefore(told["at"] - switched, 4.0, "the drain deadline")
        self.assertGreater(told["last"], switched, "it has spoken after the switch")
        self.assertIn("ConnectionClosed", told["how"])
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["cut"], receipt["moved"]), (1, 1, 0))
        self.assertEqual(later.finish()["how"], "asked to")


class Browser(WebCase):
    """Chromium loads a page whose scripts and styles name their hashes, while the front door switches."""

    COUNT = 40

    def site(self, color: str) -> None:
        """Each script and style differs from color to color; the browser itself refuses one with another hash."""
        for number in range(self.COUNT):
            self.file(color, f"s{number}.js", f"loaded('{color}', {number}); // {'x' * 997 * number}\n".encode())
            self.file(color, f"c{number}.css", f".c{number} {{ color: {color} }} /* {'y' * 499 * number} */\n".encode())

    def page(self) -> str:
        def integrity(name: str) -> str:
            hashes = [hashlib.sha256((self.place / color / name).read_bytes()) for color in ("blue", "green")]
            return " ".join("sha256-" + base64.b64encode(value.digest()).decode() for value in hashes)

        lines = ["<!doctype html><title>page</title><script>",
                 "let colors = [], failed = [];",
                 "function loaded(color, number) { colors[number] = color; }",
                 "function broken(name) { failed.push(name); }",
                 "</script>"]
        for number in range(self.COUNT):
            # The second half of them waits for the switch, and with it the rest of the page: a browser has no more than
            # six requests to a server under way.
            query = "wait=0.01" if number < self.COUNT // 2 else "wait=0.01&until=go"
            for name, tag in ((f"c{number}.css", f'<link rel="stylesheet" href="c{number}.css?{query}"'),
                              (f"s{number}.js", f'<script src="s{number}.js?{query}"')):
                end = "></script>" if name.endswith("js") else ">"
                lines.append(f'{tag} integrity="{integrity(name)}" onerror="broken(\'{name}\')"{end}')
        lines.append("<pre id=result></pre><script>")
        lines.append("window.onload = () => { document.getElementById('result').textContent = "
                     "'colors=' + colors.join(',') + ' sheets=' + document.styleSheets.length "
                     "+ ' failed=' + failed.join(','); }</script>")
        return "\n".join(lines)

    def test_chromium_loads_a_page_of_many_resources_in_the_midst_of_a_switch(self) -> None:
        harness.need("chromium")
        blue, green = self.python("blue", V1), self.python("green", V2)
        self.site("blue")
        self.site("green")
        page = self.page().encode()
        for color in ("blue", "green"):
            (self.place / color / "page.html").write_bytes(page)
        door = self.http_door(blue, green)
        process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-extensions", "--no-proxy-server",
             f"--user-data-dir={self.place}/profile", "--dump-dom", f"http://{door.address()}/page.html"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        try:
            wait_until(lambda: door.status()["colors"]["blue"]["requests"] >= self.COUNT // 2, "the page loads",
                       timeout=60)
            door.switch("green")
            (self.place / "go").touch()
            output, errors = process.communicate(timeout=60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        result = re.search(r"colors=(\S*) sheets=(\d+) failed=(\S*)</pre>", output)
        self.assertIsNotNone(result, output[-2000:] + errors[-2000:])
        self.assertEqual(result[3], "", "what the browser did not get, or not whole")
        self.assertEqual(int(result[2]), self.COUNT)
        self.assertEqual(len(result[1].split(",")), self.COUNT)
        self.assertEqual(set(result[1].split(",")), {"blue", "green"})
        # A browser asks again, in silence, for what it has lost.
        paths = collections.Counter(path for server in (blue, green) for _, _, _, path in server.finish()["requests"])
        self.assertEqual({count for path, count in paths.items() if "wait" in path}, {1})
        self.assertEqual(sum("wait" in path for path in paths), 2 * self.COUNT)

"""Real web servers as the two colors, and real clients of them."""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import http.client
import random
import re
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any

import harness
from harness import Case, FrontDoor, Peer, Program, free_port, wait_until

WEB_PEERS = str(Path(__file__).resolve().parent / "web_peers.py")

NGINX = """
daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.error; worker_processes 1; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout {keep_alive}; default_type text/plain;
  client_max_body_size 0; client_body_temp_path {folder}/{name}.body; proxy_temp_path {folder}/{name}.proxy;
  fastcgi_temp_path {folder}/{name}.fastcgi; uwsgi_temp_path {folder}/{name}.uwsgi; scgi_temp_path {folder}/{name}.scgi;
  server {{
    listen 127.0.0.1:{port} backlog={backlog}; root {folder}/{name}; index index.html;
    location /put/ {{ dav_methods PUT; }}
  }}
}}
"""

APACHE = """
ServerRoot {folder}
PidFile {folder}/{name}.pid
ServerName localhost
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule dav_module {modules}/mod_dav.so
LoadModule dav_fs_module {modules}/mod_dav_fs.so
DavLockDB {folder}/{name}.locks/db
DirectoryIndex index.html
ErrorLog {folder}/{name}.error
DocumentRoot {folder}/{name}
KeepAliveTimeout {keep_alive}
MaxKeepAliveRequests 0
<Location /put/>
  Dav On
</Location>
{user}
"""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Client:
    """A keep-alive client of one connection; asks now and reads the answer later."""

    def __init__(self, address: str):
        self._connection = http.client.HTTPConnection(address, timeout=harness.PATIENCE)
        self._connection.connect()
        # Stays open after an answer that says `Connection: close`.
        self.socket = self._connection.sock.dup()
        # Else it would connect again, unseen, for the next request.
        self._connection.auto_open = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self.socket.close()

    def ask(self, path: str = "/") -> None:
        self._connection.request("GET", path)

    def answer(self) -> http.client.HTTPResponse:
        """The answer, whole; `text` is its body."""
        response = self._connection.getresponse()
        response.text = response.read().decode()
        return response

    def get(self, path: str = "/") -> str:
        """The body of an answer that is a success."""
        self.ask(path)
        response = self.answer()
        if response.status != 200:
            raise AssertionError(f"GET {path}: {response.status} {response.text}")
        return response.text


def python_with(module: str) -> str:
    """An interpreter that has this library: the one that runs the tests, or the system's; skips where none has."""
    for python in (sys.executable, "/usr/bin/python3"):
        if Path(python).exists() and not subprocess.run(
                [python, "-c", f"import {module}"], capture_output=True, check=False).returncode:
            return python
    raise unittest.SkipTest(f"no Python here has the library {module}")


class WebCase(Case):
    """Servers with `/index.html`, which says `App v1` or `App v2`, and files that differ from color to color."""

    def setUp(self) -> None:
        super().setUp()
        self.place = self.folder()
        self.place.chmod(0o755)
        self.hashes: dict[str, str] = {}
        """The color that a body with this hash came from."""

    # Servers

    def pages(self, name: str, text: str) -> None:
        (self.place / name).mkdir(mode=0o755)
        (self.place / name / "put").mkdir()
        (self.place / name / "put").chmod(0o777)
        self.file(name, "index.html", text.encode())

    def file(self, name: str, path: str, data: bytes) -> None:
        (self.place / name / path).write_bytes(data)
        self.hashes[sha256(data)] = name

    def random_file(self, name: str, path: str, size: int) -> None:
        self.file(name, path, random.Random(f"{name} {path}").randbytes(size))

    def nginx(self, name: str, text: str, keep_alive: str = "1h", backlog: int = 4096) -> Program:
        harness.need("nginx")
        self.pages(name, text)
        port = free_port()
        conf = self.place / f"{name}.conf"
        user = "user root;" if harness.is_root() else ""
        conf.write_text(NGINX.format(
            folder=self.place, name=name, port=port, user=user, keep_alive=keep_alive, backlog=backlog))
        command = [harness.find_program("nginx"), "-p", str(self.place), "-e", f"{self.place}/{name}.error", "-c",
                   str(conf)]
        return self.enter(Program(self.place, name, command, f"127.0.0.1:{port}"))

    def apache(self, name: str, text: str, keep_alive: str = "5") -> Program:
        folders = ("/usr/lib/apache2/modules", "/usr/lib/httpd/modules")
        modules = next((folder for folder in folders if Path(folder).is_dir()), None)
        program = harness.find_program("apache2") or harness.find_program("httpd")
        if program is None or modules is None:
            self.skipTest("apache2 is not installed")
        self.pages(name, text)
        port = free_port()
        conf = self.place / f"{name}.conf"
        # For the user that the server runs as.
        (self.place / f"{name}.locks").mkdir()
        (self.place / f"{name}.locks").chmod(0o777)
        user = "User nobody\nGroup nogroup" if harness.is_root() else ""
        conf.write_text(APACHE.format(
            folder=self.place, name=name, port=port, modules=modules, user=user, keep_alive=keep_alive))
        return self.enter(Program(self.place, name, [program, "-f", str(conf), "-DFOREGROUND"], f"127.0.0.1:{port}"))

    def python(self, name: str, text: str) -> Peer:
        """Python's http.server; it logs when each request began and ended."""
        self.pages(name, text)
        return self.peer("serve", name, str(self.place / name))

    def peer(self, *arguments: str, library: str | None = None) -> Peer:
        python = python_with(library) if library else sys.executable
        return self.enter(Peer(*arguments, program=WEB_PEERS, python=python))

    def asker(self, address: str) -> Client:
        return self.enter(Client(address))

    # wrk

    def wrk(self, address: str, seconds: int, *options: str) -> subprocess.Popen[str]:
        command = ["wrk", "-t2", "-c64", f"-d{seconds}s", "--timeout", "30s", *options, f"http://{address}/"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wrk_until_told(self, address: str, *options: str) -> subprocess.Popen[str]:
        """It goes on until `end_wrk`: how long it takes until a test has seen enough is the machine's affair."""
        process = self.wrk(address, 110, *options)
        self.enter(contextlib.closing(process.stdout))
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def end_wrk(self, process: subprocess.Popen[str]) -> tuple[int, dict[str, int]]:
        """Ends it, in order: what is under way at that moment is no error."""
        process.send_signal(signal.SIGINT)
        return self.wrk_result(process)

    def wrk_result(self, process: subprocess.Popen[str]) -> tuple[int, dict[str, int]]:
        """Requests, and errors by kind."""
        try:
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        requests = re.search(r"(\d+) requests in", output)
        self.assertIsNotNone(requests, output)
        errors = {kind: 0 for kind in ("connect", "read", "write", "timeout", "status")}
        if found := re.search(r"Socket errors: (.*)", output):
            errors |= {kind: int(count) for kind, count in re.findall(r"(\w+) (\d+)", found[1])}
        if found := re.search(r"Non-2xx or 3xx responses: (\d+)", output):
            errors["status"] = int(found[1])
        return int(requests[1]), errors

    # Front doors

    def http_door(self, blue: Any, green: Any, preview: str | None = None, **settings: Any) -> FrontDoor:
        main = {"name": "main", "bind": "127.0.0.1:0", "protocol": "http", "blue": [blue.address],
                "green": [green.address]}
        return self.front_door(listeners=[main | ({"preview": preview} if preview else {})], **settings)

    def wait_requests(self, door: FrontDoor, color: str, count: int) -> None:
        wait_until(lambda: door.status()["colors"][color]["requests"] >= count, f"{color} has had {count} requests")

    def requests(self, door: FrontDoor) -> int:
        return sum(color["requests"] for color in door.status()["colors"].values())

    def color_of_body(self, body: bytes) -> str:
        color = self.hashes.get(sha256(body))
        self.assertIsNotNone(color, f"{len(body)} bytes that no server has: {body[:80]!r}")
        return color

    def assertOneChange(self, colors: list[str]) -> None:
        """Some of blue, then some of green, and never back."""
        self.assertEqual(colors, sorted(colors), "blue first")
        self.assertEqual(set(colors), {"blue", "green"})

    def switch_around(self, door: FrontDoor, times: int) -> list[tuple[float, float, str]]:
        """Switches back and forth under load: when each was asked for and answered, and the color. Ends on green."""
        changes = []
        for turn in range(times | 1):
            color = ("green", "blue")[turn % 2]
            asked = time.monotonic()
            self.assertEqual(door.switch(color)["active"], color)
            changes.append((asked, time.monotonic(), color))
            # Of these, one for each client may have begun before the answer, and one may end after the next question.
            served = door.status()["colors"][color]["requests"]
            wait_until(lambda: door.status()["colors"][color]["requests"] >= served + 40, f"{color} serves")
        return changes

    def check_colors(self, requests: list[tuple[float, float, str]], changes: list[tuple[float, float, str]]) -> None:
        """Each request (began, ended, color) that began after one answer and ended before the next question is of the
        color of that answer."""
        answers = [answered for _, answered, _ in changes]
        checked = 0
        for began, ended, color in requests:
            index = bisect.bisect_left(answers, began) - 1
            until = changes[index + 1][0] if index + 1 < len(changes) else float("inf")
            # Others ran while a switch was made, and may rightly be of either color.
            if ended < until:
                self.assertEqual(color, changes[index][2] if index >= 0 else "blue", f"after switch {index + 1}")
                checked += 1
        self.assertGreater(checked, 10 * len(changes), "requests whose color is certain")

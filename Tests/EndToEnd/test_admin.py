"""The admin channel: who may use it, what it makes of bad input, and what it writes down. Scenarios 45 to 47."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time

import harness
from harness import Case, FrontDoor, Peer, Task, ask, color_of, connect, wait_until

NOBODY = 65534
STRANGER = 64321


def as_user(uid: int, gid: int, *command: str, groups: str = "", capabilities: str = "") -> subprocess.CompletedProcess:
    """Runs a command as another user."""
    how = ["--reuid", str(uid), "--regid", str(gid), f"--groups={groups}" if groups else "--clear-groups"]
    if capabilities:
        how += [f"--inh-caps=+{capabilities}", f"--ambient-caps=+{capabilities}"]
    return subprocess.run([harness.find_program("setpriv"), *how, *command], capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL, check=False)


ASK = """
import socket, sys
sock = socket.socket(socket.AF_UNIX); sock.settimeout(20)
try:
    sock.connect(sys.argv[1])
    sock.sendall(b"GET /v1/status HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    print(sock.recv(65536).split(b"\\r\\n")[0].decode())
except OSError as error:
    print(type(error).__name__)
"""


class Permissions(Case):
    def setUp(self) -> None:
        super().setUp()
        harness.need_root()
        harness.need("setpriv")

    def asked_by(self, door: FrontDoor, uid: int, gid: int, **how: str) -> str:
        result = as_user(uid, gid, sys.executable, "-c", ASK, door.admin_path, **how)
        return result.stdout.strip() or result.stderr

    def test_45_socket_and_folder_are_closed_to_others(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        self.assertEqual(stat.S_IMODE(os.stat(door.admin_path).st_mode) & ~0o660, 0)
        folder = os.stat(os.path.dirname(door.admin_path))
        self.assertEqual(folder.st_mode & 0o022, 0)

    def test_45_another_user_is_kept_out(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        self.assertEqual(self.asked_by(door, NOBODY, NOBODY), "PermissionError")
        self.assertEqual(self.asked_by(door, 0, 0), "HTTP/1.1 200 OK")

    def test_45_a_user_that_gets_past_the_files_mode_is_answered_403(self) -> None:
        """The mode is one lock, the kernel's word on who is there the other."""
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        answer = self.asked_by(door, STRANGER, STRANGER, capabilities="dac_override")
        self.assertTrue(answer.startswith("HTTP/1.1 403"), answer)
        os.chmod(door.admin_path, 0o666)
        answer = self.asked_by(door, NOBODY, NOBODY)
        self.assertTrue(answer.startswith("HTTP/1.1 403"), answer)
        script = ASK.replace("GET /v1/status", "POST /v1/switch")
        result = as_user(NOBODY, NOBODY, sys.executable, "-c", script, door.admin_path)
        self.assertTrue(result.stdout.startswith("HTTP/1.1 403"), result.stdout)
        self.assertEqual(door.status()["generation"], 0)

    def test_45_the_group_may_and_others_may_not(self) -> None:
        blue, green = self.colors()
        group = next(line.split(":") for line in open("/etc/group") if line.split(":")[2] == str(NOBODY))
        door = self.front_door(blue.address, green.address, admin={"group": group[0], "mode": "0660"})
        mode = os.stat(door.admin_path)
        self.assertEqual((stat.S_IMODE(mode.st_mode), mode.st_gid), (0o660, NOBODY))
        self.assertEqual(self.asked_by(door, STRANGER, NOBODY), "HTTP/1.1 200 OK")
        self.assertEqual(self.asked_by(door, STRANGER, STRANGER, groups=str(NOBODY)), "HTTP/1.1 200 OK")
        self.assertEqual(self.asked_by(door, STRANGER, STRANGER), "PermissionError")

    def test_45_the_receipt_names_the_user_who_asked(self) -> None:
        harness.need("curl")
        blue, green = self.colors()
        group = next(line.split(":") for line in open("/etc/group") if line.split(":")[2] == str(NOBODY))
        door = self.front_door(blue.address, green.address, admin={"group": group[0]})
        result = as_user(STRANGER, NOBODY, "curl", "-sS", "--fail-with-body", "--unix-socket", door.admin_path, "-d",
                         '{"to":"green"}', "http://bgproxy/v1/switch")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(door.receipt()["by"]["uid"], STRANGER)
        line = door.wait_line(lambda line: harness.event_of(line) == "switch", what="the switch is in the log")
        self.assertIn(f"uid={STRANGER}", line)

    def test_45_a_front_door_of_another_user_hears_that_user_and_root(self) -> None:
        # The binaries may be where only root can go.
        folder = self.folder()
        shutil.copy(harness.BGPROXY, folder / "bgproxy")
        os.chmod(folder / "bgproxy", 0o755)
        os.chown(folder, NOBODY, NOBODY)
        blue, green = self.colors()
        door = FrontDoor(blue.address, green.address, folder=folder, start=False)
        setpriv = (harness.find_program("setpriv"), "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
        door.command = lambda: [*setpriv, str(folder / "bgproxy"), "--config", str(door.config_file)]
        self.enter(door)
        door.start()
        self.assertEqual(self.asked_by(door, NOBODY, NOBODY), "HTTP/1.1 200 OK")
        self.assertEqual(self.asked_by(door, 0, 0), "HTTP/1.1 200 OK")
        answer = self.asked_by(door, STRANGER, STRANGER, capabilities="dac_override")
        self.assertTrue(answer.startswith("HTTP/1.1 403"), answer)

    def test_45_a_folder_that_others_can_write_is_refused(self) -> None:
        blue, green = self.colors()
        for change in ("writable", "owner", "link"):
            with self.subTest(change), FrontDoor(blue.address, green.address, start=False) as door:
                folder = door.folder / "admin"
                if change == "link":
                    (door.folder / "real").mkdir()
                    os.chown(door.folder / "real", STRANGER, STRANGER)
                    folder.symlink_to(door.folder / "real")
                else:
                    folder.mkdir()
                    folder.chmod(0o777 if change == "writable" else 0o755)
                    os.chown(folder, STRANGER if change == "owner" else 0, 0)
                result = harness.bgproxy("--config", str(door.config_file))
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertIn(str(folder), result.stderr)
                self.assertFalse(os.path.exists(door.admin_path))


class BadInput(Case):
    """Garbage, huge, slow or half-sent: 4xx or a bounded wait, and nobody else notices."""

    def setUp(self) -> None:
        super().setUp()
        blue, green = self.colors()
        self.door = self.front_door(blue.address, green.address)

    def all_is_well(self) -> None:
        self.assertEqual(self.door.admin("GET", "/v1/status")[0], 200)
        self.assertEqual(color_of(self.door.address()), self.door.status()["active"])

    def raw(self, data: bytes, finish: bool = False) -> bytes:
        """What comes back, up to the end of the connection or of one answer."""
        with connect(f"unix:{self.door.admin_path}", timeout=30) as sock:
            answer = b""
            # An answer may come before all has been sent, and the end soon after it.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(data)
                if finish:
                    sock.shutdown(socket.SHUT_WR)
            try:
                while chunk := sock.recv(65536):
                    answer += chunk
                    head, separator, rest = answer.partition(b"\r\n\r\n")
                    length = re.search(rb"(?i)content-length: *(\d+)", head)
                    if separator and length and len(rest) >= int(length[1]):
                        break
            except (BrokenPipeError, ConnectionResetError):
                pass
            return answer

    def assertClientError(self, answer: bytes, what: str) -> None:
        self.assertRegex(answer[:12], rb"^HTTP/1\.1 4\d\d$", what)

    def test_46_garbage_is_answered_4xx(self) -> None:
        for data in (b"\r\n\r\n\r\nhello\r\n\r\n", b"GET\r\n\r\n", b"GET /v1/status\r\n\r\n",
                     b"\x00\x01\x02\xff\r\n\r\n",
                     b"GET  /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"GET /v1/status HTTP/1.1\r\nHost: x\r\nBad header\r\n\r\n",
                     b"GET /v1/status HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
                     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(40) + b"\r\n\r\n",
                     b"POST /v1/switch HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                     b"POST /v1/switch HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                     b"POST /v1/switch HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
                     b"POST /v1/switch HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n{}"):
            with self.subTest(data=data[:60]):
                self.assertClientError(self.raw(data), "garbage")
        self.assertRegex(self.raw(b"GET /v1/status HTTP/9.9\r\nHost: x\r\n\r\n")[:12], rb"^HTTP/1\.1 (400|505)$")
        self.all_is_well()
        self.assertEqual(self.door.status()["generation"], 0)

    def test_46_random_bytes_harm_nobody(self) -> None:
        randomness = random.Random(46)
        pieces = [b"GET ", b"POST ", b"/v1/switch", b"/v1/status", b" HTTP/1.1\r\n", b"Host: x\r\n", b"\r\n",
                  b"\r\n\r\n", b"Content-Length: 20\r\n", b'{"to":"green"', b"}", b"Transfer-Encoding: chunked\r\n",
                  b"5\r\n", b"\x00"]
        for _ in range(400):
            parts = [randomness.choice(pieces) for _ in range(randomness.randrange(1, 20))]
            parts.insert(randomness.randrange(len(parts)), randomness.randbytes(randomness.randrange(20)))
            data = b"".join(parts)
            with connect(f"unix:{self.door.admin_path}") as sock:
                try:
                    sock.sendall(data)
                    sock.shutdown(socket.SHUT_WR)
                    harness.read_all(sock)
                except OSError:
                    pass
        self.all_is_well()

    def test_46_bad_bodies_are_answered_400_and_change_nothing(self) -> None:
        for body in (b"", b"{", b"[]", b"null", b"3", b'"green"', b"{}", b'{"to":"red"}', b'{"to":7}',
                     b'{"to":["green"]}',
                     b'{"to":"green","unknown":1}', b'{"to":"green","to":"blue"}', b'{"to":"green","drain":"soon"}',
                     b'{"to":"green","drain":5}', b'{"to":"green","drain":"-1s"}', b'{"to":"green","expect":"red"}',
                     b'{"to":"green","dryRun":"yes"}', b'{"to":"green"} trailing', b'\xff\xfe{"to":"green"}',
                     b'{"to":"green","reason":7}', b"[" * 60_000, b'{"to":' * 5000,
                     b'{"to":"green","drain":"99999999999999999999h"}', b'{"to":"green","bake":60}',
                     b'{"to":"green","bake":"25h"}', b'{"to":"green","force":"yes"}',
                     b'{"to":"green","handover":"yes"}', b'{"to":"green","during":true}', b'{"to":"green","proceed":true}',
                     b'{"to":"green","ramp":[]}', b'{"to":"green","ramp":[{"percent":0,"time":"1m"}]}',
                     b'{"to":"green","ramp":[{"percent":10,"percent":20,"time":"1m"}]}',
                     b'{"to":"green","ramp":[{"percent":10,"time":"1m","more":1}]}',
                     b'{"to":"green","ramp":[{"percent":50,"time":"1m"},{"percent":10,"time":"1m"}]}',
                     b'{"to":"green","ramp":[{"percent":10,"time":"1m"}],"handover":true}'):
            with self.subTest(body=body[:60]):
                status, answer = self.door.admin("POST", "/v1/switch", body)
                self.assertEqual(status, 400, answer)
                self.assertTrue(answer["error"]["code"] and answer["error"]["message"])
        self.assertEqual((self.door.status()["active"], self.door.status()["generation"]), ("blue", 0))
        self.all_is_well()

    def test_46_what_is_not_built_is_refused_by_name(self) -> None:
        for path in ("/v1/upgrade",):
            self.assertEqual(self.door.admin("POST", path, {})[0], 404, path)

    def test_46_unknown_paths_and_methods(self) -> None:
        for path in ("/", "/v1", "/v1/", "/v2/status", "/v1/status/", "/v1/../v1/status", "/V1/STATUS", "//v1/status"):
            self.assertEqual(self.door.admin("GET", path)[0], 404, path)
        for method, path in (("POST", "/v1/status"), ("GET", "/v1/switch"), ("DELETE", "/v1/status"),
                             ("PUT", "/v1/switch"), ("GET", "/v1/stop"), ("GET", "/v1/rollback")):
            status, answer = self.door.admin(method, path)
            self.assertEqual((status, "error" in answer), (405, True), f"{method} {path}")

    def test_46_huge_heads_and_bodies_are_refused_early(self) -> None:
        memory = self.door.memory()
        head = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n" + b"X-Filler: y\r\n" * 100_000
        self.assertRegex(self.raw(head)[:12], rb"^(HTTP/1\.1 4\d\d)?$")
        self.assertRegex(self.raw(b"GET /" + b"a" * 5_000_000)[:12], rb"^(HTTP/1\.1 4\d\d)?$")
        declared = b"POST /v1/switch HTTP/1.1\r\nHost: x\r\nContent-Length: 500000000\r\n\r\n"
        self.assertEqual(self.raw(declared)[:12], b"HTTP/1.1 413", "from the length alone")
        status, _ = self.huge_body(b'{"to":"green","reason":"' + b"a" * 300_000 + b'"}')
        self.assertEqual(status, b"HTTP/1.1 413")
        self.assertLess(self.door.memory() - memory, 4 * harness.MIB)
        self.assertEqual(self.door.status()["generation"], 0)
        self.all_is_well()

    def huge_body(self, body: bytes) -> tuple[bytes, bytes]:
        answer = self.raw(b"POST /v1/switch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        return answer[:12], answer

    def test_46_slow_and_half_sent_requests_end_in_a_bounded_time(self) -> None:
        silent = [self.enter(connect(f"unix:{self.door.admin_path}", timeout=60)) for _ in range(3)]
        half = self.enter(connect(f"unix:{self.door.admin_path}", timeout=60))
        half.sendall(b"POST /v1/switch HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n{\"to\":")
        slow = self.enter(connect(f"unix:{self.door.admin_path}", timeout=60))

        def drip() -> None:
            began = time.monotonic()
            with contextlib.suppress(OSError):
                while time.monotonic() - began < 60:
                    slow.sendall(b"G")
                    time.sleep(0.5)  # the pace of the attack
                raise AssertionError("a request may take forever")

        dripping = Task(drip)
        began = time.monotonic()
        while time.monotonic() - began < 3:
            self.all_is_well()
            self.assertEqual(self.door.switch("green")["active"], "green")
            self.assertEqual(self.door.switch("blue")["active"], "blue")
        answer = harness.read_all(half)
        self.assertIn(answer[:12], (b"", b"HTTP/1.1 408", b"HTTP/1.1 400"))
        dripping.result()
        self.assertEqual(len(silent), 3)

    def test_46_an_answer_that_nobody_reads_stalls_nobody(self) -> None:
        readers = []
        for _ in range(20):
            sock = self.enter(connect(f"unix:{self.door.admin_path}"))
            sock.sendall(b"GET /v1/config HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
            readers.append(sock)
        for _ in range(20):
            self.all_is_well()

    def test_46_a_thousand_idle_admin_connections_do_not_keep_the_operator_out(self) -> None:
        memory, descriptors = self.door.memory(), self.door.descriptors_open()
        idle = []
        for number in range(1000):
            sock = self.enter(connect(f"unix:{self.door.admin_path}", timeout=30))
            if number % 3 == 1:
                sock.sendall(b"GET /v1/status HTTP/1.1\r\n")
            idle.append(sock)
            if number % 100 == 99:
                self.assertEqual(self.door.ctl("status").returncode, 0)
                turn = number // 100
                self.assertEqual(self.door.switch(("green", "blue")[turn % 2])["generation"], turn + 1)
        self.assertEqual(color_of(self.door.address()), "blue")
        self.assertLess(self.door.memory() - memory, 32 * harness.MIB)
        self.assertLess(self.door.descriptors_open() - descriptors, 300, "their number is bounded")
        for sock in idle:
            sock.close()
        self.all_is_well()

    def test_46_an_operator_who_waits_for_events_is_not_thrown_out_by_idle_ones(self) -> None:
        with connect(f"unix:{self.door.admin_path}") as watcher:
            watcher.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"200", harness.read_line(watcher))
            idle = [self.enter(connect(f"unix:{self.door.admin_path}")) for _ in range(300)]
            self.all_is_well()
            self.door.switch("green", reason="seen by the watcher")
            data = b""
            while b"seen by the watcher" not in data:
                chunk = watcher.recv(65536)
                self.assertTrue(chunk, "the stream goes on")
                data += chunk
            self.assertEqual(len(idle), 300)

    def test_46_traffic_does_not_wait_for_admin_clients(self) -> None:
        storm = self.enter(Peer("storm", self.door.address()))

        def disturb() -> bool:
            for _ in range(50):
                with connect(f"unix:{self.door.admin_path}") as sock:
                    sock.sendall(os.urandom(100) + b"\r\n\r\n")
            return self.door.status()["colors"]["blue"]["accepted"] > 500

        wait_until(disturb, "the traffic goes on all the while")
        sessions = storm.finish()["sessions"]
        self.assertEqual([session for session in sessions if session[3]], [])
        self.assertGreater(len(sessions), 500)


class Answers(Case):
    def setUp(self) -> None:
        super().setUp()
        blue, green = self.colors()
        self.door = self.front_door(blue.address, green.address, preview="127.0.0.1:0")

    def test_46_several_requests_on_one_connection(self) -> None:
        with connect(f"unix:{self.door.admin_path}") as sock:
            sock.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n" * 2
                         + b"GET /v1/history HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = harness.read_all(sock)
        self.assertEqual(answer.count(b"HTTP/1.1 200"), 3)

    def test_46_curl_talks_to_it(self) -> None:
        harness.need("curl")
        command = ["curl", "-sS", "--fail-with-body", "--unix-socket", self.door.admin_path]
        status = subprocess.run([*command, "http://bgproxy/v1/status"], capture_output=True, text=True, check=True)
        self.assertEqual(json.loads(status.stdout)["active"], "blue")
        # A body long enough for curl to ask with Expect: 100-continue, and one in chunks.
        for body, extra in (('{"to":"green"}', []), ('{"to":"blue"}', ["-H", "Transfer-Encoding: chunked"]),
                            ('{"to":"green","reason":"%s"}' % ("r" * 900), ["-H", "Expect: 100-continue"])):
            result = subprocess.run([*command, *extra, "-d", body, "http://bgproxy/v1/switch"], capture_output=True,
                                    text=True, timeout=20, check=False)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(self.door.status()["generation"], 3)

    def test_46_the_status_object_is_complete(self) -> None:
        self.door.switch("green")
        status = self.door.status()
        for key in ("version", "pid", "startedAt", "active", "previous", "generation", "switchedAt", "phase", "share",
                    "colors", "held", "parked", "drain", "lastSwitch", "listeners"):
            self.assertIn(key, status)
        for color in ("blue", "green"):
            for key in ("healthy", "sessions", "draining", "accepted", "requests", "connectFailures", "resets",
                        "bytesIn", "bytesOut"):
                self.assertIn(key, status["colors"][color])
        for key in ("generation", "from", "to", "at", "by", "automatic", "forced", "reason", "cause",
                    "flipMicroseconds", "persistMicroseconds", "persisted", "heldMilliseconds", "open", "ended",
                    "moved", "returned", "spread", "cut", "remaining", "connectFailures", "settled"):
            self.assertIn(key, status["lastSwitch"])
        listener = status["listeners"][0]
        for key in ("name", "bind", "protocol", "preview", "targets"):
            self.assertIn(key, listener)
        self.assertEqual(status["pid"], self.door.pid)
        self.assertEqual(self.door.ctl("--version").stdout.split()[-1], status["version"])

    def test_46_config_is_what_is_in_force(self) -> None:
        config = self.door.get("/v1/config")
        self.assertEqual(config["listeners"][0]["name"], "main")
        self.assertEqual(config["stateFile"], str(self.door.state_file))
        self.assertEqual(config["drain"], {"timeout": "30s", "spread": "10s"})
        # It is a config file in its own right.
        file = self.door.folder / "again.json5"
        file.write_text(json.dumps(config))
        result = harness.bgproxy("--check", "--config", str(file))
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_46_events_tell_of_each_change_until_the_client_leaves(self) -> None:
        with connect(f"unix:{self.door.admin_path}") as watcher:
            watcher.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"200", harness.read_line(watcher))
            for turn in range(10):
                self.door.switch(("green", "blue")[turn % 2], reason=f"event {turn}\nnot a line")
            data = b""
            while b"event 9" not in data:
                chunk = watcher.recv(65536)
                self.assertTrue(chunk, "the stream goes on")
                data += chunk
        for turn in range(10):
            self.assertIn(f"event {turn}".encode(), data)
        lines = [line for line in re.split(rb"\r?\n", data) if line.startswith(b"{")]
        for line in lines:
            json.loads(line)
        self.assertEqual(self.door.status()["generation"], 10)

    def test_46_many_watchers_one_of_which_does_not_read(self) -> None:
        asked = b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n"
        sleeper = self.enter(connect(f"unix:{self.door.admin_path}"))
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.sendall(asked)
        memory = self.door.memory()
        for turn in range(1500):
            self.door.switch(("green", "blue")[turn % 2], reason="r" * 1000)
        self.assertLess(self.door.memory() - memory, 16 * harness.MIB)
        self.assertEqual(color_of(self.door.address()), "blue")


class Audit(Case):
    def test_47_each_change_leaves_one_line(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        client = self.open_session(door.address(), "blue")
        door.switch("green", reason="release 42")
        door.post("/v1/drain", extend="5s")
        door.rollback(reason="errors")
        door.post("/v1/reload")
        door.get("/v1/status")
        door.switch("blue")  # no change, no line
        door.admin("POST", "/v1/switch", {"to": "green", "expect": "green"})  # refused
        client.close()
        # With its end the log is whole.
        door.signal(signal.SIGTERM)
        door.wait_exit()
        self.assertEqual(len(door.events("switch")), 1)
        self.assertEqual(len(door.events("rollback")), 1)
        self.assertEqual(len(door.events("drain")), 1)
        self.assertEqual(len(door.events("reload")), 1)
        for line in door.events("switch") + door.events("rollback") + door.events("drain") + door.events("reload"):
            self.assertIn(f"uid={os.geteuid()}", line)
            self.assertIn(f"pid={os.getpid()}", line)
        self.assertIn('reason="release 42"', door.events("switch")[0])
        self.assertIn("reason=errors", door.events("rollback")[0])

    def test_47_a_newline_in_a_reason_forges_no_line(self) -> None:
        blue, green = self.colors()
        forged = ("x\n2026-01-31T10:00:00.000Z info switch generation=99 uid=0 reason=forged",
                  'x" uid=0 generation=99 reason="forged', "x\r\n2026 info switch forged", "\u2028switch\u2029",
                  "\u0085switch",
                  "a=b c=d", "\\n", "tab\there", '{"event":"switch"}', "r" * 1000)
        for form in ("text", "json"):
            with FrontDoor(blue.address, green.address, arguments=("--log-format", form)) as door:
                accepted = []
                for turn, reason in enumerate(forged):
                    color = ("green", "blue")[len(accepted) % 2]
                    if door.admin("POST", "/v1/switch", {"to": color, "reason": reason})[0] == 200:
                        accepted.append(reason)
                wait_until(lambda: len(door.events("switch")) >= len(accepted), "each has its line")
                lines = door.events("switch")
                self.assertEqual(len(lines), len(accepted), lines)
                self.assertIn(forged[0], accepted)
                for number, line in enumerate(lines):
                    self.assertNotIn("\u2028", line)
                    if form == "json":
                        entry = json.loads(line)
                        self.assertEqual((entry["generation"], entry["reason"]), (number + 1, accepted[number]))
                    else:
                        bare = re.sub(r'"(\\.|[^"\\])*"', '""', line)
                        self.assertIn(f"generation={number + 1} ", bare)
                        self.assertEqual(bare.count(" uid="), 1, line)
                self.assertEqual([receipt["reason"] for receipt in door.history()], accepted)
                history = (door.state_file.parent / "state.json.history").read_text().split("\n")
                for line in filter(None, history):
                    json.loads(line)

    def test_47_control_characters_in_a_reason_reach_no_terminal(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        evil = "\x1b[2Jcleared\x07"
        status, _ = door.admin("POST", "/v1/switch", {"to": "green", "reason": evil})
        if status == 200:
            door.wait_line(lambda line: harness.event_of(line) == "switch", what="the switch is in the log")
            for output in (door.ctl("status"), door.ctl("history"), door.ctl("history", "--json")):
                self.assertNotIn("\x1b", output.stdout)
        else:
            self.assertEqual(status, 400)
        self.assertNotIn("\x1b", "\n".join(door.lines))
        self.assertEqual(ask(door.admin_path, "GET", "/v1/status")[0], 200)

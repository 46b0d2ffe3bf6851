"""Options and the config file: what is wrong is said with its place, and nothing is started."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import harness
from harness import Case, bgproxy, color_of, free_port

MAIN = '{ name: "main", bind: "127.0.0.1:0", blue: ["127.0.0.1:1"], green: ["127.0.0.1:2"] }'


class ConfigFile(Case):
    def setUp(self) -> None:
        super().setUp()
        self.path: Path = self.folder() / "bgproxy.json5"

    def check(self, text: str | bytes, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return bgproxy("--check", "--config", str(self.path), *arguments)

    def assertRefused(self, text: str | bytes, *words: str, line: int | None = None) -> str:
        """Exit code 2, and a message with file, line and column and these words; the same without --check."""
        result = self.check(text)
        self.assertEqual(result.returncode, 2, f"{text!r}: {result.stdout}{result.stderr}")
        self.assertRegex(result.stderr, re.escape(str(self.path)) + r":\d+:\d+")
        if line is not None:
            self.assertIn(f"{self.path}:{line}:", result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertIsNone(harness.TRAPS.search(result.stderr))
        started = bgproxy("--config", str(self.path))
        self.assertEqual((started.returncode, started.stderr), (2, result.stderr))
        return result.stderr

    def test_json5_is_understood(self) -> None:
        result = self.check("// comment\n{ /* more */ listeners: [" + MAIN + ",],\n 'drain': {timeout: '1m',}, }\n")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_sample_config_of_the_repository_is_valid(self) -> None:
        result = bgproxy("--check", "--config", str(harness.ROOT / "config" / "bgproxy.json5"))
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_errors_name_place_key_and_what_was_expected(self) -> None:
        for text, line, words in (
            ("", 1, ()), ("{", 1, ()), ("[]", 1, ()), ("{ listeners: [] }", 1, ("listeners",)),
            ("{\n}", None, ("listeners",)),
            ("{\n listeners: [" + MAIN + "],\n activ: 'blue' }", 3, ("activ", "active")),
            ("{\n listeners: [" + MAIN + "],\n active: 'red' }", 3, ("active", "blue", "green", "red")),
            ("{ listeners: [{ bind: ':80', blue: ['127.0.0.1:1'],\n gren: ['127.0.0.1:2'] }] }", 2, ("gren", "green")),
            ("{ listeners: [{\n bind: 80, blue: ['a:1'], green: ['b:1'] }] }", 2, ("listeners[0].bind",)),
            ("{ listeners: [{\n bind: ':99999', blue: ['a:1'], green: ['b:1'] }] }", 2, ("listeners[0].bind",)),
            ("{ listeners: [{\n bind: '::1:80', blue: ['a:1'], green: ['b:1'] }] }", 2, ("listeners[0].bind",)),
            ("{ listeners: [{ bind: ':0', blue: ['a:1'],\n green: [] }] }", 2, ("listeners[0].green",)),
            ("{ listeners: [{ bind: ':0', blue: ['a:1'],\n green: ['b:1', 'nowhere'] }] }", 2,
             ("listeners[0].green[1]",)),
            ("{ listeners: [{ bind: ':0', blue: ['a:1'] }] }", 1, ("green",)),
            ("{ listeners: [" + MAIN + ",\n" + MAIN.replace(":0", ":1") + "] }", 2, ("main",)),
            ("{ listeners: [" + MAIN + "],\n drain: { timeout: 30 } }", 2, ("drain.timeout", "30s")),
            ("{ listeners: [" + MAIN + "],\n drain: { timeout: '30 parsecs' } }", 2, ("drain.timeout",)),
            ("{ listeners: [" + MAIN + "],\n timeouts: { conect: '1s' } }", 2, ("timeouts", "conect", "connect")),
            ("{ listeners: [" + MAIN + "],\n limits: { sessions: -1 } }", 2, ("limits.sessions",)),
            ("{ listeners: [" + MAIN + "],\n limits: { sessions: '10' } }", 2, ("limits.sessions",)),
            ("{ listeners: [" + MAIN + "],\n timeouts: { hold: '0s' } }", 2, ("timeouts.hold",)),
            ("{ listeners: [\n" + MAIN.replace("bind", 'protocol: "udp", bind') + "] }", 2,
             ("listeners[0].protocol", "tcp", "http")),
            ("{ listeners: [" + MAIN + "],\n workers: 1.5 }", 2, ("workers",)),
            ("{ listeners: [" + MAIN + "],\n admin: { mode: '0666' } }", 2, ("admin.mode",)),
            ("{ listeners: [" + MAIN + "],\n admin: { socket: '/" + "a" * 200 + "' } }", 2, ("admin.socket",)),
            ("{ listeners: [" + MAIN + "],\n active: 'blue',\n active: 'green' }", 3, ("active",)),
            ("{ listeners: [" + MAIN + "],\n \"active\": 'blue' \"workers\": 1 }", 2, ()),
        ):
            with self.subTest(text=text[-70:]):
                self.assertRefused(text, *words, line=line)

    def test_what_is_not_built_is_refused_by_name(self) -> None:
        proxied = MAIN.replace("bind", 'proxyProtocol: "v2", bind')
        self.assertRefused("{ listeners: [" + proxied + "] }", "proxyProtocol")

    def test_garbage_traps_nothing(self) -> None:
        for text in (b"\x00", b"\xff\xfe\x00", os.urandom(5000), b"{" * 100_000, b"[" * 100_000, b'{"a":' * 50_000,
                     b'{ "' + b"a" * 900_000 + b'": 1 }', b"{ listeners: " + b"-" * 1000 + b"1 }", b"/*", b"'\\u12",
                     b"{ a: 1e99999 }", b"{ a: 0x" + b"f" * 999 + b" }", b"\xef\xbb\xbf{}"):
            with self.subTest(text=text[:30]):
                result = self.check(text)
                self.assertEqual(result.returncode, 2, result.stderr[:500])
                self.assertIsNone(harness.TRAPS.search(result.stderr))
                self.assertLess(len(result.stderr), 2000)

    def test_every_cut_of_a_valid_file_is_refused_without_a_trap(self) -> None:
        listener = {"bind": "[::1]:0", "blue": ["unix:/b"], "green": ["a.b:1"]}
        whole = json.dumps({"listeners": [listener], "active": "blue"})
        self.assertEqual(self.check(whole).returncode, 0)
        for end in range(0, len(whole), 3):
            result = self.check(whole[:end])
            self.assertEqual(result.returncode, 2, whole[:end])
            self.assertIsNone(harness.TRAPS.search(result.stderr))

    def test_a_file_that_is_missing_or_no_file(self) -> None:
        for path in (self.path.parent / "missing.json5", self.path.parent, Path("/dev/null")):
            result = bgproxy("--config", str(path))
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(str(path), result.stderr)

    def test_check_starts_nothing(self) -> None:
        state = self.path.parent / "state" / "state.json"
        places = f"stateFile: '{state}', admin: {{ socket: '{state}.sock' }}"
        result = self.check("{ listeners: [" + MAIN + f"], {places} }}")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(os.listdir(self.path.parent), ["bgproxy.json5"])

    def test_options_override_the_file(self) -> None:
        blue, green = self.colors()
        folder = self.folder()
        door = self.front_door(blue.address, green.address, folder=folder, start=False)
        door.arguments = ("--socket", f"{folder}/admin/other.sock", "--state", f"{folder}/other.json", "--workers", "1",
                          "--active", "green")
        door.admin_path = f"{folder}/admin/other.sock"
        door.start()
        self.assertEqual(door.status()["active"], "green")
        config = door.get("/v1/config")
        self.assertEqual((config["workers"], config["stateFile"]), (1, f"{folder}/other.json"))


class Options(Case):
    def assertUsage(self, *arguments: str, words: tuple[str, ...] = ()) -> None:
        result = bgproxy(*arguments)
        self.assertEqual(result.returncode, 2, f"{arguments}: {result.stdout}{result.stderr}")
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertIsNone(harness.TRAPS.search(result.stderr))

    def test_wrong_options_exit_2(self) -> None:
        two = ("--blue", "127.0.0.1:1", "--green", "127.0.0.1:2")
        self.assertUsage("--listn", ":0", words=("--listn", "--listen"))
        self.assertUsage("--listen")
        self.assertUsage("--listen", ":0", words=("--blue",))
        self.assertUsage("--listen", ":0", "--blue", "127.0.0.1:1", words=("--green",))
        self.assertUsage("--listen", "nowhere", *two, words=("--listen", "nowhere"))
        self.assertUsage("--listen", ":0", *two, "--active", "red", words=("red",))
        self.assertUsage("--listen", ":0", *two, "--workers", "many", words=("--workers",))
        self.assertUsage("--listen", ":0", *two, "--workers", "-1", words=("--workers",))
        self.assertUsage("--listen", ":0", *two, "--log-level", "loud", words=("loud",))
        self.assertUsage("--listen", ":0", *two, "--log-format", "xml", words=("xml",))
        self.assertUsage("--listen", ":0", *two, "more", words=("more",))
        self.assertUsage(*two)

    def test_help_and_version(self) -> None:
        for program in (harness.bgproxy, harness.ctl):
            result = program("--help")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn("bgproxy", result.stdout)
            version = program("--version")
            self.assertEqual(version.returncode, 0)
            self.assertRegex(version.stdout, r"^bgproxy(ctl)? \d+\.\d+\.\d+\S*\n$")
        self.assertEqual(harness.bgproxy("--version").stdout.split()[1], harness.ctl("--version").stdout.split()[1])

    def test_a_port_in_use_exits_1_and_names_the_address(self) -> None:
        folder = self.folder()
        with harness.listening() as taken:
            address = harness.spell(taken)
            result = bgproxy("--listen", address, "--blue", "127.0.0.1:1", "--green", "127.0.0.1:2", "--socket",
                             f"{folder}/admin/a.sock", "--state", f"{folder}/state.json")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(address, result.stderr)

    def test_an_address_that_is_not_here_exits_1_and_names_it(self) -> None:
        folder = self.folder()
        result = bgproxy("--listen", "192.0.2.1:80", "--blue", "127.0.0.1:1", "--green", "127.0.0.1:2", "--socket",
                         f"{folder}/admin/a.sock", "--state", f"{folder}/state.json")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("192.0.2.1:80", result.stderr)

    def test_a_front_door_without_a_file(self) -> None:
        blue, green = self.colors()
        folder = self.folder()
        port = free_port()
        door = self.front_door(folder=folder, use_file=False, arguments=(
            "--listen", f"127.0.0.1:{port}", "--blue", blue.address,
            "--blue", f"127.0.0.2:{harness.port_of(blue.address)}",
            "--green", green.address, "--preview", "127.0.0.1:0", "--active", "green", "--protocol", "tcp",
            "--socket", f"{folder}/admin/admin.sock", "--state", f"{folder}/state/state.json"))
        self.assertEqual(color_of(f"127.0.0.1:{port}"), "green")
        self.assertEqual(color_of(door.preview()), "blue")
        self.assertEqual(door.ctl("reload").returncode, 1, "there is no file to read again")

    def test_the_default_places_of_a_user(self) -> None:
        """Without root: state and admin socket are where the XDG folders say, and bgproxyctl looks there too."""
        harness.need_root()
        harness.need("setpriv")
        blue, green = self.colors()
        folder = self.folder()
        folder.chmod(0o755)
        for program in (harness.BGPROXY, harness.BGPROXYCTL):
            shutil.copy(program, folder)
        for name in ("run", "state"):
            (folder / name).mkdir(mode=0o700)
            os.chown(folder / name, 65534, 65534)
        setpriv = [harness.find_program("setpriv"), "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        places = {"XDG_RUNTIME_DIR": f"{folder}/run", "XDG_STATE_HOME": f"{folder}/state", "HOME": "/nonexistent"}
        door = harness.FrontDoor(blue.address, green.address, folder=self.folder(), start=False, environment=places)
        door.command = lambda: [*setpriv, str(folder / "bgproxy"), "--listen", "127.0.0.1:0", "--blue", blue.address,
                                "--green", green.address]
        door.admin_path = f"{folder}/run/bgproxy/admin.sock"
        self.enter(door)
        door.start()
        self.assertEqual(door.status()["active"], "blue")
        result = subprocess.run([*setpriv, str(folder / "bgproxyctl"), "switch", "green"], env=os.environ | places,
                                capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(json.loads((folder / "state" / "bgproxy" / "state.json").read_text())["active"], "green")

"""A lab of config/lab/ with a place, addresses and a user of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import harness
from harness import Case, free_port

SCRIPTS = harness.ROOT / "config" / "lab"


class Lab:
    """What `config/lab/up` is told by the environment; nothing is built yet."""

    def __init__(self, place: Path, plain: bool = False):
        # A network of their own for the two servers: tests of others look for free ports at the same moment.
        network = f"127.{random.randrange(1, 255)}.{random.randrange(255)}"
        place.chmod(0o755)
        self.folder = place / "lab"
        self.plain = plain
        self.user = f"lab{os.getpid()}x{random.randrange(10000)}"
        self.front, self.preview = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.blue = f"{network}.2:{free_port(f'{network}.2')}"
        self.green = f"{network}.3:{free_port(f'{network}.3')}"
        self.ssh_port = free_port(f"{network}.2")
        inherited = {name: value for name, value in os.environ.items()
                     if not name.startswith(("GIT_", "BGPROXY_", "LC_")) and not name.lower().endswith("_proxy")}
        self.environment = inherited | {
            "BGPROXY_BINARIES": str(harness.BINARIES), "BGPROXY_LAB_FOLDER": str(self.folder),
            "BGPROXY_LAB_PLAIN": "1" if plain else "", "BGPROXY_LAB_USER": self.user, "BGPROXY_LAB_FRONT": self.front,
            "BGPROXY_LAB_PREVIEW": self.preview, "BGPROXY_LAB_BLUE": self.blue, "BGPROXY_LAB_GREEN": self.green,
            "BGPROXY_LAB_SSH_PORT": str(self.ssh_port),
            # Nobody's settings but the lab's.
            "HOME": str(place), "GIT_CONFIG_NOSYSTEM": "1", "LANG": "C.UTF-8",
        }

    def run(self, script: str, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        """Runs `up`, `down` or `status`."""
        return subprocess.run([str(SCRIPTS / script), *arguments], **self._options(options), timeout=60, check=False)

    def start(self, script: str, *arguments: str, **options) -> subprocess.Popen[str]:
        return subprocess.Popen([str(SCRIPTS / script), *arguments], **self._options(options))

    def _options(self, options: dict) -> dict:
        """One stream for what a terminal would show."""
        environment = self.environment | options.pop("environment", {})
        return {"env": environment, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                "stderr": subprocess.STDOUT, "text": True} | options

    def git(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(self.folder / "sample_app"), *arguments], **self._options({}),
                              timeout=60, check=False)

    def commit(self, text: str) -> None:
        (self.folder / "sample_app" / "index.html").write_text(text + "\n")
        committed = self.git("commit", "-q", "-a", "-m", text)
        if committed.returncode:
            raise AssertionError(committed.stdout)

    def ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return harness.ctl("--socket", str(self.folder / "run" / "admin" / "admin.sock"), *arguments)

    def pid(self, program: str) -> int:
        return int((self.folder / "run" / f"{program}.pid").read_text())

    def pids(self) -> dict[str, int]:
        return {file.stem: int(file.read_text()) for file in (self.folder / "run").glob("*.pid")}

    def processes(self) -> dict[int, str]:
        """All that live and name the lab's folder, or are its user's."""
        try:
            owner = pwd.getpwnam(self.user).pw_uid
        except KeyError:
            owner = None
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                # One that has ended has no command any more.
                if command and (f"{self.folder}/" in command or folder.stat().st_uid == owner):
                    found[int(folder.name)] = command
        return found

    def leftovers(self) -> list[str]:
        """What of the lab is on this machine."""
        left = [f"process {pid}: {command}" for pid, command in self.processes().items()]
        if self.folder.exists():
            left.append(f"{self.folder}: {sorted(path.name for path in self.folder.iterdir())}")
        for file in ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/subuid"):
            with contextlib.suppress(OSError):
                left += [f"{file}: {line}" for line in Path(file).read_text().splitlines() if self.user in line]
        return left


def page(address: str) -> str:
    """The first line of what is served there, or the status."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{address}/", timeout=20) as answer:
            return answer.read().decode().partition("\n")[0]
    except urllib.error.HTTPError as error:
        return f"status {error.code}"
    except OSError as error:
        return f"no answer: {error}"


class LabCase(Case):
    def lab(self, plain: bool = False) -> Lab:
        """Where a lab may be built: what is left of it at the end is taken down."""
        harness.need("bash", "git", "curl", "ss", "setsid")
        if plain:
            harness.need("python3")
        else:
            harness.need_root()
            harness.need("apache2", "sshd", "ssh", "ssh-keygen", "git-shell", "useradd", "userdel", "setpriv")
        lab = Lab(self.folder(), plain)
        self._stack.callback(lab.run, "down")
        return lab

    def lab_that_is_up(self, plain: bool = False) -> Lab:
        lab = self.lab(plain)
        up = lab.run("up")
        self.assertEqual(up.returncode, 0, up.stdout)
        return lab

"""The processes of one run: each in a folder of its own, on its cores, and stopped by its pid at the end."""

from __future__ import annotations

import http.client
import os
import resource
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from . import figures


class Failed(Exception):
    """A measurement that cannot go on; its text is for whoever runs it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], what: str, timeout: float = 20) -> Any:
    """Polls until the condition is true and returns its value; fails after the timeout."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"not within {timeout:g} s: {what}")
        time.sleep(0.02)


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        response = connection.getresponse()
        response.read()
        return response.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Process:
    def __init__(self, name: str, child: subprocess.Popen[bytes], log: Path):
        self.name, self.child, self.log, self.pid = name, child, log, child.pid

    def wait_until_answering(self, port: int) -> None:
        def is_up() -> bool:
            if self.child.poll() is not None:
                raise Failed(f"{self.name} ended with {self.child.returncode}:\n{self.log.read_text()[-1500:]}")
            return answers(port)
        wait_until(is_up, f"{self.name} answers on port {port}")

    def stop(self) -> None:
        """TERM; once more, since a front door then stops draining; then KILL, for what it has forked as well."""
        family = figures.family(self.pid)
        for number, patience in ((signal.SIGTERM, 1.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            if self.child.poll() is not None:
                return
            self.child.send_signal(number)
            if number == signal.SIGKILL:
                for pid in family[1:]:
                    try:
                        os.kill(pid, number)
                    except ProcessLookupError:
                        pass
            try:
                self.child.wait(patience)
            except subprocess.TimeoutExpired:
                pass


class Lab:
    """A folder, the cores, the programs that were compiled, and every process that runs. To be used in a `with`."""

    def __init__(self, workers: int, programs: Path):
        cores = [str(core) for core in sorted(os.sched_getaffinity(0))]
        self.workers, self.programs = workers, programs
        # One worker has the first core for itself, and all else shares the others. More workers share all with it.
        self.proxy_cores = cores[0] if workers == 1 else ",".join(cores)
        self.load_cores = (",".join(cores[1:]) or cores[0]) if workers == 1 else ",".join(cores)
        self.processes: list[Process] = []
        self.loads: list[subprocess.Popen[bytes]] = []
        self.descriptors = 0
        self._folder = tempfile.TemporaryDirectory(prefix="bgproxy-benchmarks.")
        self.folder = Path(self._folder.name)
        # nginx's workers are another user's.
        self.folder.chmod(0o755)

    def __enter__(self) -> Lab:
        # A proxy with 5,000 sessions has 10,000 sockets; what is started here inherits the limit.
        self.descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        # A second Ctrl-C would leave behind what is not stopped yet.
        handlers = {number: signal.signal(number, signal.SIG_IGN)
                    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        for child in self.loads:
            if child.poll() is None:
                child.kill()
                child.wait()
        for process in reversed(self.processes):
            process.stop()
        self._folder.cleanup()
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def subfolder(self, name: str) -> Path:
        count = len(list(self.folder.iterdir()))
        folder = self.folder / f"{count}-{name.replace(' ', '-')}"
        folder.mkdir(mode=0o755)
        return folder

    def popen(self, *command: str, **more: Any) -> subprocess.Popen[bytes]:
        """Starts a client on the load's cores. Whoever starts it waits for it; at the end it is killed if it runs."""
        child = self._popen(self.load_cores, command, more)
        self.loads = [each for each in self.loads if each.poll() is None] + [child]
        return child

    @staticmethod
    def _popen(cores: str, command: tuple[str, ...], more: dict[str, Any]) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C reaches only this program, which stops the others in order.
        return subprocess.Popen(["taskset", "-c", cores, *command], start_new_session=True, **more)

    def start(self, name: str, cores: str, *command: str) -> Process:
        log = self.folder / f"{len(self.processes)}.log"
        with open(log, "wb") as file:
            child = self._popen(cores, command, {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file})
        process = Process(name, child, log)
        self.processes.append(process)
        return process

    def stop(self, process: Process) -> None:
        process.stop()
        self.processes.remove(process)

    def backend(self, body: str = "fixed") -> int:
        """Starts the fixed backend beside the load, with as many threads as the proxies have workers."""
        port = free_port()
        self.start("backend", self.load_cores, str(self.programs / "backend"), "-t", str(self.workers), "-b", body,
                   str(port)).wait_until_answering(port)
        return port

"""The processes of a run: what they cost, and that they end."""

from __future__ import annotations

import http.client
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 15.0


def find(program: str) -> str | None:
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def processes_of(pid: int) -> list[int]:
    """A process and all that it has started."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [each for child in children for each in processes_of(int(child))]


def thread_seconds(pid: int) -> list[float]:
    """CPU time of each thread, in nanoseconds' resolution: schedstat, which counts while it runs."""
    return [int(file.read_text().split()[0]) / 1e9
            for each in processes_of(pid) for file in sorted(pathlib.Path(f"/proc/{each}/task").glob("*/schedstat"))]


def cpu_seconds(pid: int) -> float:
    return sum(thread_seconds(pid))


def machine_seconds() -> float:
    """CPU time that the whole machine has spent, interrupts included: proc(5)."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


def user_bytes(pid: int) -> int:
    """Memory that is a process's own, its share of what is shared included: smaps_rollup, proc(5)."""
    text = "".join(pathlib.Path(f"/proc/{each}/smaps_rollup").read_text() for each in processes_of(pid))
    return sum(int(line.split()[1]) * 1024 for line in text.split("\n") if line.startswith("Pss:"))


def kernel_bytes() -> int:
    """What the kernel has allocated in small pieces, sockets among it."""
    lines = pathlib.Path("/proc/meminfo").read_text().split("\n")
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Slab:"))


class Lab:
    """Processes bound to cores, in a folder that they may write to."""

    def __init__(self, folder: pathlib.Path, proxy_cores: str, load_cores: str):
        self.folder, self.proxy_cores, self.load_cores = folder, proxy_cores, load_cores
        self.processes: list[subprocess.Popen] = []
        self.floor_program = self._compile("floor")
        self.backend_program = self._compile("backend")

    def _compile(self, name: str) -> str:
        program = self.folder / name
        source = ROOT / "Benchmarks" / f"{name}.c"
        subprocess.run(["cc", "-O2", "-pthread", "-o", str(program), str(source)], check=True)
        program.chmod(0o755)
        return str(program)

    def start(self, cores: str, *command: str) -> int:
        with open(self.folder / f"{len(self.processes)}.log", "w") as log:
            process = subprocess.Popen(["taskset", "-c", cores, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)
        return process.pid

    def backend(self, threads: int = 1, text: str = "App v1") -> int:
        port = free_port()
        self.start(self.load_cores, self.backend_program, "serve", str(port), str(threads), text)
        wait_until_answering(port)
        return port

    def wrk(self, port: int, connections: int, seconds: float, *more: str) -> str:
        command = ["taskset", "-c", self.load_cores, find("wrk"), "-t", "1", "-c", str(connections), "-d", f"{seconds:g}s"]
        return subprocess.run([*command, "--latency", *more, f"http://127.0.0.1:{port}/"], capture_output=True, text=True,
                              check=True, timeout=seconds + 60).stdout

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_answering(port: int, name: str = "the backend") -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", "/")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            sys.exit(f"{name} does not answer on port {port}")
        time.sleep(0.05)

"""Networks of a test's own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import unittest
from collections.abc import Iterator
from pathlib import Path

import harness
from harness import find_program, wait_until

# What runs in a namespace ends with this process, however that ends; the last one takes the namespace along.
BOUND = ("setpriv", "--pdeathsig", "KILL", "--")
CLONE_NEWNET = 0x40000000


def enter_network(descriptor: int) -> None:
    """Moves the calling thread; sockets that it then makes belong there for good."""
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Network:
    """A network namespace without a name: it lives as long as a process in it does."""

    def __init__(self, ports: str | None = None) -> None:
        """`ports`: the first and last one that are taken for connections without a port of their own."""
        harness.need_root()
        harness.need("ip", "unshare", "nsenter", "setpriv")
        self.holder = subprocess.Popen([*BOUND, "unshare", "--net", "sleep", "600"], stdin=subprocess.DEVNULL)
        try:
            # Before it is `sleep` it is still on its way there.
            comm = Path(f"/proc/{self.holder.pid}/comm")
            wait_until(lambda: self.holder.poll() is not None or comm.read_text() == "sleep\n", "the namespace is made")
            if self.holder.poll() is not None:
                raise unittest.SkipTest("network namespaces cannot be made here")
            self.prefix = (*BOUND, "nsenter", f"--net={self.path}", "--")
            self.ip("link", "set", "lo", "up")
            if ports:
                # Written rather than set with sysctl(8), which a small system lacks.
                self.run("sh", "-c", f"echo {ports} > /proc/sys/net/ipv4/ip_local_port_range")
        except BaseException:
            self.__exit__()
            raise

    @property
    def path(self) -> str:
        return f"/proc/{self.holder.pid}/ns/net"

    def run(self, *command: str) -> str:
        result = subprocess.run([*self.prefix, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                timeout=60, check=False)
        if result.returncode:
            raise AssertionError(f"{' '.join(command)}: {result.stderr}")
        return result.stdout

    def ip(self, *arguments: str) -> str:
        return self.run(find_program("ip"), *arguments)

    def go_silent(self) -> None:
        """From now on nothing arrives, and nobody is told: as when a machine loses its power."""
        self.ip("link", "set", "lo", "down")

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        home, there = (os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in ("/proc/thread-self/ns/net", self.path))
        try:
            enter_network(there)
            try:
                yield
            finally:
                enter_network(home)
        finally:
            os.close(home)
            os.close(there)

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.holder.kill()
        self.holder.wait(10)

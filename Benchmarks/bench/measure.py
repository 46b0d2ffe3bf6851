"""The measurements that compare. The rounds are interleaved, so that a machine whose speed drifts hurts all alike, and
each begins with another peer, so that nobody is always the first."""

from __future__ import annotations

import subprocess
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

from . import figures, load
from .lab import Failed, Lab, wait_until
from .peers import Peer, Running, launch, sessions_within
from .results import BULK_WORKS, GIB, Round, Section
from .tools import say

Save = Callable[[Section], None]

MEMORY_ROUNDS = 3
"""Memory hardly varies from one fresh process to the next, so that more rounds only cost time."""


def interleaved(peers: list[Running], rounds: int) -> Iterator[Running]:
    for number in range(rounds):
        first = number % len(peers)
        for running in peers[first:] + peers[:first]:
            yield running


def rounds_of(number: int) -> str:
    return f"{number} round{'s' if number > 1 else ''}"


class Meter:
    """CPU time of a proxy and of the machine between two moments."""

    def __init__(self, running: Running, workers: int):
        self.running, self.count = running, workers
        self.started, self.machine = self._threads(None), figures.machine_seconds()
        self.workers = self._threads(running.peer.worker_threads)

    def _threads(self, prefix: str | None) -> dict[int, float]:
        return figures.cpu_seconds(self.running.process.pid, prefix)

    def read(self, units: float) -> Round:
        """A unit's CPU time, and the workers' part of it; and each worker's share. Processes beside them (nginx's master) do next to nothing."""
        machine = figures.machine_seconds() - self.machine
        proxy = sum(figures.spent(self.started, self._threads(None)))
        workers = sorted(figures.spent(self.workers, self._threads(self.running.peer.worker_threads)))[-self.count:]
        total = max(sum(workers), 1e-9)
        return {"proxy": proxy / units, "machine": machine / units, "workers": sum(workers) / units,
                "shares": [each / total for each in workers]}


def requests(lab: Lab, peers: list[Running], options: Namespace, save: Save, work: str, connections: int) -> None:
    closes = work == "close"
    section = Section(work=work, workers=lab.workers, detail=str(connections), seconds=options.seconds)
    say(f"\n{section.title()}: {rounds_of(options.rounds)} of {options.seconds} s with each of {len(peers)}")
    for running in peers:
        load.wrk(lab, running.port, connections, 1, closes)
    for running in interleaved(peers, options.rounds):
        meter = Meter(running, lab.workers)
        done = load.wrk(lab, running.port, connections, options.seconds, closes)
        if done.requests == 0:
            raise Failed(f"{running.peer.name} let no request pass")
        section.add(running.peer.name, {**meter.read(done.requests), "rate": done.requests / done.seconds,
                                        "p50": done.p50, "p99": done.p99, "errors": done.errors})
    save(section)


def bulk(lab: Lab, peers: list[Running], options: Namespace, save: Save, work: str) -> None:
    size = options.bulk_size
    section = Section(work="bulk", workers=lab.workers, detail=work, seconds=0, size=size)
    say(f"\n{section.title()}: {rounds_of(options.rounds)} of {size / GIB:g} GiB with each of {len(peers)}")

    def transfer(running: Running, size: int) -> tuple[float, float]:
        """How many bytes, and the seconds they took."""
        if work == "curl":
            return size, load.curl_down(lab, running.port, size)
        modes = ["down", "up"] if work == "both" else [work]
        return size * len(modes), load.transfers(lab, running.port, size, modes)

    for running in peers:
        transfer(running, size // 8)
    for running in interleaved(peers, options.rounds):
        meter = Meter(running, lab.workers)
        moved, seconds = transfer(running, size)
        section.add(running.peer.name, {**meter.read(moved / GIB), "speed": moved / seconds})
    save(section)


class Sessions:
    """Idle sessions, held by the client."""

    def __init__(self, lab: Lab, port: int, count: int):
        self.process = lab.popen(str(lab.programs / "client"), "hold", str(port), str(count),
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def __enter__(self) -> None:
        assert self.process.stdout
        if (line := self.process.stdout.readline()) != b"ready\n":      # the client's own patience bounds it
            raise Failed(f"sessions could not be opened: {line.decode()}")

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def settled_kernel() -> dict[str, int]:
    """Sockets that were closed and other remains go with a delay: waits until the figure stands still, for a while."""
    last, deadline = figures.kernel_memory(), time.monotonic() + 5
    while time.monotonic() < deadline:
        time.sleep(0.5)
        now = figures.kernel_memory()
        if abs(now["slab"] - last["slab"]) < 256 * 1024:
            return now
        last = now
    return last


def tcp_sockets() -> int:
    return int(Path("/proc/net/sockstat").read_text().partition("TCP: inuse ")[2].split()[0])


def wait_for_fewer_sockets(few: float) -> None:
    wait_until(lambda: tcp_sockets() < few, "the sessions are closed", 10)


def memory(lab: Lab, peers: list[Peer], options: Namespace, save: Save) -> None:
    count = min(options.sessions, sessions_within(lab.descriptors) - 100)
    if count < options.sessions:
        say(f"the descriptor limit of {lab.descriptors} allows {count} sessions")
    rounds = min(options.rounds, MEMORY_ROUNDS)
    section = Section(work="memory", workers=lab.workers, detail=str(count), seconds=0, size=count)
    say(f"\n{section.title()}: {rounds_of(rounds)} with a fresh process of each of {len(peers)}")
    backend = lab.backend()
    for _ in range(rounds):
        # Without a proxy: what client and backend cost the kernel, which is not the proxy's.
        kernel = settled_kernel()
        with Sessions(lab, backend, count):
            section.add("direct", kernel_delta(kernel, count))
        for peer in peers:
            few = tcp_sockets() + count / 4
            running = launch(lab, peer, backend)
            with Sessions(lab, running.port, 32):
                pass    # what a process allocates at its first sessions is not theirs
            time.sleep(0.5)
            pid, kernel = running.process.pid, settled_kernel()
            base = figures.user_memory(pid)
            with Sessions(lab, running.port, count):
                time.sleep(0.5)
                used = figures.user_memory(pid)
                section.add(peer.name, {
                    **{name: (used[name] - base[name]) / count for name in used}, "base": base["pss"],
                    **kernel_delta(kernel, count)})
            lab.stop(running.process)
            try:
                wait_for_fewer_sockets(few)
            except Failed:
                pass    # others' sockets, on a machine that is shared
    save(section)


def kernel_delta(before: dict[str, int], count: int) -> Round:
    after = settled_kernel()
    return {name: (after[name] - before[name]) / count for name in after}


def compare(lab: Lab, peers: list[Peer], options: Namespace, save: Save) -> None:
    """Whatever of keep-alive, close, bulk and memory was asked for."""
    if set(options.only) & {"keepalive", "close", "bulk"}:
        backend = lab.backend()
        running = [launch(lab, peer, backend) for peer in peers if not peer.is_for_bulk_only or "bulk" in options.only]
        answering = [each for each in running if not each.peer.is_for_bulk_only]
        if "keepalive" in options.only:
            for connections in options.connections:
                requests(lab, answering, options, save, "keepalive", connections)
        if "close" in options.only:
            requests(lab, answering, options, save, "close", options.close_connections)
        if "bulk" in options.only:
            for work in BULK_WORKS:
                bulk(lab, running, options, save, work)
        for each in running:
            lab.stop(each.process)
    if "memory" in options.only:
        memory(lab, [peer for peer in peers if not peer.is_for_bulk_only], options, save)

"""What the kernel counts: CPU time of a process and of the machine, memory of a process and of the sockets."""

from __future__ import annotations

import os
import re
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    members = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                members += family(int(child))
    except OSError:
        pass    # it ends while it is looked at
    return members


def cpu_seconds(pid: int, is_worker: str | None = None) -> dict[int, float]:
    """CPU time of each thread of a process and its children, with the scheduler's nanoseconds: a clock tick of 10 ms is
    as much as hundreds of requests take. With a name, only of the threads whose name begins so."""
    seconds: dict[int, float] = {}
    for member in family(pid):
        for task in Path(f"/proc/{member}/task").iterdir():
            try:
                if is_worker is None or (task / "comm").read_text().startswith(is_worker):
                    seconds[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
            except OSError:
                pass    # the thread has ended
    return seconds


def spent(before: dict[int, float], after: dict[int, float]) -> list[float]:
    """CPU time of each thread between two looks."""
    return [seconds - before.get(thread, 0) for thread, seconds in after.items()]


def machine_seconds() -> float:
    """CPU time that the whole machine has worked, other programs included."""
    all_processors = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, all_processors)
    return (user + nice + system + irq + softirq) / TICKS


def user_memory(pid: int) -> dict[str, int]:
    """Resident and proportional memory of a process and its children, in bytes."""
    total = {"rss": 0, "pss": 0}
    for member in family(pid):
        text = Path(f"/proc/{member}/smaps_rollup").read_text()
        for name in total:
            total[name] += int(re.search(rf"^{name.title()}:\s+(\d+) kB", text, re.M)[1]) * 1024  # type: ignore[index]
    return total


def kernel_memory() -> dict[str, int]:
    """What the kernel holds in slabs, in which sockets are, and in TCP's buffers; of the whole machine, in bytes."""
    slab = re.search(r"^Slab:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    buffers = re.search(r"^TCP:.* mem (\d+)", Path("/proc/net/sockstat").read_text(), re.M)
    assert slab and buffers
    return {"slab": int(slab[1]) * 1024, "buffers": int(buffers[1]) * PAGE}

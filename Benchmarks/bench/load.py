"""The load: wrk, curl, and the client of our own. Each fails where an answer is not what was asked for."""

from __future__ import annotations

import re
import signal
import subprocess
from dataclasses import dataclass

from . import tools
from .lab import Failed, Lab

PATIENCE = 120.0
"""Seconds for a transfer beyond which it is taken to hang."""


@dataclass(frozen=True)
class Wrk:
    """What wrk reports; `seconds` is how long it really took."""

    requests: int
    seconds: float
    errors: int
    p50: float
    p99: float


def wrk_command(lab: Lab, port: int, connections: int, seconds: float, closes: bool) -> list[str]:
    threads = min(lab.workers, connections)
    return [tools.need("wrk"), "-t", str(threads), "-c", str(connections), "-d", f"{seconds:g}s", "--latency",
            *(["-H", "Connection: close"] if closes else []), f"http://127.0.0.1:{port}/"]


def wrk(lab: Lab, port: int, connections: int, seconds: float, closes: bool = False) -> Wrk:
    process = lab.popen(*wrk_command(lab, port, connections, seconds, closes),
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return wrk_result(process, seconds + PATIENCE)


def wrk_result(process: subprocess.Popen[bytes], timeout: float) -> Wrk:
    output = bounded(process, timeout)
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m|h)", output)
    if total is None or process.returncode != 0:
        raise Failed(f"wrk: {output}")
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    shares = {share: re.search(rf"^ +{share}% +([\d.]+)(us|ms|s|m)$", output, re.M) for share in (50, 99)}
    p50, p99 = (seconds_of(*match.groups()) if match else float("nan") for match in shares.values())
    return Wrk(int(total[1]), seconds_of(total[2], total[3]),
               (sum(map(int, broken.groups())) if broken else 0) + (int(refused[1]) if refused else 0), p50, p99)


def seconds_of(number: str, unit: str) -> float:
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}[unit]


def stop_wrk(process: subprocess.Popen[bytes]) -> Wrk:
    """Ends wrk before its time; it reports what it has."""
    process.send_signal(signal.SIGINT)
    return wrk_result(process, 10)


def bounded(process: subprocess.Popen[bytes], timeout: float) -> str:
    try:
        return process.communicate(timeout=timeout)[0].decode()
    except subprocess.TimeoutExpired:
        raise Failed(f"{process.args!r} did not end within {timeout:g} s") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def curl_down(lab: Lab, port: int, size: int) -> float:
    """Seconds that curl takes to fetch and throw away so many bytes."""
    process = lab.popen(tools.need("curl"), "-sS", "-o", "/dev/null", "-w",
                        "%{http_code} %{size_download} %{time_total}", f"http://127.0.0.1:{port}/bulk?bytes={size}",
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = bounded(process, PATIENCE).split()
    if output[:2] != ["200", str(size)]:
        raise Failed(f"curl: {' '.join(output)}")
    return float(output[2])


def transfers(lab: Lab, port: int, size: int, modes: list[str]) -> float:
    """Seconds until all of several transfers that begin at once have ended."""
    processes = [lab.popen(str(lab.programs / "client"), mode, str(port), str(size),
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for mode in modes]
    try:
        outputs = [bounded(process, PATIENCE) for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
    for process, output in zip(processes, outputs):
        if process.returncode != 0:
            raise Failed(f"{process.args!r}: {output}")
    return max(float(output) for output in outputs)

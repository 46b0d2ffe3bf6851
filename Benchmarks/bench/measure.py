"""What is measured. Each function fills `results[...]`: figures by peer, a list with one value a round. Peers take turns within
a round, so that a machine whose speed drifts hurts all alike."""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import socket
import subprocess
import time
from typing import Any

from . import peers
from .lab import PATIENCE, Lab, cpu_seconds, find, free_port, kernel_bytes, machine_seconds, thread_seconds, user_bytes, \
    wait_until_answering

GIB = 1 << 30
Figures = dict[str, dict[str, list[float]]]


class Load:
    """What wrk reports."""

    def __init__(self, output: str):
        self.requests = max(1, int(re.search(r"(\d+) requests in", output)[1]))
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
        self.errors = (sum(map(int, errors.groups())) if errors else 0) + (int(refused[1]) if refused else 0)
        self.p50, self.p99 = (self.microseconds(re.search(rf"^ +{share}% +(\S+)$", output, re.M)[1]) for share in (50, 99))

    @staticmethod
    def microseconds(text: str) -> float:
        number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
        return float(number) * {"us": 1, "ms": 1000, "s": 1e6}[unit]


def add(figures: Figures, peer: str, **values: float) -> None:
    for name, value in values.items():
        figures.setdefault(peer, {}).setdefault(name, []).append(value)


def requests(lab: Lab, names: list[str], connections: int, rounds: int, seconds: float, *more: str) -> Figures:
    backend = lab.backend()
    running = {name: peers.start(lab, name, backend, 1) for name in names}
    figures: Figures = {}
    for _, port in running.values():
        lab.wrk(port, connections, 1, *more)
    for _ in range(rounds):
        for name, (pid, port) in running.items():
            proxy, machine = cpu_seconds(pid), machine_seconds()
            load = Load(lab.wrk(port, connections, seconds, *more))
            add(figures, name, cpu=(cpu_seconds(pid) - proxy) / load.requests * 1e6,
                machine=(machine_seconds() - machine) / load.requests * 1e6,
                rate=load.requests / seconds, p50=load.p50, p99=load.p99, errors=load.errors)
    return figures


def bulk(lab: Lab, names: list[str], kind: str, rounds: int, size: int = GIB) -> Figures:
    """kind: `curl` (down), or what the backend program's clients do: `get`, `put`, `both`."""
    backend = lab.backend(threads=2)
    running = {name: peers.start(lab, name, backend, 1) for name in names}
    figures: Figures = {}
    for round_ in range(rounds + 1):
        for name, (pid, port) in running.items():
            if kind == "curl":
                command = [find("curl"), "-s", "-f", "-o", "/dev/null", f"http://127.0.0.1:{port}/bulk/{size}"]
            else:
                command = [lab.backend_program, kind, str(port), str(size)]
            before, began = cpu_seconds(pid), time.monotonic()
            subprocess.run(["taskset", "-c", lab.load_cores, *command], check=True, timeout=120)
            moved = size * (2 if kind == "both" else 1)
            # The first round warms up.
            if round_ > 0:
                add(figures, name, cpu=(cpu_seconds(pid) - before) / (moved / GIB),
                    rate=moved / 1e9 / (time.monotonic() - began))
    return figures


def memory(lab: Lab, names: list[str], sessions: int) -> Figures:
    """Bytes an idle session: the proxy's own, and what the kernel has for the whole path, client and backend included."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    backend = lab.backend()
    figures: Figures = {}
    for name in names:
        pid, port = peers.start(lab, name, backend, 1)
        lab.wrk(port, 64, 1)
        time.sleep(1)
        user, kernel = user_bytes(pid), kernel_bytes()
        clients = []
        for _ in range(sessions):
            client = socket.create_connection(("127.0.0.1", port))
            # One answer each, so that http proxies have seen what the session is for.
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            client.recv(4096)
            clients.append(client)
        time.sleep(1)
        add(figures, name, user=(user_bytes(pid) - user) / sessions, kernel=(kernel_bytes() - kernel) / sessions)
        for client in clients:
            client.close()
        time.sleep(1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return figures


class Admin(http.client.HTTPConnection):
    def __init__(self, path: str):
        super().__init__("bgproxy", timeout=PATIENCE)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self.path)

    def switch(self, color: str) -> dict[str, Any]:
        self.request("POST", "/v1/switch", json.dumps({"to": color}))
        return json.loads(self.getresponse().read())["lastSwitch"]


def switches(lab: Lab, protocol: str, count: int, connections: int) -> Figures:
    """The parts of a switch in microseconds, under wrk, and the requests that failed."""
    blue, green = lab.backend(text="blue"), lab.backend(text="green")
    folder = lab.folder / f"switches-{protocol}"
    folder.mkdir(mode=0o755)
    port = free_port()
    peers.start_bgproxy(lab, folder, port, blue, green, 2, protocol)
    wait_until_answering(port)
    admin = Admin(str(folder / "admin" / "admin.sock"))
    figures: Figures = {}
    load = subprocess.Popen([find("wrk"), "-t", "1", "-c", str(connections), "-d", "600s", "--latency",
                             f"http://127.0.0.1:{port}/"], stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(0.5)
        for number in range(count):
            color = ("green", "blue")[number % 2]
            began = time.monotonic()
            receipt = admin.switch(color)
            acknowledged = time.monotonic()
            probe = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            probe.request("GET", "/")
            text = probe.getresponse().read().decode().strip()
            answered = time.monotonic()
            probe.close()
            add(figures, f"bgproxy {protocol}", store=receipt["flipMicroseconds"],
                acknowledged=(acknowledged - began) * 1e6, answered=(answered - began) * 1e6, wrong=float(text != color))
    finally:
        load.send_signal(2)
        output = load.communicate(timeout=PATIENCE)[0]
    figures[f"bgproxy {protocol}"]["lost"] = [float(Load(output).errors)]
    return figures


def workers(lab: Lab, names: list[str], rounds: int, seconds: float) -> dict[str, Figures]:
    """One worker and two, on all cores, which load and backend use as well; and how evenly bgproxy's two share sessions."""
    backend = lab.backend(threads=2)
    running = {f"{name}, {count} worker{'s' * (count > 1)}": peers.start(lab, name, backend, count)
               for name in names for count in (1, 2)}
    tables: dict[str, Figures] = {}
    for title, more in {"keep-alive": [], "connection per request": ["-H", "Connection: close"]}.items():
        figures: Figures = {}
        for _ in range(rounds):
            for name, (pid, port) in running.items():
                before = thread_seconds(pid)
                load = Load(lab.wrk(port, 256, seconds, *more))
                spent = [after - earlier for earlier, after in zip(before, thread_seconds(pid))]
                busiest = sorted(spent)[-2:]
                add(figures, name, cpu=sum(spent) / load.requests * 1e6, rate=load.requests / seconds, p99=load.p99,
                    balance=busiest[0] / max(busiest[-1], 1e-9) if "2 workers" in name else 1.0, errors=load.errors)
        tables[title] = figures
    return tables


def machine() -> dict[str, str]:
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    congestion = open("/proc/sys/net/ipv4/tcp_congestion_control").read().strip()
    return {"processor": model, "processors": str(len(os.sched_getaffinity(0))), "kernel": os.uname().release,
            "congestion control": congestion, "date": time.strftime("%Y-%m-%d", time.gmtime())}

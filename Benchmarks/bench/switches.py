"""The time of a switch under load, and whether a request is lost by it."""

from __future__ import annotations

import http.client
import json
import select
import socket
import subprocess
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from . import load
from .lab import Failed, Lab, free_port
from .measure import Save
from .peers import start_bgproxy
from .results import Section
from .tools import say

PATIENCE = 10.0
"""Seconds within which the new color has to answer."""


class AdminConnection(http.client.HTTPConnection):
    def __init__(self, path: Path):
        super().__init__("bgproxy", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def switch(admin: Path, color: str) -> dict[str, Any]:
    """One call on a connection of its own, as bgproxyctl makes it. Returns the receipt."""
    connection = AdminConnection(admin)
    try:
        connection.request("POST", "/v1/switch", json.dumps({"to": color, "reason": "benchmark"}),
                           {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise Failed(f"switch to {color}: {response.status} {text.decode()}")
        receipt: dict[str, Any] = json.loads(text)["lastSwitch"]
        return receipt
    finally:
        connection.close()


class Probe:
    """The client that asks without a pause, and tells when the answer comes from another color."""

    def __init__(self, lab: Lab, port: int, closes: bool):
        self.process = lab.popen(str(lab.programs / "client"), "probe", str(port),
                                 "close" if closes else "keep", stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def next(self, color: str) -> tuple[int, int]:
        """When the last request that the old color answered was sent; when the new color's first answer was here."""
        assert self.process.stdout
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise Failed(f"no answer from {color} within {PATIENCE:g} s")
        asked, answered, body = self.process.stdout.readline().split() or (0, 0, b"nothing")
        if body != color.encode():
            raise Failed(f"expected an answer from {color}, not {body.decode()}")
        return int(asked), int(answered)

    def stop(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def measure(lab: Lab, options: Namespace, save: Save) -> None:
    backends = lab.backend("blue"), lab.backend("green")
    for protocol in ("tcp", "http"):
        one_protocol(lab, options, save, protocol, *backends)


def one_protocol(lab: Lab, options: Namespace, save: Save, protocol: str, blue: int, green: int) -> None:
    # With protocol tcp a switch concerns new connections: the load opens one for each request. With http it moves the
    # clients between two requests: the load keeps its connections.
    closes = protocol == "tcp"
    section = Section(work="switch", workers=lab.workers, detail=protocol, seconds=0, size=options.switch_connections)
    say(f"\n{section.title()}: {options.switches} switches, wrk with {options.switch_connections} connections")
    port, folder = free_port(), lab.subfolder(f"switch {protocol}")
    proxy = start_bgproxy(lab, folder, port, protocol, blue, green, lab.workers)
    proxy.wait_until_answering(port)
    admin = folder / "admin" / "admin.sock"
    # A bound for the load, far beyond what it takes; it is stopped when the switches are done.
    bound = 30 + options.switches // 5
    wrk = lab.popen(*load.wrk_command(lab, port, options.switch_connections, bound, closes),
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    probe = Probe(lab, port, closes)
    try:
        probe.next("blue")
        time.sleep(1)
        for number in range(options.switches):
            color = "blue" if number % 2 else "green"
            called = time.monotonic_ns()
            receipt = switch(admin, color)
            acknowledged = time.monotonic_ns()
            last_old, first_new = probe.next(color)
            section.add("bgproxy " + protocol, {
                "flip": receipt["flipMicroseconds"] / 1e6, "confirm": receipt.get("confirmMicroseconds", 0) / 1e6,
                "persist": receipt["persistMicroseconds"] / 1e6, "acknowledged": (acknowledged - called) / 1e9,
                "first": (first_new - called) / 1e9, "stale": int(last_old > acknowledged)})
            if wrk.poll() is not None:
                raise Failed(f"the load has ended after {number + 1} switches: "
                             f"{wrk.stdout.read().decode() if wrk.stdout else ''}")
        done = load.stop_wrk(wrk)
    finally:
        probe.stop()
        if wrk.poll() is None:
            wrk.kill()
            wrk.wait()
    section.load = {"requests": done.requests, "errors": done.errors, "rate": done.requests / done.seconds}
    lab.stop(proxy)
    save(section)

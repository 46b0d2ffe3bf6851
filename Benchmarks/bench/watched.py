"""What it costs the traffic that a front door is looked at: the same process with and without those who do."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from collections import Counter
from pathlib import Path

from . import load
from .lab import Failed, Lab, free_port
from .measure import Meter, Save, interleaved, rounds_of
from .peers import Peer, Running, start_bgproxy
from .results import Section
from .tools import say

CONNECTIONS = 64


class Watchers:
    def __init__(self, lab: Lab, port: int):
        self.told: Counter[str] = Counter()
        self.process = lab.popen(sys.executable, str(Path(__file__).with_name("watchers.py")), str(port),
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Watchers:
        assert self.process.stdout
        if self.process.stdout.readline() != b"ready\n":
            raise Failed("those who look at the front door did not begin")
        return self

    def __exit__(self, *_: object) -> None:
        output, _ = self.process.communicate(timeout=20)
        self.told.update(json.loads(output))


def measure(lab: Lab, options: Namespace, save: Save) -> None:
    backend = lab.backend()
    for protocol in ("tcp", "http"):
        one_protocol(lab, options, save, protocol, backend)


def one_protocol(lab: Lab, options: Namespace, save: Save, protocol: str, backend: int) -> None:
    section = Section(work="watched", workers=lab.workers, detail=protocol, seconds=options.seconds, size=CONNECTIONS)
    say(f"\n{section.title()}: {rounds_of(options.rounds)} of {options.seconds} s with and without watchers")
    port, public = free_port(), free_port()
    process = start_bgproxy(lab, lab.subfolder(f"watched {protocol}"), port, protocol, backend, backend, lab.workers,
                            metrics=public)
    process.wait_until_answering(port)
    alone, watched = (Running(Peer(name, "bgproxy", protocol, lambda *_: process, worker_threads="worker-"), process, port)
                      for name in (f"bgproxy {protocol}", f"bgproxy {protocol} watched"))
    told: Counter[str] = Counter()

    def one_round(running: Running) -> None:
        meter = Meter(running, lab.workers)
        done = load.wrk(lab, port, CONNECTIONS, options.seconds)
        section.add(running.peer.name, {**meter.read(done.requests), "rate": done.requests / done.seconds,
                                        "p50": done.p50, "p99": done.p99, "errors": done.errors})

    load.wrk(lab, port, CONNECTIONS, 1)
    for running in interleaved([alone, watched], options.rounds):
        if running is alone:
            one_round(running)
        else:
            with Watchers(lab, public) as watchers:
                one_round(running)
            told += watchers.told
    section.load = dict(told)
    lab.stop(process)
    save(section)

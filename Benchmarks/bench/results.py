"""The raw numbers of all sections, kept as JSON, and what is reckoned from them: medians, spread, ratios."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GIB = 1 << 30

Round = dict[str, Any]

BULK_WORKS = {"curl": "down, to curl", "down": "down, to a client that discards", "up": "up",
              "both": "down and up at once"}
"""Of bulk: what each is called."""

WORKS = ("keepalive", "close", "bulk", "memory", "watched", "switch")
"""In the order of the document."""


@dataclass
class Section:
    """One measurement: each peer's rounds, taken side by side. Only what is in one section may be compared."""

    work: str
    workers: int
    detail: str
    """Connections, or what kind of bulk, or the protocol."""
    seconds: int
    size: int = 0
    """Bytes of a transfer, or sessions, or connections of the load."""
    date: str = ""
    bgproxy: str = ""
    """The version that was measured: sections may be of different days."""
    peers: dict[str, list[Round]] = field(default_factory=dict)
    load: dict[str, float] = field(default_factory=dict)

    def key(self) -> str:
        """What a later measurement replaces. Close and memory are measured at one size: another one replaces it."""
        detail = "" if self.work in ("close", "memory") else f" {self.detail}"
        return f"{self.work}{detail}, {self.workers} worker{'s' if self.workers > 1 else ''}"

    def title(self) -> str:
        workers = "one worker" if self.workers == 1 else f"{self.workers} workers"
        if self.work == "bulk":
            return f"bulk {BULK_WORKS[self.detail]}, {workers}"
        many = f"{int(self.detail):,}" if self.detail.isdigit() else self.detail
        return {"keepalive": f"keep-alive, {many} connection{'' if many == '1' else 's'}",
                "close": f"one connection per request, {many} at once",
                "memory": f"memory of {many} idle sessions",
                "watched": f"watched, protocol {many}",
                "switch": f"switch under load, protocol {many}"}[self.work] + f", {workers}"

    def add(self, peer: str, measured: Round) -> None:
        self.peers.setdefault(peer, []).append(measured)

    def values(self, peer: str, figure: str) -> list[float]:
        values = [each[figure] for each in self.peers.get(peer, []) if figure in each]
        return [value for value in values if not math.isnan(value)]

    def median(self, peer: str, figure: str) -> float | None:
        values = self.values(peer, figure)
        return statistics.median(values) if values else None

    def ratio(self, peer: str, other: str, figure: str) -> Ratio | None:
        mine, theirs = self.median(peer, figure), self.median(other, figure)
        if mine is None or not theirs:
            return None
        # Of the same round, so that what slows both for a while does not count.
        each = sorted(a / b for a, b in zip(self.values(peer, figure), self.values(other, figure)) if b)
        return Ratio(mine / theirs, quantile(each, 0.25), quantile(each, 0.75))


@dataclass(frozen=True)
class Ratio:
    """Of two medians; and between which values the middle half of the rounds' own ratios lies."""

    value: float
    low: float
    high: float


def quantile(values: list[float], share: float) -> float:
    """Between the two nearest values; of sorted ones."""
    if not values:
        return float("nan")
    place = share * (len(values) - 1)
    below = math.floor(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (place - below)


class Results:
    def __init__(self, path: Path):
        self.path = path
        self.machine: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        self.sections: dict[str, Section] = {}
        if path.exists():
            stored = json.loads(path.read_text())
            self.machine, self.versions, self.left_out = stored["machine"], stored["versions"], stored["leftOut"]
            for values in stored["sections"]:
                section = Section(**values)
                self.sections[section.key()] = section

    def is_of_another_machine(self, machine: dict[str, str]) -> bool:
        """Their figures do not belong into one document."""
        return bool(self.sections) and any(self.machine.get(name) != machine[name] for name in ("CPU", "processors"))

    def put(self, section: Section) -> None:
        """In the place of an earlier measurement of the same, as a whole: rounds of another day do not compare."""
        section.date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
        section.bgproxy = self.versions.get("bgproxy", "")
        for rounds in section.peers.values():
            for each in rounds:
                each.update({name: rounded(value) for name, value in each.items()})
        self.sections[section.key()] = section
        self.save()

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        # One round a line: so that the file can be read, and a change of it as well.
        sections = []
        for section in self.ordered():
            values = dataclasses.asdict(section)
            peers = values.pop("peers")
            lines = ",\n".join(
                f"    {json.dumps(name)}: [\n" + ",\n".join(f"     {json.dumps(each)}" for each in rounds) + "]"
                for name, rounds in peers.items())
            sections.append(f"  {json.dumps(values)[:-1]}, \"peers\": {{\n{lines}}}}}")
        partial.write_text(f'{{"machine": {json.dumps(self.machine)},\n "versions": {json.dumps(self.versions)},\n'
                           f' "leftOut": {json.dumps(self.left_out)},\n'
                           ' "sections": [\n' + ",\n".join(sections) + "]}\n")
        os.replace(partial, self.path)

    def ordered(self) -> list[Section]:
        def place(section: Section) -> tuple[int, int, int, str]:
            number = int(section.detail) if section.detail.isdigit() else 0
            kinds = [*BULK_WORKS, "tcp", "http"]
            return (WORKS.index(section.work), section.workers, number,
                    str(kinds.index(section.detail)) if section.detail in kinds else "")
        return sorted(self.sections.values(), key=place)

    def find(self, work: str, detail: str = "", workers: int = 1) -> Section | None:
        for section in self.ordered():
            if section.work == work and section.workers == workers and detail in ("", section.detail):
                return section
        return None


def rounded(value: Any) -> Any:
    """Six digits that count: more would only make the file longer."""
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value

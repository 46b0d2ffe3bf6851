"""What was measured, for people: tables on the terminal, docs/benchmarks.md and its charts. All of it from results.json."""

from __future__ import annotations

import json
import statistics
from typing import Any

from .charts import Bar, chart
from .lab import ROOT

FOLDER = ROOT / "docs" / "benchmarks"
Results = dict[str, Any]

COLUMNS = {
    "cpu": ("CPU a request, µs", "{:.2f}"), "machine": ("machine's CPU a request, µs", "{:.1f}"), "rate": ("requests a second", "{:,.0f}"),
    "p50": ("p50, µs", "{:,.0f}"), "p99": ("p99, µs", "{:,.0f}"), "errors": ("errors", "{:.0f}"),
    "user": ("proxy's own, bytes a session", "{:,.0f}"), "kernel": ("kernel, whole path, bytes a session", "{:,.0f}"),
    "balance": ("less busy worker / busier", "{:.2f}")}
BULK = {"cpu": ("CPU s/GiB", "{:.3f}"), "rate": ("GB/s", "{:.2f}")}
TITLES = {
    "keepalive": "Keep-alive, {} connections", "close": "One connection a request, {} at a time", "bulk": "{}",
    "memory": "Memory of an idle session, {} sessions", "workers": "One worker and two, 256 connections: {}"}
KINDS = {"curl": "Bulk: 1 GiB down to curl", "get": "Bulk: 1 GiB down to a client that discards it",
         "put": "Bulk: 1 GiB up", "both": "Bulk: 1 GiB each way at once"}

# Part, key, figure, whose, and the goal for each of the others. Below 1 less is better; at 1.25 more.
GOALS = [
    ("tcp keep-alive, 64: CPU", "keepalive", "64", "cpu", "bgproxy tcp", {"floor": 1.00, "haproxy tcp": 0.95, "nginx stream": 0.95}),
    ("tcp keep-alive, 512: CPU", "keepalive", "512", "cpu", "bgproxy tcp", {"floor": 1.03, "haproxy tcp": 0.87, "nginx stream": 0.87}),
    ("http keep-alive, 64: CPU", "keepalive", "64", "cpu", "bgproxy http", {"haproxy http": 0.70, "nginx http": 0.75}),
    ("one connection a request: CPU", "close", "64", "cpu", "bgproxy tcp", {"floor": 1.00, "haproxy tcp": 0.88, "nginx stream": 0.92}),
    ("bulk to curl: CPU", "bulk", "curl", "cpu", "bgproxy tcp",
     {"floor": 0.62, "haproxy tcp": 0.45, "haproxy splice": 0.45, "nginx stream": 0.45}),
    ("bulk to curl: GB/s", "bulk", "curl", "rate", "bgproxy tcp", {"haproxy tcp": 1.25, "nginx stream": 1.25}),
    ("one lone keep-alive client: p50", "keepalive", "1", "p50", "bgproxy tcp", {"haproxy tcp": 0.45, "nginx stream": 0.45}),
    ("idle session: user memory", "memory", "5000", "user", "bgproxy tcp", {"haproxy tcp": 0.25, "nginx stream": 0.25}),
]


def load() -> Results:
    file = FOLDER / "results.json"
    return json.loads(file.read_text()) if file.exists() else {}


def save(results: Results) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "results.json").write_text(json.dumps(rounded(results), indent=1) + "\n")


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def title(part: str, key: str) -> str:
    return TITLES[part].format(KINDS.get(key, key))


def cells(figures: dict[str, list[float]], columns: dict[str, tuple[str, str]]) -> list[str]:
    """Median, and in brackets the spread where there were several rounds."""
    found = []
    for name, (_, form) in columns.items():
        values = figures[name]
        text = form.format(sum(values) if name == "errors" else statistics.median(values))
        if len(values) > 1 and name in ("cpu", "rate", "p50"):
            text += f" ({form.format(min(values))} to {form.format(max(values))})"
        found.append(text)
    return found


def table(part: str, measured: dict[str, dict[str, list[float]]]) -> list[list[str]]:
    known = BULK if part == "bulk" else COLUMNS
    present = {name: known[name] for name in known if any(name in figures for figures in measured.values())}
    rows = [["", *(heading for heading, _ in present.values())]]
    return rows + [[name, *cells(figures, present)] for name, figures in measured.items()]


def switch_table(measured: dict[str, dict[str, dict[str, list[float]]]]) -> list[list[str]]:
    names = {"store": "the store of the word", "acknowledged": "until it is acknowledged, state on disk",
             "answered": "until the first answer from the new color"}
    rows = [["µs", *(f"{protocol}: p50, p99, most" for protocol in measured)]]
    figures = [next(iter(each.values())) for each in measured.values()]
    for name, text in names.items():
        rows.append([text, *(", ".join(f"{value:,.0f}" for value in (
            statistics.median(each[name]), statistics.quantiles(each[name], n=100)[98], max(each[name]))) for each in figures)])
    rows.append(["switches", *(str(len(each["store"])) for each in figures)])
    rows.append(["answers of the wrong color", *(f"{sum(each['wrong']):.0f}" for each in figures)])
    rows.append(["requests lost", *(f"{sum(each['lost']):.0f}" for each in figures)])
    return rows


def print_table(part: str, key: str, measured: dict) -> None:
    rows = switch_table({key: measured}) if part == "switch" else table(part, measured)
    print(f"\n{key if part == 'switch' else title(part, key)}")
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)), flush=True)


def markdown(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "| --- |" + " ---: |" * (len(rows[0]) - 1), *lines[1:]])


def median(results: Results, part: str, key: str, peer: str, figure: str) -> float | None:
    values = results.get(part, {}).get(key, {}).get(peer, {}).get(figure)
    return statistics.median(values) if values else None


def goals(results: Results) -> list[list[str]]:
    others = ["floor", "haproxy", "haproxy splice", "nginx"]
    rows = [["bgproxy / …", *others]]
    for text, part, key, figure, ours, wanted in GOALS:
        row = [text]
        for other in others:
            peer, goal = next(((peer, goal) for peer, goal in wanted.items()
                               if peer == other or peer.split()[0] == other and peer != "haproxy splice"), (None, None))
            mine = median(results, part, key, ours, figure)
            theirs = median(results, part, key, peer, figure) if peer else None
            if mine is None or not theirs:
                row.append("")
                continue
            ratio = mine / theirs
            reached = ratio >= goal if figure == "rate" else ratio <= goal
            ahead = ratio < 1 if figure == "rate" else ratio > 1
            row.append(f"{'**' if reached else ''}{ratio:.2f}{'**' if reached else ''} (goal {goal:.2f})"
                       + ("; it is ahead" if ahead and other != "floor" else ""))
        rows.append(row)
    return rows


def ahead(part: str, measured: dict[str, dict[str, list[float]]]) -> str:
    """Who does better than bgproxy at the same kind of work; the floor, which does nothing else, aside."""
    said = []
    for kind in ("tcp", "http"):
        mine = measured.get(f"bgproxy {kind}")
        if not mine:
            continue
        for figure, less_is_better in (("cpu", True), ("rate", False), ("p50", True), ("user", True)):
            if figure not in mine:
                continue
            names = [name for name, figures in measured.items()
                     if not name.startswith(("bgproxy", "floor")) and ("http" in name) == (kind == "http")
                     and (statistics.median(figures[figure]) < statistics.median(mine[figure])) == less_is_better
                     and statistics.median(figures[figure]) != statistics.median(mine[figure])]
            if names:
                heading = (BULK if part == "bulk" else COLUMNS)[figure][0]
                said.append(f"{heading}, {kind}: {', '.join(names)}")
    return f"\n\nAhead of bgproxy here: {'; '.join(said)}." if said else ""


def bars(measured: dict[str, dict[str, list[float]]], figure: str) -> list[Bar]:
    return [Bar(name, statistics.median(each[figure]), min(each[figure]), max(each[figure])) for name, each in measured.items()]


CHARTS = [
    ("keepalive", "1", "p50", "One lone keep-alive client: p50 latency", "µs; less is better", "{:,.0f} µs"),
    ("keepalive", "64", "cpu", "Keep-alive, 64 connections: CPU of the proxy a request", "µs; less is better", "{:.1f} µs"),
    ("keepalive", "512", "cpu", "Keep-alive, 512 connections: CPU of the proxy a request", "µs; less is better", "{:.1f} µs"),
    ("close", "64", "cpu", "One connection a request: CPU of the proxy", "µs; less is better", "{:.0f} µs"),
    ("bulk", "curl", "cpu", "1 GiB to curl: CPU of the proxy", "seconds; less is better", "{:.2f} s"),
    ("bulk", "curl", "rate", "1 GiB to curl: throughput", "GB/s; more is better", "{:.2f} GB/s"),
    ("memory", "5000", "user", "Memory of the proxy for an idle session", "bytes; less is better", "{:,.0f} B"),
]


def render(results: Results) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    machine, versions = results["machine"], results["versions"]
    text = ["# Benchmarks", "",
            "Written by `Benchmarks/run`, which measures all of it anew; the figures of each round are in "
            "[benchmarks/results.json](benchmarks/results.json).", "",
            f"{machine['processor']}, {machine['processors']} processors, kernel {machine['kernel']}, "
            f"TCP congestion control {machine['congestion control']}. One worker each, bound to one core, and load and backend on the "
            "other, unless a table says otherwise. Rounds are interleaved; what is shown is medians, with the lowest and the highest in "
            "brackets. What counts is ratios: the machine is virtual, shared and noisy.", "",
            "; ".join(f"{name}: {version}" for name, version in versions.items()) + ".", ""]
    if results.get("left out"):
        text += [f"Not here, and left out: {', '.join(results['left out'])}.", ""]
    text += ["## Where bgproxy wants to be", "", "Ratios of medians, bgproxy / the other; in bold where the goal is reached. The floor "
             "is a forwarder in C that does nothing else ([floor.c](../Benchmarks/floor.c)).", "", markdown(goals(results)), ""]
    for part, key, figure, heading, note, form in CHARTS:
        measured = results.get(part, {}).get(key)
        if measured:
            name = f"{part}-{key}-{figure}.svg"
            (FOLDER / name).write_text(chart(heading, note, bars(measured, figure), form.format))
            text += [f"![{heading}](benchmarks/{name})", ""]
    for part in TITLES:
        if part not in results:
            continue
        terms = results["terms"][part]
        for key, measured in results[part].items():
            text += [f"## {title(part, key)}", "", f"{terms['date']}, {terms['rounds']} rounds"
                     + (f" of {terms['seconds']:g} s." if part in ("keepalive", "close", "workers") else "."), "",
                     markdown(table(part, measured)) + ahead(part, measured), ""]
    if "switch" in results:
        text += ["## A switch under load", "", f"{results['terms']['switch']['date']}, two workers on all cores, wrk with 64 keep-alive "
                 "connections, which take both cores as well: most of the time is the scheduler's.", "",
                 markdown(switch_table(results["switch"])), ""]
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(text))
    print(f"written: {ROOT / 'docs' / 'benchmarks.md'}")

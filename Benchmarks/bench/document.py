"""docs/benchmarks.md: where bgproxy is to arrive and where it is, all tables, and the charts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import charts
from .report import (NAMES, Table, amount, emphasized, in_order, is_http, markdown, micro, own, section_table, span,
                     speed, switch_summary)
from .results import GIB, WORKS, Ratio, Results, Section, quantile

# --- Where it is to arrive -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """What bgproxy's median is to be beside each peer's: at most, or at least where more is better."""

    title: str
    work: str
    detail: str
    figure: str
    beside: dict[str, float]
    more_is_better: bool = False
    allows_noise: frozenset[str] = frozenset()


HAPROXY_BULK = ("haproxy tcp", "haproxy tcp splice")

TARGETS = [
    Target("tcp keep-alive, 64: CPU", "keepalive", "64", "proxy",
           {"floor": 1.00, "haproxy tcp": 0.95, "nginx stream": 0.95}, allows_noise=frozenset({"floor"})),
    Target("tcp keep-alive, 512: CPU", "keepalive", "512", "proxy",
           {"floor": 1.03, "haproxy tcp": 0.87, "nginx stream": 0.87}),
    Target("http keep-alive, 64: CPU", "keepalive", "64", "proxy", {"haproxy http": 0.70, "nginx http": 0.75}),
    Target("one connection per request: CPU", "close", "", "proxy",
           {"floor": 1.00, "haproxy tcp": 0.88, "nginx stream": 0.92}),
    Target("bulk to curl: CPU", "bulk", "curl", "proxy",
           {"floor": 0.62, **dict.fromkeys(HAPROXY_BULK, 0.45), "nginx stream": 0.45}),
    Target("bulk to curl: GB/s", "bulk", "curl", "speed",
           {**dict.fromkeys(HAPROXY_BULK, 1.25), "nginx stream": 1.25}, more_is_better=True),
    Target("p50 of one lone keep-alive client", "keepalive", "1", "p50", {"haproxy tcp": 0.45, "nginx stream": 0.45}),
    Target("idle session: user memory", "memory", "", "pss", {"haproxy tcp": 0.25, "nginx stream": 0.25}),
]


def target_table(results: Results) -> Table:
    rows = [["work", "beside", "target", "measured (middle half of the rounds)", ""]]
    for target in TARGETS:
        section = results.find(target.work, target.detail)
        for peer, bound in target.beside.items():
            ratio = section.ratio(own(peer), peer, target.figure) if section else None
            rows.append([target.title, NAMES[peer], f"{'≥' if target.more_is_better else '≤'} {bound:.2f}",
                         f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" if ratio else "",
                         verdict(target, peer, bound, ratio)])
    return rows


def verdict(target: Target, peer: str, bound: float, ratio: Ratio | None) -> str:
    if ratio is None:
        return "not measured"
    # As it is shown, to 0.01.
    value = round(ratio.value, 2)
    if value >= bound if target.more_is_better else value <= bound:
        reached = "reached"
    elif peer in target.allows_noise and ratio.low <= bound:
        reached = "reached within noise"
    else:
        reached = "**not reached**"
    is_behind = value < 1 if target.more_is_better else value > 1
    return reached + (f"; {'the floor' if peer == 'floor' else 'this peer'} is ahead" if is_behind else "")


# --- The document ----------------------------------------------------------------------------------------------------

METHOD = """\
Written by `Benchmarks/run`; [the raw numbers](benchmarks/results.json) are beside it, and `Benchmarks/run --render`
writes it anew from them. All traffic is on 127.0.0.1. The rounds of a table are interleaved, so that what slows the
machine slows all; a figure is the median of its rounds, in brackets the lowest and the highest. What counts are the
ratios: absolute figures are this machine's on that day.

- **One worker**: each proxy has one worker, pinned to the first processor; backend and load have the others. **More
  workers**: all share all processors.
- The backend is `Benchmarks/backend.c`, a fixed answer that costs next to nothing. The **floor** is
  `Benchmarks/floor.c`, a bare forwarder in C: edge-triggered epoll, one buffer of 64 KiB, no limits, no timeouts.
- CPU time is the scheduler's own, in nanoseconds, of all threads of a proxy. The machine's is that of everything
  that ran at the time, other programs included.
- *bgproxy / it*: the ratio of bgproxy's median to that row's, protocol tcp beside tcp, http beside http; of proxy
  CPU, or of user memory. *Ahead of bgproxy in*: where that row is better, with the same kind of ratio; `≈` where
  1.00 lies in the middle half of the rounds, so that they do not tell which is.
- The peers' settings: no access log, no limit that is met here, keep-alive on both sides where they speak HTTP,
  bodies not through files; all else, the sizes of buffers among it, is as each comes."""

HEADINGS = {"keepalive": "Keep-alive", "close": "One connection per request", "bulk": "Bulk",
            "memory": "Memory of an idle session", "watched": "While somebody looks", "switch": "A switch under load"}

NOTES = {
    "close": """\
bgproxy passes `Connection: close` on, as a proxy of TCP does, and so opens a connection to the backend for each
request. Other HTTP modes may keep theirs, which saves them half of the work.""",
    "bulk": """\
curl copies what it fetches; the client that discards does not even do that (`MSG_TRUNC`), so that the proxy has to
keep up. GB are 10⁹ bytes, of both directions together where there are two.""",
    "memory": """\
Sessions that have asked once and are then idle, in fresh processes. User memory is what the process has grown by.
Kernel memory is the growth of all slabs of the machine, for the sockets of client, proxy and backend together; *no
proxy* is client and backend alone. A proxy that speaks HTTP may give a backend's connection back to its pool, and
then has fewer sockets.""",
    "watched": """\
One process, in turn with and without those who look at it: a scrape of `/metrics` each second, a reader of the events,
and five status pages that ask every two seconds. The workers' CPU is what the traffic itself takes; the proxy's is that
of all threads, with those that answer the lookers.""",
    "switch": """\
Switches to and fro, one after another, each as soon as the last one's new color had answered; a client that asks
without a pause tells when that was. All compete for the same processors, so that most of the time is the
scheduler's.""",
}


def write(results: Results, folder: Path) -> None:
    """`benchmarks.md` and the charts beside it."""
    text = ["# Benchmarks", METHOD, facts(results)]
    table = target_table(results)
    missed = sum("not reached" in row[-1] for row in table[1:])
    unmeasured = sum(row[-1] == "not measured" for row in table[1:])
    text += ["## Where it is to arrive, and where it is",
             f"One worker each. {len(table) - 1} targets: {len(table) - 1 - missed - unmeasured} reached, {missed} not "
             f"reached, {unmeasured} not measured.", markdown(table)]
    pictures = folder / "benchmarks"
    pictures.mkdir(parents=True, exist_ok=True)
    for stale in pictures.glob("*.svg"):
        stale.unlink()
    for work in WORKS:
        sections = [section for section in results.ordered() if section.work == work]
        if not sections:
            continue
        text += [f"## {HEADINGS[work]}"] + ([NOTES[work]] if work in NOTES else [])
        for workers in sorted({section.workers for section in sections}):
            same = [section for section in sections if section.workers == workers]
            for name, description, picture in pictures_of(work, workers, same):
                (pictures / name).write_text(picture)
                text.append(f"![{description}](benchmarks/{name})")
            for section in same:
                text += [f"### {section.title()[0].upper()}{section.title()[1:]}", measured(section),
                         markdown(emphasized(section_table(section)))]
    (folder / "benchmarks.md").write_text("\n\n".join(text) + "\n")


def measured(section: Section) -> str:
    if section.work == "switch":
        return f"{section.date}, bgproxy {section.bgproxy}. {switch_summary(section)}"
    rounds = max(len(each) for each in section.peers.values())
    what = f" of {section.seconds} s" if section.seconds else ""
    if section.work == "bulk":
        what = f" of {section.size / GIB:g} GiB"
    told = "".join(f" {number:.0f} × `{path}`." for path, number in sorted(section.load.items()))
    return f"{section.date}, {rounds} round{'s' if rounds > 1 else ''}{what}, bgproxy {section.bgproxy}.{told}"


def facts(results: Results) -> str:
    dates = sorted(section.date for section in results.sections.values())
    when = dates[0][:10] if dates[0][:10] == dates[-1][:10] else f"{dates[0][:10]} to {dates[-1][:10]}"
    rows = [["", ""], ["date", when], *map(list, {**results.machine, **results.versions}.items())]
    rows += [[f"left out: {name}", why] for name, why in results.left_out.items()]
    return markdown(rows)


def pictures_of(work: str, workers: int, sections: list[Section]) -> list[tuple[str, str, str]]:
    """File name, description and content of each chart."""
    who = "one worker" if workers == 1 else f"{workers} workers"
    suffix = f"{workers}-worker{'s' if workers > 1 else ''}.svg"

    def panel(section: Section, key: str, text: Callable[[float], str], title: str) -> charts.Panel:
        bars = []
        for peer in in_order(section):
            values, median = section.values(peer, key), section.median(peer, key)
            if median is not None:
                kind = "own" if peer.startswith("bgproxy") else "floor" if peer in ("floor", "direct") else "peer"
                bars.append(charts.Bar(NAMES[peer].partition(" (")[0], median, text(median), kind, min(values),
                                       max(values), group="http" if is_http(peer) else "tcp"))
        return charts.Panel(title, bars)

    def short(section: Section) -> str:
        return section.title().rpartition(", ")[0].removeprefix("keep-alive, ").removeprefix("bulk ")

    def chart(name: str, title: str, key: str, text: Callable[[float], str]) -> tuple[str, str, str]:
        return (f"{name}-{suffix}", f"{title}, {who}",
                charts.draw(f"{title}, {who}", [panel(section, key, text, short(section)) for section in sections]))

    def rate(value: float) -> str:
        return f"{value:,.0f}"

    if work == "keepalive":
        return [chart("keepalive-cpu", "Keep-alive: proxy CPU a request (less is better)", "proxy", micro),
                chart("keepalive-rate", "Keep-alive: requests a second (more is better)", "rate", rate),
                chart("keepalive-p50", "Keep-alive: median latency (less is better)", "p50", span),
                chart("keepalive-p99", "Keep-alive: p99 latency (less is better)", "p99", span)]
    if work == "close":
        title = f"One connection per request, {who}"
        return [(f"close-{suffix}", title, charts.draw(title, [
            panel(sections[0], "proxy", micro, "proxy CPU a request (less is better)"),
            panel(sections[0], "rate", rate, "requests a second (more is better)")]))]
    if work == "bulk":
        return [chart("bulk-speed", "Bulk: throughput (more is better)", "speed", speed),
                chart("bulk-cpu", "Bulk: proxy CPU a GiB (less is better)", "proxy", span)]
    if work == "memory":
        title = f"Memory of an idle session, {who} (less is better)"
        return [(f"memory-{suffix}", title, charts.draw(title, [
            panel(sections[0], "pss", amount, "user memory"),
            panel(sections[0], "slab", amount, "kernel memory, all sockets of client, proxy, backend")]))]
    if work == "watched":
        return []
    title = f"A switch under load, {who} (less is better)"
    panels = []
    for section in sections:
        bars = []
        for key, name in {"acknowledged": "acknowledgment", "first": "first answer"}.items():
            values = sorted(value for peer in section.peers for value in section.values(peer, key))
            for share, label in {0.5: "p50", 0.99: "p99", 1: "max"}.items():
                value = quantile(values, share)
                bars.append(charts.Bar(f"{name}, {label}", value, span(value), "own", value, value, group=key))
        panels.append(charts.Panel(f"protocol {section.detail}", bars))
    return [(f"switch-{suffix}", title, charts.draw(title, panels))]

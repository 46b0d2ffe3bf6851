"""What is told of a section, as a table: for the terminal and for the document."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from .results import Section, quantile

NAMES = {"floor": "floor (bare C forwarder)", "direct": "no proxy", "bgproxy tcp": "bgproxy tcp",
         "bgproxy tcp splice": "bgproxy tcp, splice: auto",
         "bgproxy alone": "bgproxy tcp, one worker",
         "haproxy tcp": "HAProxy mode tcp", "haproxy tcp splice": "HAProxy tcp, splice-auto",
         "nginx stream": "nginx stream", "envoy tcp": "Envoy tcp_proxy",
         "bgproxy http": "bgproxy http", "haproxy http": "HAProxy mode http", "nginx http": "nginx proxy_pass http",
         "envoy http": "Envoy http",
         "bgproxy tcp watched": "bgproxy tcp, watched", "bgproxy http watched": "bgproxy http, watched"}
"""Of the peers, in the order of the tables."""


def is_http(peer: str) -> bool:
    return "http" in peer.split()


def own(peer: str) -> str:
    """What of bgproxy a peer is compared with."""
    return "bgproxy http" if is_http(peer) else "bgproxy tcp"


@dataclass(frozen=True)
class Figure:
    key: str
    title: str
    text: Callable[[float], str]
    more_is_better: bool = False
    short: str = ""
    """Where a peer is ahead in it. None: nobody can be."""


def span(seconds: float) -> str:
    """A time, in the unit that suits it."""
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.{1 if seconds < 1e-5 else 0}f} µs"
    return f"{seconds * 1e3:.{2 if seconds < 0.1 else 0}f} ms" if seconds < 1 else f"{seconds:.2f} s"


def micro(seconds: float) -> str:
    return f"{seconds * 1e6:.2f} µs"


def amount(size: float) -> str:
    if abs(size) < 1024:
        return f"{size:.0f} B"
    return f"{size / 1024:.1f} KiB" if abs(size) < 1 << 20 else f"{size / 2**20:.1f} MiB"


def speed(bytes_a_second: float) -> str:
    return f"{bytes_a_second / 1e9:.2f} GB/s"


REQUESTS = [Figure("rate", "requests a second", lambda value: f"{value:,.0f}", True, "requests"),
            Figure("p50", "p50", span, short="p50"), Figure("p99", "p99", span, short="p99"),
            Figure("proxy", "proxy CPU a request", micro, short="CPU"),
            Figure("machine", "machine CPU a request", micro, short="machine CPU")]
BULK = [Figure("speed", "GB/s", lambda value: f"{value / 1e9:.2f}", True, "GB/s"),
        Figure("proxy", "proxy CPU, s/GiB", lambda value: f"{value:.3f}", short="CPU"),
        Figure("machine", "machine CPU, s/GiB", lambda value: f"{value:.3f}", short="machine CPU")]
MEMORY = [Figure("pss", "user memory a session (PSS)", amount, short="session"), Figure("rss", "the same, RSS", amount),
          Figure("slab", "kernel memory a session, all sockets", amount),
          Figure("buffers", "of TCP's buffers", amount),
          Figure("base", "process without sessions (PSS)", amount, short="process")]
WATCHED = [Figure("workers", "workers' CPU a request", micro), Figure("proxy", "proxy CPU a request", micro),
           Figure("rate", "requests a second", lambda value: f"{value:,.0f}", True), Figure("p50", "p50", span),
           Figure("p99", "p99", span)]
FIGURES = {"keepalive": REQUESTS, "close": REQUESTS, "bulk": BULK, "memory": MEMORY, "watched": WATCHED}
MAIN = {"keepalive": "proxy", "close": "proxy", "bulk": "proxy", "memory": "pss", "watched": "workers"}
"""Whose ratio is shown."""

SWITCH = {"flip": "the store of the word", "confirm": "until every worker has confirmed it",
          "persist": "the state file, with two fsyncs", "acknowledged": "the acknowledgment: the whole admin call",
          "first": "from the call to the first answer of the new color"}


# --- Tables ----------------------------------------------------------------------------------------------------------

Table = list[list[str]]
"""The first row is the head."""


def in_order(section: Section) -> list[str]:
    return [name for name in NAMES if name in section.peers]


def section_table(section: Section) -> Table:
    return switch_table(section) if section.work == "switch" else comparison(section)


def comparison(section: Section) -> Table:
    figures, main = FIGURES[section.work], MAIN[section.work]
    has_shares = section.workers > 1 and section.work in ("keepalive", "close")
    has_errors = any(sum(section.values(peer, "errors")) for peer in section.peers)
    head = ["", *(figure.title for figure in figures), "bgproxy / it", "ahead of bgproxy in"]
    rows = [head + ["share of each worker"] * has_shares + ["errors"] * has_errors]
    for peer in in_order(section):
        row = [NAMES[peer]]
        for figure in figures:
            values = section.values(peer, figure.key)
            median = section.median(peer, figure.key)
            text = "" if median is None else figure.text(median)
            if figure.key == main and len(values) > 1:
                text += f" ({figure.text(min(values))} to {figure.text(max(values))})"
            row.append(text)
        ratio = section.ratio(own(peer), peer, main) if peer != own(peer) else None
        row += [f"{ratio.value:.2f}" if ratio else "", ahead(section, peer)]
        if has_shares:
            shares = [each["shares"] for each in section.peers[peer]]
            row.append(", ".join(f"{statistics.median(column):.0%}" for column in zip(*shares)))
        if has_errors:
            row.append(f"{sum(section.values(peer, 'errors')):.0f}")
        rows.append(row)
    return rows


def ahead(section: Section, peer: str) -> str:
    """The figures in which a peer is better than bgproxy, and bgproxy's ratio; `≈` where the rounds do not agree."""
    if peer == own(peer) or peer == "direct" or own(peer) not in section.peers:
        return ""
    found = []
    for figure in FIGURES[section.work]:
        ratio = section.ratio(own(peer), peer, figure.key)
        if ratio and figure.short and (ratio.value < 1 if figure.more_is_better else ratio.value > 1):
            found.append(f"{'≈ ' if ratio.low <= 1 <= ratio.high else ''}{figure.short} {ratio.value:.2f}")
    return ", ".join(found) or "–"


def switch_table(section: Section) -> Table:
    rows = [["", "p50", "p99", "max"]]
    for peer in section.peers:
        for key, title in SWITCH.items():
            values = sorted(section.values(peer, key))
            rows.append([title, *(span(quantile(values, share)) for share in (0.5, 0.99, 1))])
    return rows


def switch_summary(section: Section) -> str:
    rounds = [each for peer in section.peers.values() for each in peer]
    stale = sum(each["stale"] for each in rounds)
    kind = "one connection per request" if section.detail == "tcp" else "keep-alive"
    return (f"{len(rounds):,} switches under wrk with {section.size} connections, {kind}: "
            f"{section.load['requests']:,.0f} requests, {section.load['rate']:,.0f} a second; "
            f"**{section.load['errors']:.0f} lost**; {stale} that were sent after an acknowledgment were answered by "
            "the old color.")


def aligned(table: Table) -> str:
    """For the terminal. What says nothing in any row is left out."""
    columns = [column for column in zip(*table) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    return "\n".join("  ".join(cell.ljust(width) if index == 0 else cell.rjust(width)
                               for index, (cell, width) in enumerate(zip(row, widths))).rstrip()
                     for row in zip(*columns))


def markdown(table: Table) -> str:
    head, *rows = table
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def emphasized(table: Table) -> Table:
    """bgproxy's own rows stand out."""
    return [[f"**{row[0]}**", *row[1:]] if row[0].startswith("bgproxy ") else row for row in table]

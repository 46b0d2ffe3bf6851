"""Bar charts as SVG: no scripts, no fonts of its own, and a ground of its own in light and dark, since an image on a
page learns what the reader's system prefers and not what the page looks like."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Bar:
    label: str
    value: float
    text: str
    kind: str
    """`own`, `peer` or `floor`."""
    low: float
    high: float
    group: str
    """A gap is left between groups."""


@dataclass(frozen=True)
class Panel:
    title: str
    bars: list[Bar]


WIDTH, MARGIN, GUTTER = 960, 20, 28
ROW, BAR, GAP = 22, 14, 8
LABEL = 172
"""Width of the labels."""
VALUE = 76
"""What is left beside the longest bar for its value."""

STYLE = """
  .ground { fill: #ffffff; stroke: #d1d9e0 }
  text { font: 13px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .panel { font-weight: 600 }
  .muted { fill: #59636e; font-size: 12px }
  .bold { font-weight: 600 }
  .own { fill: #0969da }
  .peer { fill: #afb8c1 }
  .floor { fill: #ffffff; stroke: #6e7781; stroke-dasharray: 3 2 }
  .axis { stroke: #d1d9e0 }
  .spread { stroke: #1f2328; stroke-width: 1.2; opacity: 0.75 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #3d444d }
    text { fill: #f0f6fc }
    .muted { fill: #9198a1 }
    .own { fill: #4493f8 }
    .peer { fill: #545d68 }
    .floor { fill: #0d1117; stroke: #9198a1 }
    .axis { stroke: #3d444d }
    .spread { stroke: #f0f6fc }
  }
"""


def draw(title: str, panels: list[Panel]) -> str:
    """Two panels beside each other, and as many rows of them as it takes."""
    panels = [panel for panel in panels if panel.bars]
    columns = 2 if len(panels) > 1 else 1
    width = (WIDTH - 2 * MARGIN - (columns - 1) * GUTTER) // columns
    parts: list[str] = []
    top = 64
    for start in range(0, len(panels), columns):
        row = panels[start:start + columns]
        for column, panel in enumerate(row):
            parts += panel_parts(panel, MARGIN + column * (width + GUTTER), top, width)
        top += max(map(height_of, row)) + 16
    has_spread = any(bar.low < bar.high for panel in panels for bar in panel.bars)
    legend = "line: lowest to highest round" if has_spread else ""
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}" '
            f'role="img" aria-label="{escape(title)}">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>\n'
            f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{top - 1}" rx="8"/>\n'
            f'<text class="title" x="{MARGIN}" y="32">{escape(title)}</text>\n'
            f'<text class="muted" x="{WIDTH - MARGIN}" y="32" text-anchor="end">{legend}</text>\n'
            + "\n".join(parts) + "\n</svg>\n")


def gaps(panel: Panel) -> int:
    return sum(bar.group != before.group for before, bar in zip(panel.bars, panel.bars[1:]))


def height_of(panel: Panel) -> int:
    return 26 + ROW * len(panel.bars) + GAP * gaps(panel)


def panel_parts(panel: Panel, left: int, top: int, width: int) -> list[str]:
    parts = [f'<text class="panel" x="{left}" y="{top + 12}">{escape(panel.title)}</text>']
    origin, room = left + LABEL, width - LABEL - VALUE
    longest = max(max(bar.value, bar.high) for bar in panel.bars) or 1
    y = top + 24
    bottom = top + height_of(panel) - 2
    for index, bar in enumerate(panel.bars):
        if index and bar.group != panel.bars[index - 1].group:
            y += GAP
        length = max(bar.value, 0) / longest * room
        high = max(bar.high, 0) / longest * room
        bold = ' class="bold"' if bar.kind == "own" else ""
        middle = y + ROW / 2
        parts.append(f'<text{bold} x="{origin - 8}" y="{middle + 4.5:g}" text-anchor="end">{escape(bar.label)}</text>')
        parts.append(f'<rect class="{bar.kind}" x="{origin}" y="{middle - BAR / 2:g}" width="{max(length, 1):.1f}" '
                     f'height="{BAR}" rx="1.5"/>')
        if bar.low < bar.high:
            low = max(bar.low, 0) / longest * room
            parts.append(f'<path class="spread" fill="none" d="M{origin + low:.1f} {middle:g}H{origin + high:.1f}'
                         f'M{origin + low:.1f} {middle - 3:g}v6M{origin + high:.1f} {middle - 3:g}v6"/>')
        end = origin + max(length, high)
        parts.append(f'<text{bold} x="{end + 6:.1f}" y="{middle + 4.5:g}">{escape(bar.text)}</text>')
        y += ROW
    parts.append(f'<path class="axis" d="M{origin} {top + 20}V{bottom}"/>')
    return parts

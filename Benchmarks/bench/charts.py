"""Bar charts as SVG that stand alone: no script, no font from elsewhere, readable in light and dark."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px } .note { fill: #59636e; font-size: 12px }
  .bar { fill: #8c959f } .ours { fill: #0969da } .spread { stroke: #1f2328; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .note { fill: #9198a1 } .bar { fill: #6e7681 } .ours { fill: #4493f8 } .spread { stroke: #f0f6fc }
  }"""


@dataclass
class Bar:
    name: str
    value: float
    least: float
    most: float


def chart(title: str, note: str, bars: list[Bar], spell) -> str:
    """A row a bar, its median as a number and its spread as a line."""
    left, width, row, top = 130, 430, 28, 62
    scale = width / max(bar.most for bar in bars)
    height = top + row * len(bars) + 10
    summary = "; ".join(f"{bar.name} {spell(bar.value)}" for bar in bars)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 {height}" width="680" height="{height}" role="img">',
        f"<title>{escape(title)}: {escape(summary)}</title>", f"<style>{STYLE}\n</style>",
        f'<text class="title" x="12" y="24">{escape(title)}</text>', f'<text class="note" x="12" y="44">{escape(note)}</text>']
    for index, bar in enumerate(bars):
        y = top + row * index
        kind = "bar ours" if bar.name.startswith("bgproxy") else "bar"
        end, middle = left + bar.most * scale, y + 9
        lines += [
            f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(bar.name)}</text>',
            f'<rect class="{kind}" x="{left}" y="{y}" width="{max(bar.value * scale, 1):.1f}" height="18" rx="2"/>',
            f'<line class="spread" x1="{left + bar.least * scale:.1f}" x2="{end:.1f}" y1="{middle}" y2="{middle}"/>',
            f'<text x="{end + 8:.1f}" y="{y + 14}">{escape(spell(bar.value))}</text>']
    return "\n".join([*lines, "</svg>", ""])

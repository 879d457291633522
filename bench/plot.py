"""Small charts as SVG, readable on light and on dark ground, without a library: two panels over one logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 280
TOP, BOTTOM, LEFT, GAP, RIGHT = 46, 44, 52, 64, 18
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #444 }
.title { font-weight: 600 } .grid { stroke: #888; stroke-opacity: .35 } .band { fill: #3a86c8; fill-opacity: .14 }
.line { fill: none; stroke: #1f6fb4; stroke-width: 2 } .dot { fill: #1f6fb4 }
@media (prefers-color-scheme: dark) {
  text { fill: #bbb } .line { stroke: #6db3f2 } .dot { fill: #6db3f2 }
}
"""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """One curve; `y` begins at 0, so that what looks flat is flat."""

    title: str
    points: Points
    band: float | None = None
    """Half the height of a band around the first point, as a share of it: what counts as flat."""


def ticks(top: float, most: int = 5) -> list[float]:
    """Round numbers from 0 to the first that is not below `top`; at most `most` steps."""
    if top <= 0:
        return [0.0, 1.0]
    step = 10.0 ** math.floor(math.log10(top / most))
    step *= next(times for times in (1, 2, 5, 10) if step * times * most >= top)
    count = math.ceil(top / step - 1e-9)
    return [step * n for n in range(count + 1)]


def short(number: float) -> str:
    """1000 as `1k`, 10 million as `10M`, 0.5 as it is."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def panel(each: Panel, left: float, width: float, across: str) -> list[str]:
    """One panel's elements. Raises ValueError without points, or with an x that is not positive."""
    if not each.points or min(x for x, _ in each.points) <= 0:
        raise ValueError("a chart needs points, each with x > 0")
    bottom, tall = HEIGHT - BOTTOM, HEIGHT - TOP - BOTTOM
    start = min(each.points)[1]
    highest = max(*(y for _, y in each.points), start * (1 + (each.band or 0)))
    rows = ticks(highest)
    first, last = (math.log10(pick(x for x, _ in each.points)) for pick in (min, max))

    def at_x(x: float) -> float:
        return left + width * ((math.log10(x) - first) / (last - first) if last > first else 0.5)

    def at_y(y: float) -> float:
        return bottom - tall * y / rows[-1]

    found = [f'<text class="title" x="{left:.1f}" y="{TOP - 14}">{escape(each.title)}</text>']
    for row in rows:
        y = at_y(row)
        found.append(f'<path class="grid" d="M{left:.1f} {y:.1f}h{width:.1f}"/>')
        found.append(f'<text x="{left - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{short(round(row, 9))}</text>')
    if each.band:
        low, high = at_y(start * (1 - each.band)), at_y(start * (1 + each.band))
        found.append(
            f'<rect class="band" x="{left:.1f}" y="{high:.1f}" width="{width:.1f}" height="{low - high:.1f}"/>'
        )
    placed = [(at_x(x), at_y(y)) for x, y in sorted(each.points)]
    found.append(f'<polyline class="line" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in placed)}"/>')
    found += [f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in placed]
    found += [
        f'<text x="{at_x(x):.1f}" y="{bottom + 17}" text-anchor="middle">{short(x)}</text>'
        for x in sorted({x for x, _ in each.points})
    ]
    found.append(f'<text x="{left + width / 2:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>')
    return found


def chart(title: str, across: str, panels: Sequence[Panel]) -> str:
    """A whole SVG document; `across` names the axis that the panels share."""
    width = (WIDTH - LEFT - RIGHT - GAP * (len(panels) - 1)) / len(panels)
    found = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
    ]
    for number, each in enumerate(panels):
        found += panel(each, LEFT + number * (width + GAP), width, across)
    return "\n".join([*found, "</svg>"]) + "\n"

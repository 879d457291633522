"""The goals, as data, and whether a run met them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.results import OURS, ResultRow, Results

FLOOR = 1.25
"""Of the bare floor's CPU, in each row that writes somewhere."""
PEERS: dict[str, dict[str, float]] = {
    "raw": {"fluent-bit": 0.7, "rsyslog": 0.7},
    "regex": {"fluent-bit": 0.6},
    "json": {"fluent-bit": 0.3},
    "redact": {"fluent-bit": 0.25},
    "syslog": {"fluent-bit": 0.75, "rsyslog": 1.0},
    "http-gzip": {"fluent-bit": 0.25},
    "es-gzip": {"fluent-bit": 0.25},
    "loki-gzip": {"fluent-bit": 0.35},
}
VECTOR = 0.35
"""Of Vector's CPU, in every row."""
MEMORY = 120e6
STALL = 0.050


@dataclass(frozen=True)
class Verdict:
    what: str
    measured: str
    allowed: str
    met: bool


def of_row(row: ResultRow) -> Iterator[Verdict]:
    ours = row.sides[OURS]
    if ours.get("why_not"):
        yield Verdict(f"`{row.name}`", "no figure", "a figure", False)
        return
    limits = {
        **({} if row.name.endswith("-nothing") else {"floor": FLOOR}),
        **PEERS.get(row.name, {}),
        "vector": VECTOR,
    }
    for other, limit in limits.items():
        if ratios := row.ratios(other):
            typical = median(ratios)
            yield Verdict(f"`{row.name}`: CPU, of {other}'s", f"{typical:.2f}x", f"{limit:.2f}x", typical <= limit)
    if ours["rss"] > MEMORY:
        yield Verdict(f"`{row.name}`: memory", f"{ours['rss'] / 1e6:.0f} MB", f"{MEMORY / 1e6:.0f} MB", False)
    if (ours["stall"] or 0) > STALL:
        yield Verdict(f"`{row.name}`: stall", f"{ours['stall'] * 1000:.0f} ms", f"{STALL * 1000:.0f} ms", False)


def overall(results: Results) -> Iterator[Verdict]:
    """What holds for all rows together: the highest of each."""
    sides = [row.sides[OURS] for row in results.rows if not row.sides[OURS].get("why_not")]
    if sides:
        most = max(side["rss"] for side in sides)
        yield Verdict("memory under load, most of all rows", f"{most / 1e6:.0f} MB", "120 MB", most <= MEMORY)
    if stalls := [side["stall"] for side in sides if side["stall"] is not None]:
        most = max(stalls)
        yield Verdict("stall of the event loop, longest of all rows", f"{most * 1000:.0f} ms", "50 ms", most <= STALL)


def verdicts(results: Results, growth: dict[str, Any]) -> list[Verdict]:
    """One for each goal that was measured; memory and stalls of single rows only where they were over it."""
    found = [verdict for row in results.rows for verdict in of_row(row)]
    found += overall(results)
    found += [
        Verdict(
            f"{figure['probe']}: {figure['what']}",
            f"{figure['value']:,.4g} {figure['unit']}",
            f"{figure['sign']} {figure['goal']:g} {figure['unit']}",
            figure["met"],
        )
        for figure in results.figures
        if figure["goal"] is not None and figure["agent"] == OURS
    ]
    found += [
        Verdict(
            f"growth with {curve['name']}: CPU an event",
            f"{max(curve['rise'], 0):+.0%}",
            f"+{curve['goal']:.0%}",
            curve["rise"] <= curve["goal"],
        )
        for curve in growth["curves"]
    ]
    return found

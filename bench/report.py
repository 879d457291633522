"""What was measured, as tables for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import asdict
from statistics import median
from typing import Any

from bench.pairs import Row, Side
from bench.probe import Figure

HEAD = (
    f"{'scenario':15} {'agent':10} {'CPU s/M':>8} {'x floor':>8} {'(from-to)':>11} {'events/s':>10} {'RSS MB':>7} "
    f"{'stall ms':>9} {'lost':>7}"
)
GOALS = "goals: x floor at most 1.25 in rows that write somewhere, RSS at most 120 MB, stall at most 50 ms"


def line(row: Row, side: Side) -> str:
    """One agent's line of the first table."""
    of = side.figures()
    title = f"{row.scenario.name:15} {side.name:10}"
    if side.why_not:
        return f"{title} no figure: {side.why_not}"
    floor = row.side("floor")
    if floor.why_not or side is floor:
        ratio = f"{'':8} {'':11}"
    else:
        ratios = row.ratios(side, floor)
        ratio = f"{median(ratios):8.2f} {f'{min(ratios):.2f}-{max(ratios):.2f}':>11}"
    stall = "" if of["stall"] is None else f"{of['stall'] * 1000:.0f}"
    lost = f"{of['lost']:.3%}" if row.scenario.feed == "udp" else ""
    return (
        f"{title} {of['cpu']:8.2f} {ratio} {of['events_per_second']:10,.0f} {of['rss'] / 1e6:7.1f} {stall:>9} {lost:>7}"
    ).rstrip()


def lines(row: Row) -> str:
    return "\n".join(line(row, side) for side in row.sides)


FIGURES_HEAD = f"{'probe':10} {'agent':10} {'figure':48} {'value':>16} {'goal':>12}"


def shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def figure_line(figure: Figure) -> str:
    """One line of the second table."""
    goal = "" if figure.goal is None else f"{figure.sign} {figure.goal:g} {figure.unit}"
    missed = "" if figure.met else "  missed"
    return (
        f"{figure.probe:10} {figure.agent:10} {figure.what:48} {f'{shown(figure.value)} {figure.unit}':>16} {goal:>12}{missed}"
    ).rstrip()


def side_json(row: Row, side: Side) -> dict[str, Any]:
    floor = row.side("floor")
    paired = not (side.why_not or floor.why_not) and side is not floor
    ratios = row.ratios(side, floor) if paired else []
    return {
        **side.figures(),
        "ratio": median(ratios) if ratios else None,
        "ratios": ratios,
        "runs": [asdict(run) for run in side.runs],
        "idle": asdict(side.idle) if side.idle else None,
        "observed": asdict(side.observed) if side.observed else None,
    }


def as_json(rows: Iterable[Row], figures: Iterable[Figure]) -> str:
    """Figures and every single run, with what they were measured on and how."""
    found = {
        "python": sys.version,
        "machine": platform.platform(),
        "cpus": os.cpu_count(),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "rows": [
            {
                "scenario": row.scenario.name,
                "title": row.scenario.title,
                "lines": row.lines,
                "agents": [side_json(row, side) for side in row.sides],
            }
            for row in rows
        ],
        "figures": [{**asdict(figure), "met": figure.met} for figure in figures],
    }
    return json.dumps(found, indent=2)

"""What was measured, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from bench.run import Usage
from bench.scenarios import Scenario


@dataclass
class Row:
    """One scenario: pairs of runs (agent, floor), and what each takes to start and end with nothing to do."""

    scenario: Scenario
    lines: int
    agent_idle: Usage
    floor_idle: Usage
    agent: list[Usage] = field(default_factory=list)
    floor: list[Usage] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Medians. CPU is seconds a million events, start-up taken off; memory is bytes at the peak."""
        million = self.lines / 1e6
        agent = [(run.cpu - self.agent_idle.cpu) / million for run in self.agent]
        floor = [(run.cpu - self.floor_idle.cpu) / million for run in self.floor]
        ratios = [ours / theirs for ours, theirs in zip(agent, floor, strict=True)]
        wall = median(run.wall for run in self.agent) - self.agent_idle.wall
        return {
            "scenario": self.scenario.name,
            "cpu": median(agent),
            "floor_cpu": median(floor),
            "ratio": median(ratios),
            "ratio_spread": [min(ratios), max(ratios)],
            "events_per_second": self.lines / wall,
            "rss": max(run.rss for run in self.agent),
            "floor_rss": max(run.rss for run in self.floor),
            "start_cpu": self.agent_idle.cpu,
        }


HEAD = f"{'scenario':15} {'CPU s/M':>8} {'floor':>6} {'ratio':>6} {'(from-to)':>11} {'events/s':>10} {'RSS MB':>7} {'floor':>6}"


def line(row: Row) -> str:
    """One row of the table."""
    of = row.figures()
    low, high = of["ratio_spread"]
    return (
        f"{of['scenario']:15} {of['cpu']:8.2f} {of['floor_cpu']:6.2f} {of['ratio']:6.2f} "
        f"{f'{low:.2f}-{high:.2f}':>11} {of['events_per_second']:10,.0f} {of['rss'] / 1e6:7.1f} {of['floor_rss'] / 1e6:6.1f}"
    )


def as_json(rows: Iterable[Row]) -> str:
    """Figures and every single run, with what they were measured on."""
    about = {"python": sys.version, "machine": platform.platform(), "cpus": os.cpu_count()}
    found = [
        {
            **row.figures(),
            "lines": row.lines,
            "runs": {"agent": [asdict(run) for run in row.agent], "floor": [asdict(run) for run in row.floor]},
            "idle": {"agent": asdict(row.agent_idle), "floor": asdict(row.floor_idle)},
        }
        for row in rows
    ]
    return json.dumps({**about, "rows": found}, indent=2)

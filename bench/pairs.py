"""Agents and the bare floor on one scenario, in turns, so that a noisy minute meets all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, median_low
from typing import Any

from bench.agents import Agent, Cannot
from bench.check import Wrong
from bench.generate import generated
from bench.run import Run, Sink, Usage
from bench.scenarios import Scenario

IDLE_RUNS = 3


def typical(runs: list[Usage]) -> Usage:
    """The one whose CPU is the median."""
    cpu = median_low(run.cpu for run in runs)
    return next(run for run in runs if run.cpu == cpu)


@dataclass
class Side:
    """One agent in a row: its runs, and what it takes to start and end with nothing to do."""

    name: str
    lines: int
    idle: Usage | None = None
    runs: list[Usage] = field(default_factory=list)
    observed: Usage | None = None
    """One more run, not timed, kept alive so that it could be asked."""
    why_not: str = ""
    """Why there are no figures."""

    @property
    def cpu(self) -> list[float]:
        """Seconds a million lines (that came out, where some may be lost), start-up taken off; run by run."""
        start = self.idle.cpu if self.idle else 0.0
        return [(run.cpu - start) / (self.lines - run.lost) * 1e6 for run in self.runs]

    def figures(self) -> dict[str, Any]:
        """Medians; memory is bytes at the peak, `stall` seconds."""
        if self.why_not or self.idle is None:
            return {"agent": self.name, "why_not": self.why_not}
        wall = median(run.wall for run in self.runs) - self.idle.wall
        stalls = [run.said["stall"] for run in [*self.runs, self.observed] if run and "stall" in run.said]
        return {
            "agent": self.name,
            "cpu": median(self.cpu),
            "events_per_second": self.lines / wall,
            "rss": max(run.rss for run in self.runs),
            "lost": median(run.lost for run in self.runs) / self.lines,
            "stall": max(stalls) if stalls else None,
            "start_cpu": self.idle.cpu,
        }


@dataclass
class Row:
    """One scenario; the first side is ours, the second the floor, others may follow."""

    scenario: Scenario
    lines: int
    sides: list[Side]

    def ratios(self, side: Side, other: Side) -> list[float]:
        """What one takes of the CPU of the other, pair by pair."""
        return [one / two for one, two in zip(side.cpu, other.cpu, strict=True)]

    def side(self, name: str) -> Side:
        return next(side for side in self.sides if side.name == name)


def measured(
    scenario: Scenario, agents: Sequence[Agent], folder: Path, lines: int, runs: int, server: Sink, observe: bool = True
) -> Row:
    """Start-up with an empty input first, then all in turns. What fails for one agent costs only that one its figures."""
    source, empty = (generated(scenario.shape, count, folder / "input") for count in (lines, 0))
    idle, full = (Run(scenario, folder / "run", each, server) for each in (empty, source))
    row = Row(scenario, lines, [Side(agent.name, lines) for agent in agents])
    pairs = [*zip(agents, row.sides, strict=True)]

    def each(work: Callable[[Agent, Side], None]) -> None:
        for agent, side in pairs:
            if not side.why_not:
                try:
                    work(agent, side)
                except (Wrong, Cannot, OSError) as error:
                    side.why_not = str(error)

    def start(agent: Agent, side: Side) -> None:
        idle(agent)  # compiles what was not compiled yet
        side.idle = typical([idle(agent) for _ in range(IDLE_RUNS)])

    def observed(agent: Agent, side: Side) -> None:
        if observe and agent.name != "floor" and not scenario.daemon:
            side.observed = full(agent, follow=True)

    each(start)
    for _ in range(runs):
        each(lambda agent, side: side.runs.append(full(agent)))
    each(observed)
    return row

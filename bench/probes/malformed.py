"""Malformed lines: what one in a hundred costs, kept and marked."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

from bench.check import Wrong
from bench.pairs import measured
from bench.probe import Bench, Figure
from bench.scenarios import SCENARIOS, Scenario

GOAL = 1.3
DIRTY = {"json": "malformed", "regex": "garbled"}
"""Scenario -> the shape of its lines with one in a hundred broken."""


def malformed(bench: Bench) -> list[Figure]:
    """The same work on dirty and on clean lines, in turns."""
    found = []
    for clean in SCENARIOS:
        if clean.name in DIRTY:
            shape = DIRTY[clean.name]
            pairs = (replace(clean, name=shape, shape=shape), clean)
            ratio = median(one / two for one, two in ([cost(bench, each) for each in pairs] for _ in range(bench.runs)))
            what = f"{clean.name}, 1 % malformed, against clean: CPU"
            found.append(Figure("malformed", bench.agent.name, what, ratio, "x", GOAL))
    return found


def cost(bench: Bench, scenario: Scenario) -> float:
    side = measured(scenario, [bench.agent], bench.folder, bench.lines, 1, bench.server, observe=False).sides[0]
    if side.why_not:
        raise Wrong(side.why_not)
    return side.cpu[0]

"""Two processes that share the work against one: lines a second on the wall."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench.check import Wrong
from bench.generate import generated
from bench.growth import parts
from bench.probe import Bench, Figure, until
from bench.scenarios import Route, Scenario
from bench.shipper import Shipper

NOTHING = Scenario("workers-nothing", "file, JSON parsed -> nothing", "json", "json", (Route("nothing"),))
FILES = 64
"""They are divided by their names: with so many neither of two gets much more than half."""
TIMES = 4
"""Of the usual lines: the time is looked at in twentieths of a second."""
PAUSE = 0.05
GOAL = 1.8


def workers(bench: Bench) -> list[Figure]:
    """How much faster two are, pair by pair; and the CPU that it takes more. Only where the agent has workers."""
    if not isinstance(bench.agent, Shipper):
        return []
    lines = bench.lines * TIMES
    source, ready = generated("json", lines, bench.folder / "input"), bench.folder / "ready"
    shutil.rmtree(ready, ignore_errors=True)
    ready.mkdir()
    for n, part in enumerate(parts(source, lines, FILES)):
        (ready / f"app{n}.log").write_bytes(b"".join(part))
    runs = [(seconds(bench, ready, lines, 1), seconds(bench, ready, lines, 2)) for _ in range(bench.runs)]
    faster = median(one / two for one, two in runs)
    return [
        Figure("workers", bench.agent.name, "2 workers, to nothing: lines a second", faster, "x", GOAL, ">="),
        Figure("workers", bench.agent.name, "1 worker", lines / median(one for one, _ in runs), "lines/s"),
        Figure("workers", bench.agent.name, "2 workers", lines / median(two for _, two in runs), "lines/s"),
    ]


def seconds(bench: Bench, ready: Path, lines: int, count: int) -> float:
    """From the moment that the files are there until all of their lines are delivered: start-up is not in it."""
    agent = Shipper(settings={"workers": count})
    found = bench.folder / "found"
    shutil.rmtree(found, ignore_errors=True)
    (found / "logs").mkdir(parents=True)
    job = replace(bench, agent=agent).job(NOTHING, found / "logs" / "*.log", wait=0.1)
    with replace(bench, agent=agent).running(job) as process:
        shutil.copytree(ready, found / "new")
        began = time.monotonic()
        for file in (found / "new").iterdir():
            file.rename(found / "logs" / file.name)
        ended = until(lambda: (agent.delivered(job) or 0) >= lines, process, PAUSE)
        if (came := agent.delivered(job)) != lines:
            raise Wrong(f"{lines} lines were to come, {came} were delivered")
    return ended - began

"""Start-up: from the process's start until it says that it is ready."""

from __future__ import annotations

import subprocess
import time
from statistics import median

from bench.agents import Job
from bench.probe import TO_FILE, TO_HTTP, Bench, Figure, until
from bench.run import ENV

RUNS = 7
GOALS = {TO_FILE.name: 300.0, TO_HTTP.name: 500.0}


def start(bench: Bench, runs: int = RUNS) -> list[Figure]:
    """Medians and the best, bytecode compiled; on a busy machine the best says more."""
    found = []
    source = bench.folder / "quiet.log"
    source.write_text("one line\n")
    for scenario in (TO_FILE, TO_HTTP):
        once(bench, bench.job(scenario, source))  # compiles what was not compiled yet
        took = [once(bench, bench.job(scenario, source)) * 1000 for _ in range(runs)]
        goal = GOALS[scenario.name]
        found += [
            Figure("start", bench.agent.name, f"{scenario.title}, median", median(took), "ms", goal),
            Figure("start", bench.agent.name, f"{scenario.title}, best of {runs}", min(took), "ms", goal),
        ]
    return found


def once(bench: Bench, job: Job) -> float:
    command = [*bench.agent.command(job)]
    began = time.monotonic()
    with (
        (job.folder / "log").open("wb") as said,
        subprocess.Popen(
            command, cwd=job.folder, env=ENV, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        ) as process,
    ):
        try:
            return until(lambda: bench.agent.ready(job), process, 0.002) - began
        finally:
            process.terminate()

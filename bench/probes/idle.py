"""Idle: what it takes to follow files in which nothing happens."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable

from bench.check import LineCount
from bench.probe import TO_FILE, TO_HTTP, Bench, Figure, cpu, resident, until

FILES = 100
SETTLE = 3.0  # seconds, after the first lines are out
SECONDS = 20.0
MEMORY = {TO_FILE.name: 40.0, TO_HTTP.name: 50.0}  # MB
SHARE = 0.5  # % of a core


def idle(bench: Bench, settle: float = SETTLE, seconds: float = SECONDS) -> list[Figure]:
    """100 files of ten lines each, read when it begins; then nothing."""
    found = []
    for scenario in (TO_FILE, TO_HTTP):
        logs = bench.folder / "quiet"
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir(parents=True)
        for n in range(FILES):
            (logs / f"{n}.log").write_text("".join(f"line {each} of file {n}\n" for each in range(10)))
        job = bench.job(scenario, logs / "*.log")
        lines = LineCount(job.out(scenario.routes[0]))
        with bench.running(job) as process:
            all_out(bench.arrived if scenario is TO_HTTP else lines, process)
            time.sleep(settle)
            before, began = cpu(process), time.monotonic()
            time.sleep(seconds)
            share = (cpu(process) - before) / (time.monotonic() - began) * 100
            memory = resident(process) / 1e6
        found += [
            Figure("idle", bench.agent.name, f"{scenario.title}, CPU of a core", share, "%", SHARE),
            Figure("idle", bench.agent.name, f"{scenario.title}, memory", memory, "MB", MEMORY[scenario.name]),
        ]
    return found


def all_out(came: Callable[[], int], process: subprocess.Popen[bytes]) -> None:
    until(lambda: came() >= FILES * 10, process)

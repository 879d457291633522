"""Latency: from a line's writing until the request that holds it has arrived."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import quantiles

from bench.check import Wrong
from bench.probe import TO_HTTP, Bench, Figure, until

RATE = 1000  # lines a second
SECONDS, LONG = 15, 60
WAITS = (1.0, 0.1)  # the usual wait of a batch, and a short one
MARGIN = 0.1  # seconds


def latency(bench: Bench, seconds: float | None = None) -> list[Figure]:
    """p50 and p99 in milliseconds, for two waits of a batch."""
    total = int(RATE * (seconds or (LONG if bench.long else SECONDS)))
    found = []
    for wait in WAITS:
        what = f"batch wait {wait:g} s"
        late, stall = lateness(bench, wait, total, what)
        marks = quantiles(late, n=100)
        found += [
            Figure("latency", bench.agent.name, f"{what}, p50", marks[49], "ms"),
            Figure("latency", bench.agent.name, f"{what}, p99", marks[98], "ms", (wait + MARGIN) * 1000),
            *stall,
        ]
    return found


def lateness(bench: Bench, wait: float, total: int, what: str) -> tuple[list[float], list[Figure]]:
    """Milliseconds of each line, by the monotonic clock, which all processes share; and the stall."""
    source = bench.folder / "latency.log"
    source.write_text("")
    job = bench.job(TO_HTTP, source, wait, "/marked")
    with bench.running(job) as process:
        write(source, total)
        until(lambda: bench.arrived() >= total, process)
        stall = bench.stall("latency", what, job)
    late = bench.server("GET", "/marks")["late"]
    if len(late) != total:
        raise Wrong(f"{total} lines were written, {len(late)} arrived")
    return [each / 1e6 for each in late], stall


def write(source: Path, total: int) -> None:
    """A line each millisecond, or as soon as the machine lets us; each says when it was written."""
    pad = "x" * 150
    with source.open("ab", buffering=0) as file:
        due = time.monotonic()
        for _ in range(total):
            due += 1 / RATE
            time.sleep(max(due - time.monotonic(), 0))
            file.write(f'{{"mark":{time.monotonic_ns()},"msg":"{pad}"}}\n'.encode())

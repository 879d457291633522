"""An outage: the destination answers 503 for a while. What is kept, in how much memory, and how fast it catches up."""

from __future__ import annotations

import time
from collections import Counter

from bench.check import Wrong
from bench.generate import generated
from bench.probe import TO_HTTP, Bench, Figure, until
from bench.run import usage

SECONDS, LONG = 20, 120
MOST = 0.9  # the last requests may be in a long pause before their next try
MEMORY = 200.0  # MB


def outage(bench: Bench, seconds: float | None = None) -> list[Figure]:
    """All lines are there at the start, and the server is down; the agent has its defaults."""
    source = generated("json", bench.lines, bench.folder / "input")
    seconds = seconds or (LONG if bench.long else SECONDS)
    what = f"503 for {seconds:g} s"
    job = bench.job(TO_HTTP, source, path="/marked")
    bench.server("POST", "/down")
    with bench.running(job) as process:
        time.sleep(seconds)
        bench.server("POST", "/up")
        back = time.monotonic()
        first = until(lambda: bench.arrived() > 0, process, 0.02)
        most = until(lambda: bench.arrived() >= bench.lines * MOST, process, 0.05)
        last = until(lambda: bench.arrived() >= bench.lines, process, 0.05)
        stall = bench.stall("outage", what, job)
    found = usage(bench.agent, job)
    report = bench.server("GET", "/report")
    if not report["refused"]:
        raise Wrong("nothing was refused: nobody sent anything while the server was down")
    times = Counter(bench.server("GET", "/marks")["marks"])
    lost = bench.lines - len(times)
    name = bench.agent.name
    return [
        Figure("outage", name, f"{what}: lost of {bench.lines:,}", lost, "events", 0),
        Figure("outage", name, f"{what}: twice", times.total() - len(times), "events"),
        Figure("outage", name, f"{what}: peak memory", found.rss / 1e6, "MB", MEMORY),
        Figure("outage", name, f"{what}: back until the first arrives", first - back, "s"),
        Figure("outage", name, f"{what}: back until all have", last - back, "s"),
        Figure("outage", name, f"{what}: catch-up, to 90 %", bench.lines * MOST / max(most - first, 0.05), "events/s"),
        Figure("outage", name, f"{what}: CPU in all", found.cpu / bench.lines * 1e6, "s/M"),
        *stall,
    ]

"""Many files: what the quiet ones cost while a few are busy."""

from __future__ import annotations

import json
import shutil
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.check import LineCount, Wrong
from bench.probe import TO_FILE, Bench, Figure, cpu, resident, until

MANY, BUSY = 10_000, 50
FIRST = 5  # lines that are in each file at the start
PER_FILE = 20  # lines a turn
TURN = 0.1  # seconds
SECONDS, LONG = 12, 60
SETTLE = 2.0
GOAL = 2.0


@dataclass
class Cost:
    begin: float
    """CPU seconds from the start until the first lines of all files are out, and a little more."""
    busy: float
    """CPU seconds while the busy files are written."""
    memory: int
    stall: list[Figure]


def files(bench: Bench, many: int = MANY, seconds: float | None = None) -> list[Figure]:
    """The ratio of pairs of runs, and what it takes to begin with so many."""
    turns = int((seconds or (LONG if bench.long else SECONDS)) / TURN)
    pairs = [(cost(bench, many, turns), cost(bench, BUSY, turns)) for _ in range(bench.runs)]
    ratio = median(all_.busy / alone.busy for all_, alone in pairs)
    name = bench.agent.name
    return [
        Figure("files", name, f"{many:,} files, {BUSY} busy, against those {BUSY}: CPU", ratio, "x", GOAL),
        Figure("files", name, f"{many:,} files: CPU to begin", median(each.begin for each, _ in pairs), "s"),
        Figure("files", name, f"{many:,} files: memory", max(each.memory for each, _ in pairs) / 1e6, "MB"),
        Figure("files", name, f"{BUSY} files: CPU", median(each.busy for _, each in pairs), "s"),
        *max((each.stall for each, _ in pairs), key=lambda stall: stall[0].value if stall else 0),
    ]


def cost(bench: Bench, many: int, turns: int) -> Cost:
    """One run over a folder with so many files, of which `BUSY` grow; every line is looked for in what came out."""
    logs = bench.folder / "many"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    paths = [logs / f"{n}.log" for n in range(many)]
    for n, path in enumerate(paths):
        path.write_text("".join(line(n, each) for each in range(FIRST)))
    busy = paths[:: many // BUSY][:BUSY]
    job = bench.job(TO_FILE, logs / "*.log")
    out = job.out(TO_FILE.routes[0])
    lines = LineCount(out)
    with bench.running(job) as process:
        until(lambda: lines() >= many * FIRST, process)
        time.sleep(SETTLE)
        began = cpu(process)
        due = time.monotonic()
        for turn in range(turns):
            for path in busy:
                first = FIRST + turn * PER_FILE
                with path.open("a") as file:
                    file.write("".join(line(int(path.stem), first + each) for each in range(PER_FILE)))
            due += TURN
            time.sleep(max(due - time.monotonic(), 0))
        until(lambda: lines() >= many * FIRST + turns * PER_FILE * len(busy), process)
        busy_cpu = cpu(process) - began
        stall = bench.stall("files", f"{many:,} files", job)
        found = Cost(began, busy_cpu, resident(process), stall)
    check(out, {int(path.stem): FIRST + turns * PER_FILE for path in busy}, many)
    return found


def line(number: int, each: int) -> str:
    return f"file {number} line {each} 203.0.113.7 GET /api/v1/orders 200 of some hundred bytes, as lines of logs often are\n"


def check(out: Path, busy: dict[int, int], many: int) -> None:
    """All lines of all files, each file's in order."""
    seen: dict[int, int] = defaultdict(int)
    with out.open() as file:
        for row in file:
            message = json.loads(row)["message"]
            number = int(message.split(" ", 2)[1])
            if message != line(number, seen[number])[:-1]:
                raise Wrong(f"file {number}: {message!r} where line {seen[number]} was expected")
            seen[number] += 1
    if wrong := [n for n in range(many) if seen[n] != busy.get(n, FIRST)]:
        raise Wrong(f"{len(wrong)} files are not complete, such as {wrong[0]}.log: {seen[wrong[0]]} lines")

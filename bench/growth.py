"""How cost grows: `python -m bench.growth`: with events, files, pipelines and connections. Figures as JSON, curves as SVG.

CPU of the agent an event, start-up taken off, and its peak memory, while one number grows and the rest stays as it is.
Everything goes to nothing, so that the curves show this agent and no destination; no figure without the right count.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import median

from bench.agents import Job
from bench.check import Wrong
from bench.feed import connected
from bench.generate import generated
from bench.machine import about
from bench.plot import Panel, chart
from bench.probe import Bench, cpu, resident, until
from bench.run import ROOT, Usage, free_port, sink, started, usage, wait_for
from bench.scenarios import Route, Scenario, Where
from bench.shipper import Shipper

FLAT = 0.1
"""What counts as flat: nowhere more than so much above the first point."""
WAIT = 0.1  # seconds that a batch waits for more: the last ones should not take long
STEP = 100_000  # events: all counts of `events` are multiples of it
CHUNK = 64 * 1024

FILES = Scenario("growth-files", "file, JSON parsed -> nothing", "json", "json", (Route("nothing"),))
SYSLOG = Scenario("growth-tcp", "TCP, RFC 5424 -> nothing", "syslog", "syslog", (Route("nothing"),), "tcp")


@dataclass(frozen=True)
class Point:
    x: int
    cost: float
    """Microseconds of CPU an event."""
    memory: float
    """Bytes, at the peak (of the one long run of `events`: at that moment)."""


@dataclass(frozen=True)
class Curve:
    name: str
    title: str
    across: str
    points: list[Point]

    @property
    def rise(self) -> float:
        """How much more an event costs at the dearest point than at the first, as a share of that."""
        return max(point.cost for point in self.points) / self.points[0].cost - 1

    def svg(self) -> str:
        cost = Panel("CPU an event, µs", [(point.x, point.cost) for point in self.points], FLAT)
        memory = Panel("memory, MB", [(point.x, point.memory / 1e6) for point in self.points])
        return chart(self.title, self.across, [cost, memory])


def once(bench: Bench, job: Job, events: int, send: Callable[[int], None] | None = None) -> Usage:
    """One run of the agent until it has delivered so many events."""
    agent = bench.agent
    with started(agent, job) as process:
        wait_for(process, lambda: agent.ready(job), 0.01)
        if send:
            send(job.port)
        until(lambda: (agent.delivered(job) or 0) >= events, process)
        if (came := agent.delivered(job)) != events:
            raise Wrong(f"{events} events were to come, {came} were delivered")
    return usage(agent, job)


def grown(
    bench: Bench, xs: Sequence[int], run: Callable[[int], Usage], idle: Usage, events: Callable[[int], int]
) -> list[Point]:
    """All sizes in turns, so that a noisy minute meets each; medians."""
    runs: dict[int, list[Usage]] = {x: [] for x in xs}
    for _ in range(bench.runs):
        for x in xs:
            runs[x].append(run(x))
    return [
        Point(x, (median(each.cpu for each in of) - idle.cpu) / events(x) * 1e6, max(each.rss for each in of))
        for x, of in runs.items()
    ]


def idle(bench: Bench, scenario: Scenario, source: Path) -> Usage:
    """Start and stop with nothing to read; the median of three."""
    return sorted((once(bench, job(bench, scenario, source), 0) for _ in range(3)), key=lambda each: each.cpu)[1]


def job(bench: Bench, scenario: Scenario, source: Path) -> Job:
    port = free_port() if scenario.feed == "tcp" else 0
    return replace(bench.job(scenario, source, WAIT), port=port)


def by_events(bench: Bench) -> Curve:
    """One run; between 10^5, 10^6 ... events the cost of those since the point before, and the memory there."""
    source = generated("syslog", STEP, bench.folder / "input")
    marks = [10**n for n in range(5, 9 if bench.long else 8)]
    work, agent, points = job(bench, SYSLOG, source), bench.agent, []
    with bench.running(work) as process:
        connection = wait_for(process, lambda: connected(work.port), 0.02)
        with connection:
            before, spent = 0, cpu(process)
            for mark in marks:
                with source.open("rb") as file:
                    for _ in range((mark - before) // STEP):
                        connection.sendfile(file, 0)
                until(lambda mark=mark: (agent.delivered(work) or 0) >= mark, process)  # type: ignore[misc]
                now = cpu(process)
                points.append(Point(mark, (now - spent) / (mark - before) * 1e6, resident(process)))
                before, spent = mark, now
        if (came := agent.delivered(work)) != marks[-1]:
            raise Wrong(f"{marks[-1]} events were to come, {came} were delivered")
    return Curve("events", "One long run", "events (RFC 5424 over TCP)", points)


def by_files(bench: Bench, sizes: Sequence[int] = (1, 10, 100, 1000)) -> Curve:
    """The same lines in 1 to 1,000 files, all there at the start."""
    source, folder = generated("json", bench.lines, bench.folder / "input"), bench.folder / "parts"
    folder.mkdir(exist_ok=True)

    def run(files: int) -> Usage:
        for old in folder.iterdir():
            old.unlink()
        for n, part in enumerate(parts(source, bench.lines, files)):
            (folder / f"{n}.log").write_bytes(b"".join(part))
        return once(bench, job(bench, FILES, folder / "*.log"), bench.lines)

    started_only = idle(bench, FILES, bench.folder / "nothing" / "*.log")
    points = grown(bench, sizes, run, started_only, lambda _: bench.lines)
    return Curve("files", "The same lines in more files", "files (JSON)", points)


def parts(source: Path, lines: int, count: int) -> Iterator[list[bytes]]:
    """The lines in so many parts, as equal as can be."""
    with source.open("rb") as file:
        for n in range(count):
            yield list(islice(file, lines * (n + 1) // count - lines * n // count))


def by_pipelines(bench: Bench, sizes: Sequence[int] = (1, 2, 5, 10, 25, 50)) -> Curve:
    """1 to 50 pipelines on one input, each with a condition that is true: the cost of an event in each of them."""
    lines = min(bench.lines, 200_000)
    source, empty = (generated("json", count, bench.folder / "input") for count in (lines, 0))

    def scenario(pipelines: int) -> Scenario:
        routes = tuple(Route("nothing", Where("duration_ms", "<", 10**6 + n)) for n in range(pipelines))
        return Scenario("growth-pipelines", "JSON -> nothing", "json", "json", routes)

    def run(pipelines: int) -> Usage:
        return once(bench, job(bench, scenario(pipelines), source), lines * pipelines)

    points = grown(bench, sizes, run, idle(bench, scenario(1), empty), lambda x: lines * x)
    return Curve("pipelines", "Pipelines that share an input", "pipelines (JSON, cost in each)", points)


def by_connections(bench: Bench, sizes: Sequence[int] = (1, 10, 100, 1000)) -> Curve:
    """The same lines over 1 to 1,000 connections that are open at the same time."""
    source = generated("syslog", bench.lines, bench.folder / "input")
    most = {"type": "syslog", "max_connections": 1100}

    def run(connections: int) -> Usage:
        work = job(bench, SYSLOG, source)
        agent = Shipper(settings={"inputs": {"in": {**most, "listen": f"tcp://127.0.0.1:{work.port}"}}})

        def send(port: int) -> None:
            with ExitStack() as stack:
                many = []
                for part in parts(source, bench.lines, connections):
                    if (connection := connected(port)) is None:
                        raise Wrong("nobody listens")
                    many.append((stack.enter_context(connection), iter(pieces(part))))
                while many:
                    many = [each for each in many if sent(*each)]

        return once(replace(bench, agent=agent), work, bench.lines, send)

    points = grown(bench, sizes, run, idle(bench, SYSLOG, source), lambda _: bench.lines)
    return Curve("connections", "The same lines over more connections", "connections (RFC 5424 over TCP)", points)


def pieces(lines: list[bytes]) -> list[bytes]:
    """Whole lines, joined to about `CHUNK` bytes."""
    each = max(CHUNK * len(lines) // max(sum(map(len, lines)), 1), 1)
    return [b"".join(lines[first : first + each]) for first in range(0, len(lines), each)]


def sent(connection: socket.socket, left: Iterator[bytes]) -> bool:
    """Send the next piece; False when there is none."""
    piece = next(left, None)
    if piece is not None:
        connection.sendall(piece)
    return piece is not None


CURVES: dict[str, Callable[[Bench], Curve]] = {
    "events": by_events,
    "files": by_files,
    "pipelines": by_pipelines,
    "connections": by_connections,
}


def line(curve: Curve) -> str:
    costs = "  ".join(f"{point.x:,}: {point.cost:.2f} us {point.memory / 1e6:.0f} MB" for point in curve.points)
    return f"{curve.name:12} {costs}  rises by {curve.rise:.0%}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description="How cost and memory grow.")
    parser.add_argument("--lines", type=int, default=1_000_000, help="lines a run (1000000)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each size, in turns (3)")
    parser.add_argument("--long", action="store_true", help="up to 10^8 events instead of 10^7")
    parser.add_argument("--only", default=",".join(CURVES), help="some of the curves, separated by commas")
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "shipper-bench", help="where files go")
    parser.add_argument("--draw", type=Path, default=ROOT / "docs" / "performance", help="where the curves go")
    args = parser.parse_args()
    if unknown := set(args.only.split(",")) - set(CURVES):
        parser.error(f"no curve {', '.join(sorted(unknown))}; there are {', '.join(CURVES)}")
    folder = args.folder / "growth"
    folder.mkdir(parents=True, exist_ok=True)
    args.draw.mkdir(parents=True, exist_ok=True)
    curves = []
    with sink() as server:
        bench = Bench(Shipper(), folder, server, args.lines, args.runs, args.long)
        for name in args.only.split(","):
            curves.append(curve := CURVES[name](bench))
            (args.draw / f"{name}.svg").write_text(curve.svg())
            print(line(curve), flush=True)
    results = args.folder / "growth.json"
    found = {**about(), "command": ["python", "-m", "bench.growth", *sys.argv[1:]], "lines": args.lines}
    found["curves"] = [{**asdict(curve), "rise": curve.rise, "goal": FLAT} for curve in curves]
    results.write_text(json.dumps(found, indent=2))
    print(f"figures in {results}, curves in {args.draw}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

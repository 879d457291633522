"""The command line: which scenarios, how many lines, how often; a table to stdout, JSON to a file."""

from __future__ import annotations

import argparse
import sys
from fnmatch import fnmatch
from pathlib import Path
from statistics import median_low

from bench.check import Wrong
from bench.generate import generated
from bench.report import HEAD, Row, as_json, line
from bench.run import Run, Sink, Usage, sink
from bench.scenarios import SCENARIOS, Scenario

IDLE_RUNS = 3


def typical(runs: list[Usage]) -> Usage:
    """The one whose CPU is the median."""
    cpu = median_low(run.cpu for run in runs)
    return next(run for run in runs if run.cpu == cpu)


def measured(scenario: Scenario, folder: Path, lines: int, runs: int, server: Sink) -> Row:
    """Start-up with an empty input first, then agent and floor in turns, so that a noisy minute meets both."""
    source, empty = (generated(scenario.shape, count, folder / "input") for count in (lines, 0))
    idle, full = (Run(scenario, folder / "run", *what, server) for what in ((empty, 0), (source, lines)))
    idle.agent()  # compiles what was not compiled yet
    row = Row(
        scenario,
        lines,
        typical([idle.agent() for _ in range(IDLE_RUNS)]),
        typical([idle.floor() for _ in range(IDLE_RUNS)]),
    )
    for _ in range(runs):
        row.agent.append(full.agent())
        row.floor.append(full.floor())
    return row


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Time the agent against the bare floor.")
    parser.add_argument("--lines", type=int, default=1_000_000, help="lines a run (1000000)")
    parser.add_argument("--runs", type=int, default=3, help="pairs of runs a scenario (3)")
    parser.add_argument("--only", default="*", help="names, separated by commas; patterns such as es* too")
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "shipper-bench", help="where files go")
    parser.add_argument("--json", type=Path, help="where the figures go (results.json in that folder)")
    parser.add_argument("--list", action="store_true", help="say which scenarios there are")
    args = parser.parse_args()
    patterns = args.only.split(",")
    chosen = [scenario for scenario in SCENARIOS if any(fnmatch(scenario.name, pattern) for pattern in patterns)]
    if args.list or not chosen:
        for scenario in SCENARIOS:
            print(f"{scenario.name:15} {scenario.title}")
        return 0 if chosen else 2
    args.folder.mkdir(parents=True, exist_ok=True)
    rows, failed = [], 0
    print(HEAD, flush=True)
    with sink() as server:
        for scenario in chosen:
            try:
                rows.append(measured(scenario, args.folder, args.lines, args.runs, server))
                print(line(rows[-1]), flush=True)
            except Wrong as wrong:
                failed += 1
                print(f"{scenario.name:15} no figure: {wrong}", flush=True)
    results = args.json or args.folder / "results.json"
    results.write_text(as_json(rows))
    print(f"figures in {results}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The command line: which scenarios and probes, how many lines, how often; two tables to stdout, JSON to a file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.agents import Agent, Cannot, Floor
from bench.check import Wrong
from bench.pairs import Row, measured
from bench.probe import Bench, Figure, Probe
from bench.probes import PROBES
from bench.report import FIGURES_HEAD, GOALS, HEAD, as_json, figure_line, lines
from bench.run import Sink, sink
from bench.scenarios import SCENARIOS, Scenario, chosen
from bench.shipper import Shipper


def compared(scenarios: list[Scenario], agents: list[Agent], args: argparse.Namespace, server: Sink) -> list[Row]:
    """The first table."""
    rows = []
    print(HEAD, flush=True)
    for scenario in scenarios:
        rows.append(measured(scenario, agents, args.folder, args.lines, args.runs, server))
        print(lines(rows[-1]), flush=True)
    print(f"\n{GOALS}\n")
    return rows


def probed(
    probes: list[Probe], agents: list[Agent], args: argparse.Namespace, server: Sink
) -> tuple[list[Figure], int]:
    """The second table, and how often there was no figure."""
    figures, failed = [], 0
    print(FIGURES_HEAD, flush=True)
    for probe in probes:
        for agent in agents:
            try:
                found = probe.measure(Bench(agent, args.folder, server, args.lines, args.runs, args.long))
            except (Wrong, Cannot, OSError) as error:
                failed += 1
                print(f"{probe.name:10} {agent.name:10} no figure: {error}", flush=True)
                continue
            figures += found
            print("\n".join(map(figure_line, found)), flush=True)
    return figures, failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Time the agent against the bare floor.")
    parser.add_argument("--lines", type=int, default=1_000_000, help="lines a run (1000000)")
    parser.add_argument("--runs", type=int, default=3, help="pairs of runs a scenario (3)")
    parser.add_argument("--only", default="*", help="names, separated by commas; patterns such as es* too")
    parser.add_argument("--long", action="store_true", help="probes as long as their goals say: two minutes of outage")
    parser.add_argument("--against", default="", help="agents found on PATH to run beside, separated by commas")
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "shipper-bench", help="where files go")
    parser.add_argument("--json", type=Path, help="where the figures go (results.json in that folder)")
    parser.add_argument("--list", action="store_true", help="say which scenarios and probes there are")
    args = parser.parse_args()
    scenarios, probes = chosen(SCENARIOS, args.only), chosen(PROBES, args.only)
    if args.list or not (scenarios or probes):
        titles = {each.name: each.title for each in SCENARIOS} | {each.name: each.title for each in PROBES}
        for name, title in titles.items():
            print(f"{name:15} {title}")
        return 0 if args.list else 2
    others: list[Agent] = []
    if args.against:
        from bench.peers import find

        try:
            others = [find(name) for name in args.against.split(",")]
        except Cannot as error:
            parser.error(str(error))
    args.folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    figures: list[Figure] = []
    failed = 0
    with sink() as server:
        if scenarios:
            rows = compared(scenarios, [Shipper(), Floor(), *others], args, server)
        if probes:
            figures, failed = probed(probes, [Shipper(), *others], args, server)
    results = args.json or args.folder / "results.json"
    results.write_text(as_json(rows, figures))
    print(f"figures in {results}", file=sys.stderr)
    broken = [side for row in rows for side in row.sides[:2] if side.why_not]  # ours: a peer may be unable
    return 1 if failed or broken else 0


if __name__ == "__main__":
    sys.exit(main())

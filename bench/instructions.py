"""Instructions a line, counted by valgrind: the one figure that a busy machine does not move.

    python -m bench.instructions [--only raw,json*] [--lines 20000]

On a shared machine the seconds of one and the same run differ by half within an hour, by what its neighbours leave it of
caches and clock; its instructions differ by a few percent. They know nothing of cache misses, nor of one thread waiting for
another, so seconds stay what is promised; but what a change costs, or whether speed was kept, they tell from a single run.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.agents import Agent, Cannot, Floor, Job
from bench.check import Wrong
from bench.generate import generated
from bench.run import Run, Sink, sink
from bench.scenarios import SCENARIOS, Scenario, chosen
from bench.shipper import Shipper

LINES = 20_000
"""Some hundred million instructions: many beside a start, which is taken off."""
TOTAL = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Counted:
    """An agent under valgrind, fifty times as slow; what it does, and how that is checked, stays the same."""

    agent: Agent
    out: Path
    """Where valgrind writes; the run's own folder is emptied."""

    @property
    def name(self) -> str:
        return self.agent.name

    def command(self, job: Job) -> Sequence[str]:
        tool = shutil.which("valgrind")
        if tool is None:
            raise Cannot("valgrind is not on PATH: apt-get install valgrind")
        return [tool, "--tool=callgrind", f"--callgrind-out-file={self.out}", *self.agent.command(job)]

    def ends(self, job: Job) -> bool:
        return self.agent.ends(job)

    def ready(self, job: Job) -> bool:
        return self.agent.ready(job)

    def delivered(self, job: Job) -> int | None:
        return self.agent.delivered(job)

    def says(self, job: Job) -> dict[str, float]:
        return self.agent.says(job)

    def total(self) -> int:
        """What its last run took, all of its threads, start and end included."""
        return int(TOTAL.findall(self.out.read_text())[-1])


def a_line(scenario: Scenario, agent: Agent, folder: Path, lines: int, server: Sink) -> float:
    """Instructions a line, start-up taken off. Raises Cannot, and Wrong when not every line came out as it should."""
    counted = Counted(agent, folder / "instructions.out")
    totals = []
    for count in (lines, 0):
        source = generated(scenario.shape, count, folder / "input")
        Run(scenario, folder / "run", source, server)(counted)
        totals.append(counted.total())
    return (totals[0] - totals[1]) / lines


def both(scenario: Scenario, folder: Path, lines: int, server: Sink) -> tuple[float, float]:
    """Instructions a line, ours and the floor's."""
    ours, floor = (a_line(scenario, each, folder, lines, server) for each in (Shipper(), Floor()))
    return ours, floor


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description="Instructions a line.")
    parser.add_argument("--lines", type=int, default=LINES, help=f"lines a run ({LINES})")
    parser.add_argument("--only", default="*", help="names of scenarios, separated by commas; patterns such as es* too")
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "shipper-bench", help="where files go")
    args = parser.parse_args()
    found = {}
    with sink() as server:
        for scenario in chosen(SCENARIOS, args.only):
            try:
                ours, floor = both(scenario, args.folder, args.lines, server)
            except (Cannot, Wrong) as why:
                print(f"{scenario.name:15} no figure: {why}", file=sys.stderr)
                return 1
            found[scenario.name] = {"title": scenario.title, "shipper": ours, "floor": floor}
            print(f"{scenario.name:15} {ours:9,.0f} {floor:9,.0f} {ours / floor:6.2f}", flush=True)
    command = ["python", "-m", "bench.instructions", *sys.argv[1:]]
    (args.folder / "instructions.json").write_text(json.dumps({"command": command, "rows": found}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

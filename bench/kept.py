"""Whether speed was kept: `python -m bench.kept`, in CI, some five minutes.

A few scenarios against the bare floor, in instructions a line (`bench.instructions`): seconds of a shared machine move by
more than what there is to find. A scenario whose ratio is more than `LIMIT` times what `recorded.json` says is
measured a second time; only when that says so too does the check fail (exit status 1). `--record` writes what was
measured there instead: after a change that is meant to cost something, or that made something cheaper.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.agents import Cannot
from bench.check import Wrong
from bench.instructions import both
from bench.run import sink
from bench.scenarios import SCENARIOS

RECORDED = Path(__file__).with_name("recorded.json")
LIMIT = 1.2
LINES = {"raw": 100_000, "regex": 20_000, "json": 30_000, "trace": 60_000, "syslog": 20_000, "es": 30_000}
"""Of each scenario as many as take long beside a start, which is taken off and is not quite the same each time."""
NAMES = tuple(LINES)

Ratios = Mapping[str, float]
Measure = Callable[[Sequence[str]], Ratios]
"""The ratio to the floor of each scenario that is named."""


class NoFigure(Exception):
    """A scenario could not be measured, or nobody has recorded it."""


@dataclass(frozen=True)
class Grown:
    """A scenario that was over the limit in both measurements."""

    name: str
    recorded: float
    first: float
    second: float

    def __str__(self) -> str:
        times = min(self.first, self.second) / self.recorded
        return (
            f"{self.name}: {self.first:.2f} and again {self.second:.2f} times the floor, recorded {self.recorded:.2f}: "
            f"{times:.2f} times that, at most {LIMIT} are allowed"
        )


def grown(recorded: Ratios, measure: Measure, names: Sequence[str] = NAMES) -> list[Grown]:
    """What got too expensive, twice in a row. Raises NoFigure."""
    if missing := [name for name in names if name not in recorded]:
        raise NoFigure(f"nothing is recorded for {', '.join(missing)}")
    first = measure(names)
    suspects = [name for name in names if first[name] > LIMIT * recorded[name]]
    second = measure(suspects) if suspects else {}
    return [
        Grown(name, recorded[name], first[name], second[name])
        for name in suspects
        if second[name] > LIMIT * recorded[name]
    ]


def against_floor(folder: Path, lines: int | None) -> Measure:
    """Measures for real, and says what it finds on stderr."""

    def measure(names: Sequence[str]) -> Ratios:
        found = {}
        with sink() as server:
            for scenario in (each for each in SCENARIOS if each.name in names):
                count = lines or LINES[scenario.name]
                try:
                    ours, floor = both(scenario, folder, count, server)
                except (Cannot, Wrong) as why:
                    raise NoFigure(f"{scenario.name}: {why}") from why
                found[scenario.name] = ours / floor
                print(f"{scenario.name:10} {ours:8,.0f} {floor:8,.0f} {ours / floor:.2f}", file=sys.stderr, flush=True)
        return found

    return measure


def as_json(ratios: Ratios) -> str:
    about = {"python": platform.python_version(), "machine": platform.machine()}
    return json.dumps({**about, "ratios": {name: round(value, 3) for name, value in ratios.items()}}, indent=2) + "\n"


def main(argv: Sequence[str] | None = None, measure: Measure | None = None, recorded: Path = RECORDED) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.kept", description="Whether speed was kept.")
    parser.add_argument("--record", action="store_true", help="write what is measured as what must be kept")
    parser.add_argument("--lines", type=int, help="lines a run, of each scenario, instead of its own number")
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "shipper-bench", help="where files go")
    args = parser.parse_args(argv)
    measure = measure or against_floor(args.folder, args.lines)
    try:
        if args.record:
            recorded.write_text(as_json(measure(NAMES)))
            return 0
        bad = grown(json.loads(recorded.read_text())["ratios"], measure)
    except NoFigure as why:
        print(why, file=sys.stderr)
        return 1
    for each in bad:
        print(each, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

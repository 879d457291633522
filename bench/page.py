"""Writes docs/performance.md from the JSON of a run: `python -m bench.page RESULTS GROWTH INSTRUCTIONS`.

`page.md` beside this file is the page with its words by hand; `{{name}}` in it is replaced. What is measured is not
derived from the source, so nothing but a new measurement makes the page stale.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from textwrap import shorten
from typing import Any

from bench.goals import Verdict, verdicts
from bench.peers import NOTES
from bench.results import OURS, Results

ROOT = Path(__file__).parents[1]
TEMPLATE = Path(__file__).with_name("page.md")
PLACE = re.compile(r"\{\{(\w+)\}\}")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first to the right."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(each)} |" for each in lines)


def times(ratios: Sequence[float]) -> str:
    """The median of what we take of another's CPU, with the least and the most."""
    return f"{median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f})" if ratios else ""


def cpu(results: Results) -> str:
    """CPU-seconds a million events of everybody, and our ratio to each."""
    others = [name for name in results.agents if name != OURS]
    head = ["work", OURS, *(cell for name in others for cell in (name, f"{OURS} / {name}"))]
    rows = []
    for row in results.rows:
        cells = [f"`{row.name}` {row.title}", row.figure(OURS, "cpu", "{:.2f}")]
        for name in others:
            cells += [row.figure(name, "cpu", "{:.2f}"), times(row.ratios(name))]
        rows.append(cells)
    return table(head, rows)


def rest(results: Results) -> str:
    """Events a second, and peak memory."""
    head = ["work", *(f"{name}: events/s" for name in results.agents), *(f"{name}: MB" for name in results.agents)]
    return table(
        head,
        [
            [
                f"`{row.name}`",
                *(row.figure(name, "events_per_second", "{:,.0f}") for name in results.agents),
                *(row.figure(name, "rss", "{:.0f}", 1e-6) for name in results.agents),
            ]
            for row in results.rows
        ],
    )


def lost(results: Results) -> str:
    """What became of datagrams."""
    said = [
        f"{name} {side['lost']:.2%}"
        for row in results.rows
        if row.name == "syslog-udp"
        for name, side in row.sides.items()
        if not side.get("why_not")
    ]
    return f"Datagrams lost in `syslog-udp`: {', '.join(said)}." if said else ""


def why_not(results: Results) -> str:
    """The sentences that stand in place of figures, rows with the same one together, and what differs where there are figures."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in results.rows:
        for name, side in row.sides.items():
            if side.get("why_not"):
                sentence = shorten(side["why_not"], 200)
                found.setdefault((name, sentence), []).append(f"`{row.name}`")
    lines = [f"- {name}, {', '.join(rows)}: {sentence}." for (name, sentence), rows in found.items()]
    lines += [f"- {note}" for name in results.agents for note in NOTES.get(name, ())]
    return "\n".join(lines)


def probes(results: Results) -> str:
    rows = [
        [
            f"{figure['probe']}: {figure['what']}",
            figure["agent"],
            f"{figure['value']:,.4g} {figure['unit']}",
            ""
            if figure["goal"] is None
            else f"{figure['sign'].replace('<=', 'at most').replace('>=', 'at least')} {figure['goal']:g}",
        ]
        for figure in results.figures
    ]
    return table(["what", "agent", "measured", "goal"], rows) if rows else ""


def goals(found: Sequence[Verdict]) -> str:
    return table(
        ["goal", "measured", "allowed", ""],
        [[each.what, each.measured, each.allowed, "met" if each.met else "**not met**"] for each in found],
    )


def curves(growth: dict[str, Any]) -> str:
    lines = []
    for curve in growth["curves"]:
        ends = f"{curve['points'][0]['x']:,} to {curve['points'][-1]['x']:,}"
        rise = (
            f"an event costs at most {curve['rise']:.0%} more than at the first point"
            if curve["rise"] > 0
            else "nowhere dearer than at the first point"
        )
        lines.append(
            f"![{curve['title']}](performance/{curve['name']}.svg)\n\n{curve['title']}: {ends} {curve['across']}; {rise}.\n"
        )
    return "\n".join(lines)


def instructions(counted: dict[str, Any]) -> str:
    """Instructions a line, ours and the floor's."""
    rows = [
        [
            f"`{name}` {row['title']}",
            *(f"{row[who]:,.0f}" for who in (OURS, "floor")),
            f"{row[OURS] / row['floor']:.2f}x",
        ]
        for name, row in counted["rows"].items()
    ]
    return table(["work", OURS, "floor", f"{OURS} / floor"], rows)


def machine(about: dict[str, Any]) -> str:
    memory = f", {about['memory'] / 2**30:.0f} GiB of memory" if about.get("memory") else ""
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    peers = "".join(f"; {said}" for said in about["peers"].values())
    return f"{about['cpus']} cores ({about['processor']}){memory}, {about['system']}; Python {about['python']}, {packages}{peers}."


def page(template: str, results: Results, growth: dict[str, Any], counted: dict[str, Any]) -> str:
    """The whole page. Raises KeyError for a place that nothing fills."""
    found = verdicts(results, growth)
    missed = sum(not each.met for each in found)
    commands = (results.command, growth["command"], counted["command"])
    values = {
        "machine": machine(growth),
        "commands": "\n".join(shlex.join(command) for command in commands),
        "lines": f"{max((row.lines for row in results.rows), default=0):,}",
        "runs": str(max((row.runs for row in results.rows), default=0)),
        "cpu": cpu(results),
        "rest": rest(results),
        "lost": lost(results),
        "why_not": why_not(results),
        "probes": probes(results),
        "goals": goals(found),
        "count": f"{len(found) - missed} of {len(found)}",
        "curves": curves(growth),
        "instructions": instructions(counted),
    }
    return PLACE.sub(lambda place: values[place[1]], template)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.page", description="Write docs/performance.md.")
    folder = Path.home() / ".cache" / "shipper-bench"
    parser.add_argument("results", type=Path, nargs="?", default=folder / "results.json", help="of python -m bench")
    parser.add_argument(
        "growth", type=Path, nargs="?", default=folder / "growth.json", help="of python -m bench.growth"
    )
    parser.add_argument(
        "instructions",
        type=Path,
        nargs="?",
        default=folder / "instructions.json",
        help="of python -m bench.instructions",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "performance.md")
    args = parser.parse_args()
    found, growth, counted = (json.loads(file.read_text()) for file in (args.results, args.growth, args.instructions))
    text = page(TEMPLATE.read_text(), Results(found), growth, counted)
    args.out.write_text(text)
    print(f"wrote {args.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`shipper files`: what is read, how far, and why something is not."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from shipper.cli.common import config_option, configuration, printable
from shipper.cli.main import example
from shipper.files.survey import Row, Survey, Surveyed

COLOURS = {"reading": "green", "not read": "yellow"}
HEADINGS = ("STATE", "POSITION", "SIZE", "LAG", "FILE")


@click.command("files", epilog=example("shipper files -c shipper.yaml"))
@config_option
@click.option("--json", "as_json", is_flag=True, help="A JSON list on stdout, one object for each file.")
def command(paths: Sequence[Path], as_json: bool) -> None:
    """List every file that the patterns find: its state, position, size and lag, in bytes, and why one is not read.

    It reads the saved positions and the file system, beside a running agent or without one, and changes nothing.
    """
    config = configuration(paths)
    found: dict[str, Survey] = {}
    for name, spec in config.inputs.items():
        instance = spec.make()
        if isinstance(instance, Surveyed):
            found[name] = instance.survey(Path(config.data_dir) / "state" / f"input-{name}")
    for name, survey in found.items():
        for reason in survey.damaged:
            click.echo(f"warning: positions of {name} are damaged: {_plain(reason)}", err=True)
    if as_json:
        rows = [
            {"input": name, "path": _text(row.path), "state": row.state, "position": row.position, "size": row.size,
             "lag": row.lag, "why": _text(row.why)}
            for name, survey in found.items()
            for row in survey.rows
        ]  # fmt: skip
        click.echo(json.dumps(rows, indent=2))
        return
    for name, survey in found.items():
        _table(name, survey)
    if not found:
        click.echo("no input follows files", err=True)


def _table(name: str, survey: Survey) -> None:
    states = Counter(row.state for row in survey.rows)
    known = ", ".join(f"{number} {state}" for state, number in states.items()) or "no pattern finds a file"
    behind = sum(row.lag or 0 for row in survey.rows if row.state == "reading")
    agent = f"process {survey.process}" if survey.process is not None else "not running"
    click.echo(f"{click.style(name, bold=True)}: {known}; {behind} bytes behind; agent: {agent}")
    if not survey.rows:
        return
    lines = [HEADINGS, *(_cells(row) for row in survey.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    for line, row in zip(lines, [None, *survey.rows], strict=True):
        state, numbers = line[0].ljust(widths[0]), line[1:4]
        cells = [text.rjust(width) for text, width in zip(numbers, widths[1:], strict=True)]
        why = f"  ({_plain(row.why)})" if row is not None and row.why else ""
        colour = COLOURS.get(row.state) if row is not None else None
        click.echo("  ".join(["", click.style(state, fg=colour), *cells, line[4] + why]))


def _cells(row: Row) -> tuple[str, ...]:
    if row.state == "not read":
        return row.state, "-", str(row.size), "-", _plain(row.path)
    return row.state, str(row.position), str(row.size), "?" if row.lag is None else str(row.lag), _plain(row.path)


def _text(path: str) -> str:
    """A name need not be text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _plain(text: str) -> str:
    """In one line, whatever a file is called."""
    return printable(_text(text)).replace("\n", "\\n").replace("\t", "\\t")

"""`shipper buffer`: what waits on disk for destinations that were behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from shipper.cli.common import Tidy, config_option, configuration, printable, readable
from shipper.cli.main import example
from shipper.component import Output
from shipper.config.model import Config
from shipper.delivery.buffers import identity
from shipper.delivery.inspect import Buffer, buffers, look
from shipper.registry import PluginError, Registry
from shipper.workers.folders import data_dirs


@click.group("buffer", cls=Tidy, epilog=example("shipper buffer ls"))
def command() -> None:
    """Disk buffers: what destinations have not taken yet. Works beside a running agent and changes nothing."""


@command.command("ls", epilog=example("shipper buffer ls --json"))
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a buffer, on stdout.")
def ls(paths: Sequence[Path], as_json: bool) -> None:
    """Each buffer with its events, bytes and whose it is."""
    config = configuration(paths)
    for buffer in chosen(config, None):
        for _ in look(buffer):  # counts
            pass
        if as_json:
            click.echo(json.dumps(buffer.summary()))
            continue
        whose = "" if buffer.taken else f"  no configured output takes it ({buffer.said.get('type', 'unknown type')})"
        click.echo(
            printable(
                f"{buffer.name:24} {buffer.events:>12,} events {readable(buffer.bytes):>10}  {buffer.folder}{whose}"
            )
        )


@command.command("check", epilog=example("shipper buffer check es"))
@config_option
@click.argument("name", required=False)
def check_command(paths: Sequence[Path], name: str | None) -> None:
    """Read every record and say what is damaged. Exit status 1 when something is."""
    config = configuration(paths)
    damaged = 0
    for buffer in chosen(config, name):
        for _ in look(buffer):
            pass
        damaged += len(buffer.damage)
        what = f"{buffer.records} records, {buffer.events} events, {len(buffer.damage)} damaged places"
        click.echo(printable(f"{buffer.name}: {what}  {buffer.folder}"))
        for note in buffer.damage:
            click.echo(printable(f"  {note}"))
    sys.exit(1 if damaged else 0)


@command.command("export", epilog=example("shipper buffer export es > events.ndjson"))
@config_option
@click.argument("name")
@click.option("--raw", is_flag=True, help="Bodies as they were encoded for the destination, one after the other.")
def export(paths: Sequence[Path], name: str, raw: bool) -> None:
    """What waits, as one JSON event a line on stdout. The buffer keeps it: with the agent running it may be sent too."""
    config = configuration(paths)
    out = sys.stdout.buffer
    for buffer in chosen(config, name):
        output = None if raw else maker(config, buffer)
        for record in look(buffer):
            if output is None:
                out.write(record.piece.body)
                continue
            for event in output.events(record.piece):
                out.write(orjson.dumps(event, default=str) + b"\n")
    out.flush()


def chosen(config: Config, name: str | None) -> list[Buffer]:
    """Those of this name, or all; of every worker."""
    mine = {spec.name: identity(spec.type_name, spec.make()) for spec in config.outputs.values()}
    roots = [folder / "buffers" for folder in data_dirs(Path(config.data_dir))]
    found = [buffer for root in roots for buffer in buffers(root, mine) if name in (None, buffer.name)]
    if name is not None and not found:
        raise click.ClickException(f"there is no buffer of {name!r} in {' or '.join(map(str, roots))}")
    return found


def maker(config: Config, buffer: Buffer) -> Output:
    """An output that can decode what is in a buffer: the configured one, or one of its type without options."""
    spec = config.outputs.get(buffer.name)
    if spec is not None and spec.type_name == buffer.said.get("type", spec.type_name):
        made: Output = spec.make()
        return made
    try:
        kind: Any = Registry(config.settings.plugins).get(Output.kind, str(buffer.said.get("type")))
        bare: Output = kind()
        return bare
    except (PluginError, TypeError, ValueError, AttributeError) as error:
        what = f"{buffer.folder}: its events cannot be decoded without the output that wrote them ({error}); try --raw"
        raise click.ClickException(what) from error

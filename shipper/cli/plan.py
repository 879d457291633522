"""`shipper plan`: what a reload would do, before it does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from shipper.cli.common import config_option, configuration, printable
from shipper.cli.main import example
from shipper.pipeline.plan import plan, recall

MARKS = {"keeps": " ", "starts": "+", "stops": "-", "refused": "!"}


@click.command("plan", epilog=example("shipper plan -c new.yaml"))
@config_option
@click.option("--json", "as_json", is_flag=True, help="A list of changes on stdout.")
def command(paths: Sequence[Path], as_json: bool) -> None:
    """What a reload with this configuration would restart, keep, start and stop.

    Compared with what runs, or ran last, with the same data_dir. Changes nothing. Exit status 2: the configuration is wrong.
    """
    config = configuration(paths)
    try:
        before = recall(Path(config.data_dir))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"what runs cannot be read from {config.data_dir}: {error}") from error
    if before is None:
        raise click.ClickException(f"nothing has run with {config.data_dir}: a start would open everything")
    changes = plan(before, config)
    if as_json:
        click.echo(json.dumps([asdict(change) for change in changes]))
        return
    for change in changes:
        click.echo(printable(f"{MARKS.get(change.action, '~')} {change}"))

"""`shipper validate`: every problem of the configuration at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from shipper.cli.common import BAD_CONFIG, complain, config_option, printable
from shipper.cli.main import example
from shipper.config.load import load
from shipper.errors import ConfigError


@click.command("validate", epilog=example("shipper validate -c shipper.yaml"))
@config_option
@click.option("--json", "as_json", is_flag=True, help="Problems as a JSON list on stdout.")
def command(paths: Sequence[Path], as_json: bool) -> None:
    """Report every problem of the configuration, each with its line and what was expected there."""
    try:
        config = load(paths)
    except ConfigError as error:
        if not as_json:
            complain(error.problems)
        fields = ("file", "line", "column", "path", "message", "suggestion")
        click.echo(json.dumps([{name: getattr(each, name) for name in fields} for each in error.problems], indent=2))
        sys.exit(BAD_CONFIG)
    for warning in config.warnings:
        click.echo(f"{click.style('warning', fg='yellow')}: {printable(str(warning))}", err=True)
    if as_json:
        click.echo("[]")
    else:
        files = ", ".join(str(file) for file in config.files)
        click.echo(f"{files}: no problems", err=True)

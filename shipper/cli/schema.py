"""`shipper schema`: the JSON Schema of the configuration."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from shipper.cli.common import BAD_CONFIG, printable
from shipper.cli.main import example
from shipper.config.describe import schema
from shipper.registry import PluginError, Registry


@click.command("schema", epilog=example("shipper schema > shipper.schema.json"))
@click.option(
    "--plugins", "folders", multiple=True, type=click.Path(path_type=Path), help="Folders of drop-in plugins."
)
def command(folders: tuple[Path, ...]) -> None:
    """Print the JSON Schema of the configuration, for editors that complete and check YAML."""
    try:
        text = json.dumps(schema(Registry(folders)), indent=2, ensure_ascii=False)
    except PluginError as error:
        click.echo(printable(str(error)), err=True)
        sys.exit(BAD_CONFIG)
    click.echo(text)

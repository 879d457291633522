"""`shipper plugins`: what is installed, what one takes, and the beginning of a new one."""

from __future__ import annotations

import inspect
import json
import re
import sys
from keyword import iskeyword
from pathlib import Path

import click

from shipper.cli.common import BAD_CONFIG
from shipper.cli.main import example
from shipper.config.describe import kinds_of, page
from shipper.config.read import nearest
from shipper.registry import KINDS, PluginError, Registry

folders_option = click.option(
    "--dir",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of drop-in plugins; default: ./plugins.",
)


def registry(folders: tuple[Path, ...]) -> Registry:
    default = Path("plugins")
    return Registry(folders or ([default] if default.is_dir() else []))


@click.group("plugins", epilog=example("shipper plugins show file"))
def command() -> None:
    """What is installed; one component's options; a new plugin with its test."""


@command.command("list", epilog=example("shipper plugins list --json"))
@folders_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(folders: tuple[Path, ...], as_json: bool) -> None:
    """List every input, filter, output and codec that can be used, and where it comes from."""
    found = registry(folders)
    rows = []
    for kind in KINDS:
        for place in found.places(kind):
            try:
                about = (inspect.getdoc(found.get(kind, place.name)) or "").split("\n")[0]
            except PluginError as error:
                about = f"cannot be used: {error}"
            rows.append({"kind": kind, "type": place.name, "from": place.origin, "about": about})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['kind']:7} {row['type']:14} {row['about']}")


@command.command("show", epilog=example("shipper plugins show elasticsearch"))
@click.argument("type_name", metavar="TYPE")
@click.option("--kind", type=click.Choice(list(KINDS)), help="When several kinds have a type of this name.")
@folders_option
def show(type_name: str, kind: str | None, folders: tuple[Path, ...]) -> None:
    """Show what a component does and every option it takes."""
    found = registry(folders)
    kinds = [kind] if kind else kinds_of(found, type_name)
    if not kinds:
        names = {name for each in KINDS for name in found.names(each)}
        click.echo(
            f"no component of type {type_name!r}; {nearest(type_name, names) or 'see `shipper plugins list`'}", err=True
        )
        sys.exit(BAD_CONFIG)
    try:
        click.echo("\n".join(page(found, each, type_name) for each in kinds), nl=False)
    except PluginError as error:
        click.echo(str(error), err=True)
        sys.exit(BAD_CONFIG)


@command.command("new", epilog=example("shipper plugins new filter geo"))
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("name")
@click.option(
    "--dir", "folder", default="plugins", type=click.Path(path_type=Path), help="Where to; default: ./plugins."
)
def new(kind: str, name: str, folder: Path) -> None:
    """Write a plugin that works, with a test that passes, ready to edit."""
    from shipper.cli.templates import TEMPLATES

    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name) or name.startswith("test_") or iskeyword(name):
        click.echo(f"found the name {name!r}, expected lower-case letters, digits and `_`, such as geo", err=True)
        sys.exit(BAD_CONFIG)
    if name in Registry().names(kind):
        click.echo(f"there is a built-in {kind} {name!r} already; choose another name", err=True)
        sys.exit(BAD_CONFIG)
    files = {folder / f"{name}.py": TEMPLATES[kind][0], folder / f"test_{name}.py": TEMPLATES[kind][1]}
    for file in files:
        if file.exists():
            click.echo(f"{file} is there already; nothing was written", err=True)
            sys.exit(BAD_CONFIG)
    words = {"name": name, "class_name": "".join(part.capitalize() for part in name.split("_"))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            for word, value in words.items():
                text = text.replace(f"@{word}@", value)
            file.write_text(text)
            click.echo(str(file))
    except OSError as error:
        click.echo(f"{folder}: cannot be written: {error.strerror}", err=True)
        sys.exit(BAD_CONFIG)
    click.echo(f"try it: pytest {folder}", err=True)

"""The `shipper` command: finds the file of each subcommand when it is named."""

from __future__ import annotations

import importlib
import os
import sys

import click

COMMANDS = ("run", "validate", "test", "plan", "doctor", "files", "buffer", "dlq", "plugins", "schema")


class Commands(click.Group):
    """Subcommands by file name, imported when used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"shipper.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1) if args else []
            if close:
                raise click.UsageError(f"{error.message} Did you mean {close[0]!r}?", ctx) from error
            raise


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: shipper run -c shipper.yaml",
)
@click.version_option(package_name="shipper", prog_name="shipper", message="%(prog)s %(version)s")
def cli() -> None:
    """Reads logs, parses, enriches and redacts them, and delivers them; it loses nothing, and proves it."""


def main() -> None:
    """Entry point; a closed pipe behind stdout or Ctrl-C is no reason for a traceback."""
    try:
        cli(prog_name="shipper")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def example(text: str) -> str:
    """The end of a command's `--help`."""
    return f"\b\nExample:\n  {text}"

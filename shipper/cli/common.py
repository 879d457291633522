"""What several commands share: finding the configuration, showing problems, the agent's own log."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from shipper.config.load import load
from shipper.config.model import Config
from shipper.errors import ConfigError, Problem, ShipperError
from shipper.options import Size

F = TypeVar("F", bound=Callable[..., Any])
BAD_CONFIG = 2


def config_option(function: F) -> F:
    return click.option(
        "-c", "--config", "paths", multiple=True, metavar="FILE", type=click.Path(path_type=Path),
        help="Configuration file, or a folder of *.yaml; may be repeated. "
        "Default: ./shipper.yaml, then /etc/shipper/shipper.yaml.",
    )(function)  # fmt: skip


def configuration(paths: Sequence[Path]) -> Config:
    """The configuration, or all its problems on stderr and exit status 2."""
    try:
        config = load(paths)
    except ConfigError as error:
        complain(error.problems)
    for warning in config.warnings:
        click.echo(f"{click.style('warning', fg='yellow')}: {printable(str(warning))}", err=True)
    return config


def complain(problems: Sequence[Problem]) -> NoReturn:
    for problem in problems:
        click.echo(printable(str(problem)).replace("\n", "\\n"), err=True)  # a line each, whatever was found
    count = len(problems)
    click.echo(click.style(f"{count} problem{'s' * (count != 1)}", fg="red", bold=True), err=True)
    sys.exit(BAD_CONFIG)


def mishap(reason: str) -> None:
    click.echo(f"{click.style('error', fg='red')}: {printable(reason)}", err=True)


def fail(reason: str) -> NoReturn:
    mishap(reason)
    sys.exit(1)


class Tidy(click.Group):
    """What went wrong with the files or with another process is a sentence and status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (OSError, ShipperError) as error:
            fail(str(error))


def printable(text: str) -> str:
    """Control characters escaped: what comes from a file must not steer a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode("ascii") for c in text)


def readable(size: int) -> str:
    """Bytes, roughly, for people."""
    for unit in ("GiB", "MiB", "KiB"):
        if size >= Size.UNITS[unit]:
            return f"{size / Size.UNITS[unit]:.1f} {unit}"
    return f"{size} bytes"


class Formatter(logging.Formatter):
    """Of one of several workers, whose number is in each line."""

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self.worker = worker


class TextFormatter(Formatter):
    """`12:00:00 warning  message`, with colour on a terminal; of a worker `12:00:00 warning  worker 1: message`."""

    COLOURS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}

    def format(self, record: logging.LogRecord) -> str:
        stamp = self.formatTime(record, "%H:%M:%S")
        level = record.levelname.lower()
        colour = self.COLOURS.get(record.levelname)
        if sys.stderr.isatty() and colour:
            level = click.style(level, fg=colour)
        text = printable(record.getMessage())
        if self.worker is not None:
            text = f"worker {self.worker}: {text}"
        if record.exc_info:
            text += "\n" + printable(self.formatException(record.exc_info))
        # further lines are indented: text from outside that has a newline in it cannot pass for a message of ours
        return f"{stamp} {level}  " + text.replace("\n", "\n    ")


class JsonFormatter(Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if self.worker is not None:
            entry["worker"] = self.worker
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def set_up_logging(level: str, form: str, worker: int | None = None) -> None:
    """The agent's own log, on stderr; of one of several workers each line says which."""
    import time

    handler = logging.StreamHandler(sys.stderr)
    formatter = JsonFormatter(worker) if form == "json" else TextFormatter(worker)
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("shipper").setLevel(level.upper())

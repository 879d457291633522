"""What a server is: how it is built, started, configured and known to be ready."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


class Problem(Exception):
    """Something a person has to read: printed as it is."""


class Url(str):
    """The address of a running server, with what a test may want to reach behind it."""

    __slots__ = ("address", "data", "ports", "processes")

    address: str
    """host:port of the first port."""
    data: Path
    """Its data folder; `server.log` there is what it says."""
    ports: list[int]
    processes: list[subprocess.Popen[bytes]]
    """The server itself is the last one."""


@dataclass(frozen=True)
class Server:
    """In `run`, `files`, `url` and `ready`, `{home}`, `{data}`, `{p[0]}`, `{p[1]}` ... are filled in."""

    name: str
    version: str
    proves: str
    build: Callable[[Path], None]
    """Fills the folder `home`, or raises Problem."""
    run: tuple[str, ...]
    """Command lines, started in this order in the data folder."""
    files: dict[str, str] = field(default_factory=dict)
    """Configuration, written to the data folder at each start."""
    sources: dict[str, str] = field(default_factory=dict)
    """Programs of ours, written to `home` before the build."""
    url: str = "http://127.0.0.1:{p[0]}"
    ready: str = ""
    """A URL that answers 2xx, or `log:TEXT` for a text in its log; otherwise its first port has to accept."""
    ports: int = 1
    """How many neighbouring ports it gets."""
    program: str = ""
    """A program of the system that it is; then being installed means that this is found."""

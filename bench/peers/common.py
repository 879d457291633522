"""What the adapters share."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Sequence
from pathlib import Path

AGENT_HOST = "web01"


def released_port() -> int:
    """A TCP port on loopback that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def in_shell(command: Sequence[str], out: Path) -> list[str]:
    """The command with its standard output in a file; the shell becomes the command, so that signals and figures are its."""
    return ["/bin/sh", "-c", f"exec {shlex.join(command)} > {shlex.quote(str(out))}"]

"""Agents that follow files, and what is done to these files."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.e2e.agent import Agent
from tests.faults.bench.destination import Destination
from tests.faults.bench.scenario import Bench

TRIES = 500
QUIET = 1.5
"""Seconds: longer than a file waits that looks like a copy in the making (0.7), and several looks at the folder."""


def files_to(server: Destination, *include: Path | str, **options: Any) -> dict[str, Any]:
    """From files to one HTTP destination, in order; `options` are more of the input's."""
    delivery = {"batch": {"bytes": "256KiB", "wait": "100ms"}, "concurrency": 1, "retry": {"first": "100ms"}}
    about = {"type": "file", "include": [str(path) for path in include], "poll_interval": "100ms", **options}
    return {
        "data_dir": "./data",
        "inputs": {"app": about},
        "outputs": {"out": {"type": "http", "url": server.url, "delivery": delivery}},
    }


def messages(server: Destination) -> list[str]:
    """What it took, in order."""
    return [str(event["message"]) for event in server.taken]


def settled(bench: Bench, agent: Agent, server: Destination, timeout: float = 30) -> None:
    """All that is owed has arrived, nothing comes twice later, the sums are exact, and the agent ends well."""
    bench.oracle.wait(agent, server.taken, timeout)
    quiet(bench, agent, server)


def quiet(bench: Bench, agent: Agent, server: Destination, seconds: float = QUIET) -> None:
    """Nothing more comes for so long; the sums are exact, and the agent ends well."""
    had = len(server.taken)
    time.sleep(seconds)  # that nothing happens can only be seen by looking
    assert len(server.taken) == had, f"{messages(server)[had:][:5]} came as well; {agent.tail()}"
    bench.sound(agent)
    assert agent.stop() == 0


def recycled(path: Path, inode: int, text: bytes) -> bool:
    """Write a file whose inode is this one; whether the file system gave it back."""
    spare = []
    for number in range(TRIES):
        path.touch()
        if path.stat().st_ino == inode:
            path.write_bytes(text)
            break
        spare.append(path.rename(path.with_suffix(f".spare{number}")))
    for each in spare:
        each.unlink()
    return path.exists()


def open_files(agent: Agent, folder: Path) -> set[str]:
    """Files below a folder that it has open, also deleted ones."""
    found = set()
    for each in os.scandir(f"/proc/{agent.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            path = os.readlink(each.path)
            if path.startswith(f"{folder}/"):
                found.add(path.removesuffix(" (deleted)"))
    return found


def logrotate(folder: Path, log: Path, *rules: str, under: Sequence[str] = ()) -> None:
    """What the real logrotate does to a file, now; `under` are words before its command line, as the agent's."""
    log.parent.chmod(0o755)  # it does not work in folders that others may write to
    config = folder / "logrotate.conf"
    config.write_text("\n".join([f"{log} {{", "rotate 100", "missingok", *rules, "}\n"]))
    config.chmod(0o644)
    words = [*under, "logrotate", "-f", "-s", str(folder / "logrotate.state"), str(config)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

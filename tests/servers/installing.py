"""Installing a server, once a version, into the cache folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from tests.servers.model import Problem, Server

SBIN = "/usr/sbin:/sbin"  # where daemons are, which is not on everybody's PATH


def cache() -> Path:
    """The folder that holds all of them: $SHIPPER_SERVERS, or ~/.cache/shipper-servers."""
    return Path(os.environ.get("SHIPPER_SERVERS") or Path.home() / ".cache/shipper-servers").absolute()


def home_of(server: Server) -> Path:
    """The folder of one version of a server."""
    return cache() / f"{server.name}-{server.version}"


def program(name: str) -> str | None:
    """The path of a program, or None when it is not on this machine."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{SBIN}")


def step(*argv: object, cwd: Path, **env: str) -> str:
    """Run one step to its end and return its output; a failure is a Problem with its last lines."""
    words = [str(word) for word in argv]
    if program(words[0]) is None:
        raise Problem(f"{words[0]} is not installed")
    done = subprocess.run(
        words, cwd=cwd, env={**os.environ, **env}, text=True, capture_output=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise Problem("\n  ".join([f"{' '.join(words[:4])}... failed:", *lines[-8:]]))
    return done.stdout


def installed(server: Server) -> bool:
    """Whether it can be started without building anything."""
    if server.program:
        return program(server.program) is not None
    return (home_of(server) / ".installed").exists()


def install(server: Server) -> Path:
    """Its folder, built first if it is not there; safe to call from several processes at once."""
    home = home_of(server)
    home.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{home}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / ".installed").exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            for name, text in server.sources.items():
                (home / name).write_text(text)
            server.build(home)
            (home / ".installed").touch()
    return home

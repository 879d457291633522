"""What a scenario needs of the machine, said plainly: skipped with the reason, which is a failure in CI (`tests/conftest.py`)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest


def _root() -> str:
    return "" if os.geteuid() == 0 else "it must be run as root"


def _program(name: str, package: str = "") -> Callable[[], str]:
    return lambda: (
        "" if shutil.which(name) else f"the program {name} is not installed (apt-get install {package or name})"
    )


def _strace() -> str:
    if missing := _program("strace")():
        return missing
    tried = subprocess.run(["strace", "-f", "-o", os.devnull, "true"], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.strip()[-200:]}"


def _mount() -> str:
    if missing := _root():
        return missing
    tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"nothing can be mounted here: {tried.stderr.strip()[-200:]}"


def _loop() -> str:
    lacking = _mount() or _program("mkfs.ext4", "e2fsprogs")()
    return lacking or ("" if Path("/dev/loop-control").exists() else "there are no loop devices")


def _cgroup() -> str:
    if missing := _root():
        return missing
    v1, v2 = Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/cgroup.controllers")
    if v1.exists() or (v2.exists() and "memory" in v2.read_text()):
        return ""
    return "there is no memory controller in /sys/fs/cgroup (v1 or v2)"


CHECKS: dict[str, Callable[[], str]] = {
    "root": _root,
    "strace": _strace,
    "mount": _mount,
    "loop": _loop,
    "cgroup": _cgroup,
    "gcc": _program("gcc"),
    "prlimit": _program("prlimit", "util-linux"),
    "logrotate": _program("logrotate"),
    "openssl": _program("openssl"),
    "ss": _program("ss", "iproute2"),
}


@cache
def lacking(name: str) -> str:
    """Why this machine has not got it; empty when it has."""
    return CHECKS[name]()


def absent(names: tuple[str, ...]) -> Iterator[str]:
    return (f"{name}: {why}" for name in names if (why := lacking(name)))


def requires(*names: str) -> pytest.MarkDecorator:
    """`@requires("root", "strace")`: without them the scenario is skipped."""
    unknown = set(names) - CHECKS.keys()
    assert not unknown, f"nobody knows how to look for {unknown}; known: {sorted(CHECKS)}"
    return pytest.mark.requires(*names)


def check(names: tuple[str, ...]) -> None:
    """Skip when something is missing (called by conftest before a scenario's fixtures)."""
    if reasons := "; ".join(absent(names)):
        pytest.skip(reasons)

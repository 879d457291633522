"""What figures were measured on and with: the machine, Python, its packages, and the peers that are on PATH."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("orjson", "isal", "uvloop", "aiohttp", "msgspec")
PEERS = {"fluent-bit": ("fluent-bit", "--version"), "rsyslog": ("rsyslogd", "-v"), "vector": ("vector", "--version")}


def field(path: Path, name: str) -> str:
    """What stands behind the first `name: ` of a file of the kernel; "" where there is none."""
    rows = path.read_text().splitlines() if path.exists() else []
    return next((row.partition(":")[2].strip() for row in rows if row.startswith(name)), "")


def said(command: tuple[str, ...]) -> str:
    """The first line that a program says of its version."""
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    first = (answer.stdout or answer.stderr).strip().partition("\n")[0]
    return " ".join(first.replace(" compiled with:", "").split())


def about() -> Mapping[str, Any]:
    memory = field(Path("/proc/meminfo"), "MemTotal").removesuffix(" kB")
    return {
        "processor": field(Path("/proc/cpuinfo"), "model name") or platform.processor(),
        "cpus": os.cpu_count(),
        "memory": int(memory) * 1024 if memory else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "peers": {name: said(command) for name, command in PEERS.items() if shutil.which(command[0])},
    }

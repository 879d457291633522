"""A wall clock that jumps, for one process: `CLOCK_REALTIME` with an offset (the files' own times stay true)."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path


class WallClock:
    """`clock = WallClock(tmp_path)`; `Agent(..., env=clock.env)`; then `clock.jump(-86_400)`. Needs `@requires("gcc")`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock.offset"
        self._library = folder / "clock.so"
        source = Path(__file__).with_name("clock.c")
        subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", self._library, source], check=True)
        self.offset = 0.0
        self.jump(0)

    @property
    def env(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "SHIPPER_CLOCK": str(self._file)}

    def jump(self, seconds: float) -> None:
        """The clock of every process under it is now so many seconds off the true time; at once, also while they run."""
        self.offset = seconds
        mode = "r+b" if self._file.exists() else "wb"
        with self._file.open(mode, buffering=0) as file:  # written over, so that what is mapped changes
            file.write(struct.pack("=q", round(seconds * 1e9)))

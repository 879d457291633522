"""A crash or an error at the n-th file call below a folder, counted over all threads of a process."""

from __future__ import annotations

import mmap
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

CALLS = {"write": 1, "fsync": 2, "rename": 4, "unlink": 8, "ftruncate": 16, "create": 32, "read": 64, "stat": 128}
WRITING = tuple(name for name in CALLS if name not in ("read", "stat"))
EVER = 1 << 40
_PLAN = struct.Struct("=qqqqq1024s1024s")  # `struct plan` of faultpoint.c


class FaultPoint:
    """`point = FaultPoint(tmp_path, agent.data_dir)`; `Agent(..., env=point.env)`; needs `@requires("gcc")`.

    `point.kill(at=7)`: SIGKILL in place of the seventh call that writes. `point.fail(errno.EIO, at=5, calls=["fsync"])`:
    that call fails and the next is fine (`times=EVER`: from there on). Set at any time, also while the agent
    runs, when counting begins anew; it holds over restarts until `off()`. Calls: `write fsync rename unlink ftruncate
    create read stat`. No slower than without it, but for what it counts. A call made by the kernel itself (io_uring, mmap) is not seen.
    """

    def __init__(self, folder: Path, under: Path) -> None:
        self._file, self._hits, self._library = (folder / f"fault.{end}" for end in ("plan", "hits", "so"))
        self._under = under.parent.resolve() / under.name
        source = Path(__file__).with_name("faultpoint.c")
        words: list[str | Path] = [
            "gcc",
            "-O2",
            "-Wall",
            "-Werror",
            "-shared",
            "-fPIC",
            "-o",
            self._library,
            source,
            "-ldl",
        ]
        subprocess.run(words, check=True)
        self._file.write_bytes(bytes(_PLAN.size))
        with self._file.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _PLAN.size)

    @property
    def env(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "SHIPPER_FAULT": str(self._file)}

    def kill(self, at: int, calls: Sequence[str] = WRITING) -> None:
        self._set(at, 1, 0, calls)

    def fail(self, error: int, at: int = 1, times: int = 1, calls: Sequence[str] = WRITING) -> None:
        self._set(at, times, error, calls)

    def off(self) -> None:
        self._set(0, 0, 0, ())

    def hits(self) -> list[str]:
        """What was hit since it was set, `call filename`."""
        return self._hits.read_text().splitlines() if self._hits.exists() else []

    @property
    def count(self) -> int:
        """How many such calls were made since it was set: the largest `at` that makes sense."""
        return int(struct.unpack_from("=q", self._map)[0])

    def _set(self, at: int, times: int, error: int, calls: Sequence[str]) -> None:
        self._hits.unlink(missing_ok=True)
        bits = sum(CALLS[name] for name in calls)
        plan = _PLAN.pack(0, at, times, error, bits, str(self._under).encode(), str(self._hits).encode())
        self._map[8:16] = bytes(8)  # nobody is hit by half a plan
        self._map[16:] = plan[16:]
        self._map[:16] = plan[:16]

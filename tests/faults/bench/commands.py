"""Commands of `shipper`, run to their end: how it ended, what it said, how long it took, what it used."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.e2e.agent import environment


@dataclass(frozen=True)
class Done:
    """`seconds` as a clock shows them, `cpu` seconds of the processor, `rss` bytes of memory at the peak."""

    status: int
    started: bool
    """It was ended because the file to wait for was there."""
    late: bool
    """It was ended because its time was over."""
    seconds: float
    cpu: float
    rss: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        return self.stdout + self.stderr


class Commands:
    """`with Commands(folder) as run: run("validate", "-c", "x.yaml").status`; paths are relative to the folder.

    As users run them, or with `warm` forked from a process that has imported everything: in milliseconds.
    """

    def __init__(self, folder: Path, *, warm: bool = False, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.env = env or {}
        words = [sys.executable, *([] if warm else ["-S", "-E"]), str(Path(__file__).with_name("launcher.py"))]
        self._launcher = subprocess.Popen(
            [*words, *(["--warm"] if warm else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            text=True,
        )

    def __call__(self, *args: str, started: Path | None = None, limit: float = 30) -> Done:
        """Run it; once the file `started` is there, it has shown what was asked of it, and is killed."""
        out, err = self.folder / ".stdout", self.folder / ".stderr"
        asked = {
            "args": args, "folder": str(self.folder), "env": self.env, "stdout": str(out), "stderr": str(err),
            "started": str(started or ""), "limit": limit,
        }  # fmt: skip
        assert self._launcher.stdin is not None and self._launcher.stdout is not None
        self._launcher.stdin.write(json.dumps(asked) + "\n")
        self._launcher.stdin.flush()
        answer = self._launcher.stdout.readline()
        assert answer, f"the launcher ended with {self._launcher.wait()}"
        return Done(
            **json.loads(answer), stdout=out.read_text(errors="replace"), stderr=err.read_text(errors="replace")
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        assert self._launcher.stdin is not None and self._launcher.stdout is not None
        self._launcher.stdin.close()
        self._launcher.wait(10)
        self._launcher.stdout.close()

"""Applications that write log files, and the tools that rotate them."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tests.faults.bench.oracle import Oracle, Source
from tests.faults.bench.pacing import Paced


class FileWriter(Paced):
    """Appends lines to `path` at `rate` a second; what a write returned for is W.

    `rotate()` (or every `every` seconds, at most `times` times) renames the file to `path.N` and goes on in a new one,
    which is a source of its own (`app.log`, `app.log#1`, ...); for `late` seconds a second writer goes on in the old
    one. `copytruncate()` copies it to `path.N` at a quiet moment (between two writes) and cuts it to nothing.
    """

    def __init__(
        self,
        oracle: Oracle,
        path: Path,
        rate: float = 2000,
        total: int | None = None,
        *,
        every: float = 0,
        times: int = 0,
        late: float = 0,
        size: int = 300,
    ) -> None:
        super().__init__(rate, total)
        self.oracle, self.path, self.size, self.late = oracle, path, size, late
        self.every, self.times = every, times
        self.rotations = 0
        self.sources: list[Source] = []
        self.marks: list[tuple[float, int]] = []
        """When how many lines of the newest source had been written."""
        self._lock = threading.RLock()
        self._old: list[tuple[float, IO[bytes], Source]] = []  # until when, where, whose
        self._rotated = time.monotonic()
        self._open()

    def start(self) -> None:
        self._rotated = time.monotonic()
        super().start()

    def _open(self) -> None:
        name = self.path.name + (f"#{self.rotations}" if self.rotations else "")
        self.sources.append(self.oracle.source(name, self.size))
        self._file: IO[bytes] = self.path.open("ab", buffering=0)

    def step(self, count: int) -> int:
        with self._lock:
            now = time.monotonic()
            if self.every and self.rotations < self.times and now - self._rotated >= self.every:
                due = self._rotated + self.every  # a grid: a late rotation does not put off the next
                self.rotate()
                self._rotated = due
            self._retire(now)
            late = min(len(self._old), count - 1)
            for _, file, source in self._old[-late:] if late > 0 else ():
                self._write(file, source, 1)
            late = max(late, 0)
            self._write(self._file, self.sources[-1], count - late)
            self.marks.append((time.monotonic(), self.sources[-1].minted))
        return count

    def _write(self, file: IO[bytes], source: Source, count: int) -> None:
        chunk = source.mint(count)
        data = chunk.text
        wrote = file.write(data)
        assert wrote == len(data), f"a short write of {wrote} bytes to {self.path}"
        chunk.written()

    def _retire(self, now: float) -> None:
        for old in [each for each in self._old if each[0] < now]:
            old[1].close()
            self._old.remove(old)

    def rotate(self) -> Path:
        """Rename and create, as logrotate's `create`; where the old one is now."""
        with self._lock:
            self.rotations += 1
            self._rotated = now = time.monotonic()
            there = self.path.with_name(f"{self.path.name}.{self.rotations}")
            self.path.rename(there)
            self._old.append((now + self.late, self._file, self.sources[-1]))
            self._open()
            self._retire(now)
            return there

    def copytruncate(self) -> Path:
        """Copy and cut, as logrotate's `copytruncate`; where the copy is."""
        with self._lock:
            self.rotations += 1
            there = self.path.with_name(f"{self.path.name}.{self.rotations}")
            shutil.copyfile(self.path, there)
            self._file.truncate(0)
            return there

    def quietly(self, do: Callable[[], None]) -> None:
        """Do something between two writes."""
        with self._lock:
            do()

    def last(self) -> None:
        self._file.close()
        for _, file, _ in self._old:
            file.close()

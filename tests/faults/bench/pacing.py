"""A thread that does so many things a second, and whose errors are not lost."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

TICK = 0.01  # seconds between two bursts


class Paced(threading.Thread):
    """`with` starts it and stops it at the end of the block; `finish` waits until its `total` is reached.

    A step that fails ends the thread, and the error is raised in the test by `stop` or `finish`.
    """

    def __init__(self, rate: float, total: int | None = None) -> None:
        super().__init__(daemon=True)
        self.rate = rate
        self.total = total
        self.done = 0
        self.stopping = threading.Event()
        self._error: BaseException | None = None

    def step(self, count: int) -> int:
        """Do at most so many; how many were done (0: not now, ask again)."""
        raise NotImplementedError

    def last(self) -> None:
        """Called once in the thread, at its end."""

    def run(self) -> None:
        try:
            self._turn()
        except BaseException as error:
            self._error = error
        finally:
            try:
                self.last()
            except BaseException as error:
                self._error = self._error or error

    def _turn(self) -> None:
        began, credit = time.monotonic(), 0.0
        while not self.stopping.is_set() and (self.total is None or self.done < self.total):
            now = time.monotonic()
            credit = min(credit + (now - began) * self.rate, max(self.rate, 1))  # a second is caught up, no more
            began = now
            count = int(credit) if self.total is None else min(int(credit), self.total - self.done)
            if count:
                did = self.step(count)
                self.done += did
                credit -= did
            self.stopping.wait(TICK)

    def stop(self) -> None:
        """No more; waits for the step under way."""
        self.stopping.set()
        self.finish(60)

    def finish(self, timeout: float = 120) -> None:
        """Wait for its end."""
        if self.ident is not None:
            self.join(timeout)
        assert not self.is_alive(), f"{self.name} still runs after {timeout} s, {self.done} done"
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stopping.set()
        if kind is None:
            self.stop()
        else:
            self.join(60)  # the test's own error is the one to see

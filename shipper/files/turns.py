"""Turns of several processes at something that they share, such as standard output."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from shipper.clock import Clock

FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.02
"""Seconds between two tries while another has its turn."""
BEGUN, DONE = b"1", b"0"


class Turn:
    """One process's; the file holds the lock and says whether whoever had the last turn came to its end."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.held = False

    async def take(self) -> bool:
        """Wait for it. Whether the one before ended in the middle of something."""
        pause = FIRST_PAUSE
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await self._clock.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        self.held = True
        broken = os.pread(self._fd, 1, 0) == BEGUN
        os.pwrite(self._fd, BEGUN, 0)
        return broken

    def give(self, done: bool = True) -> None:
        """Let the next have it; `done`: nothing was left in the middle."""
        if done:
            os.pwrite(self._fd, DONE, 0)
        self.held = False
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self, done: bool = True) -> None:
        if self.held:
            self.give(done)
        os.close(self._fd)

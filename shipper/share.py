"""Which part of the work is one process's, when several share it (`workers`)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """Worker `index` of `count`. The default is all of it: one process."""

    index: int = 0
    count: int = 1

    def takes(self, key: str) -> bool:
        """Whether what goes by this key is this worker's; the same in every release, so that nothing changes hands by an update.

        Without the lowest four bits of the checksum: names that differ in one digit, `a1.log` to `a8.log`, have nearly
        all the same ones, and one worker of two would get seven of these eight.
        """
        return (zlib.crc32(key.encode("utf-8", "surrogatepass")) >> 4) % self.count == self.index

    @property
    def first(self) -> bool:
        """Whether this one does what cannot be divided."""
        return self.index == 0

    @property
    def divided(self) -> bool:
        """Whether there are others."""
        return self.count > 1


WHOLE = Share()
"""All of the work is one process's."""

"""What a process is among several that share the work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shipper.share import WHOLE, Share


@dataclass(frozen=True, slots=True)
class Part:
    """Lent to the components of a process. The default: there is no other."""

    reads: Share = WHOLE
    """Its part of the sources."""
    writes: Share = WHOLE
    """Which of the processes that write it is: those that only empty buffers of an earlier run are among these."""
    common: Path | None = None
    """A folder that all of them share."""

    def share(self, kind: str) -> Share:
        """What a component of this kind goes by."""
        return self.reads if kind == "input" else self.writes


ALONE = Part()

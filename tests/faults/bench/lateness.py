"""How long after it was written an event arrived."""

from __future__ import annotations

import bisect
import time
from collections.abc import Sequence
from typing import Any

from tests.faults.bench.writers import FileWriter


def timed(event: dict[str, Any]) -> dict[str, Any]:
    """For `Destination(keep=timed)`: when it was taken, in monotonic seconds, as `at`."""
    return {**event, "at": time.monotonic()}


def p99(writer: FileWriter, taken: Sequence[dict[str, Any]], since: float = 0, until: float = float("inf")) -> float:
    """Seconds from the write's return to the arrival that one event in a hundred exceeds.

    Of those written from `since` until `until` (monotonic); the writer must not have rotated. What is missing is no
    concern of this: ask the oracle.
    """
    numbers = [last for _, last in writer.marks]
    late = []
    for event in taken:
        written = writer.marks[bisect.bisect_right(numbers, int(event["message"].split(" ")[1]))][0]
        if since <= written < until:
            late.append(event["at"] - written)
    assert len(late) > 100, f"void: only {len(late)} were written in that time and arrived"
    return sorted(late)[len(late) * 99 // 100]

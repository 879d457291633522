"""Times as Loki takes them: nanoseconds since 1970, written in digits."""

from __future__ import annotations

from typing import Any

from shipper.batch import Batch
from shipper.clock import rfc3339
from shipper.text.timestamps import to_epoch_ns
from shipper.text.utc import in_utc

__all__ = ["all_nanoseconds", "as_rfc3339", "nanoseconds", "times_of"]


def nanoseconds(text: Any) -> str | None:
    """An RFC 3339 time in digits; None for what is none, or lies outside 1970 to 2262."""
    if not isinstance(text, str):
        return None
    try:
        at = to_epoch_ns(text)
    except (ValueError, TypeError, IndexError):
        return None
    return str(at) if 10**9 <= at < 1 << 63 else None


class _Seconds(dict[str, str]):
    """`2026-11-22T12:00:00` as seconds since 1970, in digits."""

    def __missing__(self, head: str) -> str:
        if len(self) > 4096:
            self.clear()
        at = nanoseconds(head + "Z")
        if at is None:
            raise ValueError(head)
        made = self[head] = at[:-9]
        return made


_seconds = _Seconds()


def all_nanoseconds(written: list[str]) -> list[str]:
    """Times that all have the form `2026-11-22T12:00:00.123Z`, in one precision; raises ValueError or TypeError for others."""
    (width,) = set(map(len, written))
    if not 22 <= width <= 30 or not in_utc(written):
        raise ValueError("not alike")
    zeros = "0" * (30 - width)
    return [_seconds[text[:19]] + text[20:-1] + zeros for text in written]


def times_of(batch: Batch, count: int, now: str) -> tuple[list[str], int]:
    """Nanoseconds since 1970 of each event, in digits, and how many could not be read: these get the time of reading, or `now`."""
    shared = batch.attrs.get("timestamp")
    if not batch.has("timestamp"):
        at = nanoseconds(shared)
        return [at or now] * count, count if at is None and shared is not None else 0
    written: list[Any] = [event.get("timestamp", shared) for event in batch.events]
    try:
        return all_nanoseconds(written), 0
    except (ValueError, TypeError):
        found = [nanoseconds(text) for text in written]
    read = nanoseconds(shared) or now
    return [at or read for at in found], max(0, found.count(None) - written.count(None))


def as_rfc3339(at: str) -> str:
    """Digits as an RFC 3339 time, UTC, with nine places."""
    return f"{rfc3339(int(at[:-9]))[:19]}.{at[-9:]}Z"

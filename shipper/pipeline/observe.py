"""All counting and logging of the flow: plain integers, read when somebody looks."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from shipper.batch import Batch, Piece, Write
from shipper.errors import Partial, Rejected, TooLarge, Unavailable

log = logging.getLogger("shipper")


def once_in(seconds: float) -> Callable[[], bool]:
    """True at most once in so many seconds: for messages that would repeat."""
    last = float("-inf")

    def now() -> bool:
        nonlocal last
        if time.monotonic() - last < seconds:
            return False
        last = time.monotonic()
        return True

    return now


class InputFlow:
    """What came in through one input."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.events = 0
        self.bytes = 0
        self.in_flight = 0
        self.last_error = ""
        self.state = "starting"

    def received(self, batch: Batch, count: int) -> None:
        self.events += count
        self.bytes += batch.size


class PipelineFlow:
    """One pipeline's sum: received + made = dropped + dead-lettered + handed over + returned + in flight."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.received = 0
        self.made = 0
        self.drops: Counter[tuple[str, str]] = Counter()  # (component, reason)
        self.dead: Counter[tuple[str, str]] = Counter()
        self.filtered: Counter[str] = Counter()  # filter -> events that went in
        self.errors: Counter[str] = Counter()
        self.delivered = 0
        self.returned = 0
        self.in_flight = 0

    @property
    def unaccounted(self) -> int:
        gone = self.drops.total() + self.dead.total() + self.delivered + self.returned + self.in_flight
        return self.received + self.made - gone


class OutputFlow:
    """One output's sum: handed = delivered + dropped + dead-lettered + returned + in flight."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.total_handed = 0
        self.total_delivered = 0
        self.total_returned = 0
        self.in_flight = 0
        self.bytes = 0
        self.retries = 0
        self.drops: Counter[str] = Counter()
        self.dead: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.last_error = ""
        self.last_delivery: float | None = None
        self.down_since: float | None = None
        self.busy_since = 0.0
        self._may_warn = once_in(30)
        self._may_trace = once_in(30)

    # events
    def handed(self, events: int) -> None:
        if not self.in_flight:
            self.busy_since = time.monotonic()
        self.total_handed += events
        self.in_flight += events

    def delivered(self, pieces: Sequence[Piece]) -> None:
        self.delivered_events(sum(piece.count for piece in pieces))

    def delivered_events(self, events: int) -> None:
        self.total_delivered += events
        self.in_flight -= events
        if events:
            self.last_delivery = time.monotonic()

    def dropped(self, reason: str, events: int) -> None:
        self.drops[reason] += events
        self.in_flight -= events

    def dead_lettered(self, reason: str, events: int) -> None:
        self.dead[short(reason)] += events
        self.in_flight -= events

    def returned(self, pieces: Sequence[Piece]) -> None:
        self.returned_events(sum(piece.count for piece in pieces))

    def returned_events(self, events: int) -> None:
        self.total_returned += events
        self.in_flight -= events

    @property
    def unaccounted(self) -> int:
        gone = self.total_delivered + self.drops.total() + self.dead.total() + self.total_returned + self.in_flight
        return self.total_handed - gone

    def stuck_for(self) -> float:
        """Seconds since anything was delivered while something is waiting to be."""
        if not self.in_flight:
            return 0.0
        return time.monotonic() - max(self.busy_since, self.last_delivery or 0.0)

    # requests
    def requests(self, write: Write) -> Callable[[Sequence[Piece]], Awaitable[None]]:
        """The same `write`, with each try counted by what came of it."""

        async def counted(pieces: Sequence[Piece]) -> None:
            outcome = "error"
            try:
                await write(pieces)
                outcome = "ok"
                self.bytes += sum(len(piece.body) for piece in pieces)
            except Unavailable:
                outcome = "unavailable"
                raise
            except TooLarge:
                outcome = "too_large"
                raise
            except Rejected:
                outcome = "rejected"
                raise
            except Partial as answer:
                outcome = "partial"
                kept = sum(len(piece.body) for piece in answer.rest)
                self.bytes += max(sum(len(piece.body) for piece in pieces) - kept, 0)
                raise
            finally:
                self.outcomes[outcome] += 1

        return counted

    def unavailable(self, reason: str) -> None:
        self.last_error = reason
        if self.down_since is None:
            self.down_since = time.monotonic()
            self._may_warn()
            log.warning("output %s: %s; trying again", self.name, reason)
        elif self._may_warn():
            log.warning(
                "output %s: still failing after %.0fs: %s", self.name, time.monotonic() - self.down_since, reason
            )

    def available(self) -> None:
        if self.down_since is not None:
            log.info("output %s: delivering again after %.1fs", self.name, time.monotonic() - self.down_since)
            self.down_since = None

    def bug(self, error: BaseException) -> None:
        """An exception nobody foresaw; its traceback goes to the log at most twice a minute."""
        self.last_error = f"{type(error).__name__}: {error}"
        self.outcomes["bug"] += 1
        if self._may_trace():
            log.error("output %s: unexpected %s; nothing is thrown away", self.name, self.last_error, exc_info=error)


def short(reason: str) -> str:
    """A reason as a label: no values in it, so that their number stays small."""
    head = reason.split(":", 1)[0].strip() or "refused"
    return head[:60]

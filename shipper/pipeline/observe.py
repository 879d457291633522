"""All counting and logging of the flow: plain integers, read when somebody looks."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence

from shipper.batch import Batch, Piece, Write
from shipper.delivery.segments import Lost
from shipper.errors import Partial, Rejected, TooLarge, Unavailable
from shipper.pipeline.stall import Held

log = logging.getLogger("shipper")
REASONS = 100
"""Different reasons that are counted, for one output; what comes later is `other`."""


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
        self.holds: dict[str, Held] = {}
        self.delivered = 0
        self.returned = 0
        self.in_flight = 0

    def held(self, component: str) -> Held:
        return self.holds.setdefault(component, Held(component))

    def sums(self) -> Counter[str]:
        """Its sum, term by term."""
        found = Counter(received=self.received, made=self.made, delivered=self.delivered, returned=self.returned)
        found["in_flight"] = self.in_flight
        found.update({f"dropped: {component}: {reason}": count for (component, reason), count in self.drops.items()})
        found.update({f"dead_lettered: {name}: {reason}": count for (name, reason), count in self.dead.items()})
        return found

    @property
    def unaccounted(self) -> int:
        gone = self.drops.total() + self.dead.total() + self.delivered + self.returned + self.in_flight
        return self.received + self.made - gone


class OutputFlow:
    """One output's sum: handed + found = delivered + dropped + dead-lettered + returned + buffered + in flight."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.total_handed = 0
        self.total_delivered = 0
        self.total_returned = 0
        self.in_flight = 0
        self.found = 0
        """In its buffer at the start."""
        self.buffered = 0
        """On disk and not on their way."""
        self.buffer_bytes: Callable[[], int] = int
        self.corrupt = 0
        self.bytes = 0
        self.retries = 0
        self.drops: Counter[str] = Counter()
        self.dead: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.last_error = ""
        self.last_delivery: float | None = None
        self.down_since: float | None = None
        self.busy_since = 0.0
        self.held = Held(f"output {name}")
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
        self.dead[few(self.dead, short(reason))] += events
        self.in_flight -= events

    def returned(self, pieces: Sequence[Piece]) -> None:
        self.returned_events(sum(piece.count for piece in pieces))

    def returned_events(self, events: int) -> None:
        self.total_returned += events
        self.in_flight -= events

    # its buffer
    def opened_buffer(self, waiting: int, lost: Lost | None) -> None:
        """What the start found; what is damaged was found too, and is lost."""
        self.found += waiting
        self.buffered += waiting
        if waiting:
            log.info("output %s: %d events found in its buffer", self.name, waiting)
        if lost is not None:
            self.found += lost.events
            self.in_flight += lost.events
            self.damaged(lost)

    def damaged(self, lost: Lost) -> None:
        """Events that were taken out of the buffer and could not be read."""
        for note in lost.notes:
            log.error("output %s: buffer: %s", self.name, note)
        self.corrupt += lost.records
        if lost.events:
            log.error("output %s: buffer: %d events could not be read back", self.name, lost.events)
            self.dropped("buffer_damaged", lost.events)

    def spilled(self, events: int) -> None:
        """From memory to disk only."""
        self.in_flight -= events
        self.buffered += events

    def unspilled(self, events: int) -> None:
        """From disk to memory."""
        if not self.in_flight:
            self.busy_since = time.monotonic()
        self.buffered -= events
        self.in_flight += events

    def again(self, events: int) -> None:
        """Counted as returned, but they are on disk and go out again."""
        self.total_returned -= events
        self.in_flight += events

    def sums(self) -> Counter[str]:
        """Its sum, term by term."""
        found = Counter(handed=self.total_handed, found=self.found, delivered=self.total_delivered)
        found.update(returned=self.total_returned, buffered=self.buffered, in_flight=self.in_flight)
        found.update({f"dropped: {reason}": count for reason, count in self.drops.items()})
        found.update({f"dead_lettered: {reason}": count for reason, count in self.dead.items()})
        return found

    @property
    def unaccounted(self) -> int:
        gone = self.total_delivered + self.drops.total() + self.dead.total() + self.total_returned
        return self.total_handed + self.found - gone - self.buffered - self.in_flight

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


class LetterFlow:
    """One component's dead letters: what keeps them from being written, and how many gave way to newer ones."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.gave_way = 0
        self.trouble = ""
        self._may_say = once_in(30)
        self._may_say_lost = once_in(30)

    def stuck(self, reason: str) -> None:
        """They wait, and so does whoever wrote them; said at most twice a minute."""
        self.trouble = reason
        if self._may_say():
            log.error("dead letters of %s cannot be written, %s waits: %s", self.name, self.name, reason)

    def written(self, torn: bool) -> None:
        if torn:
            log.warning("dead letters of %s: half a line that a crash left was ended, it is skipped", self.name)
        if self.trouble:
            log.info("dead letters of %s are written again", self.name)
            self.trouble = ""

    def lost(self, events: int) -> None:
        """The oldest made room: `dead_letters.when_full` is `drop_oldest`."""
        self.gave_way += events
        if self._may_say_lost():
            log.warning("dead letters of %s are full: the oldest %d were dropped", self.name, events)


def few(known: Collection[str], reason: str) -> str:
    """The reason, or `other` when so many are known already: each is a series of its own, and destinations make them up."""
    return reason if reason in known or len(known) < REASONS else "other"


def short(reason: str) -> str:
    """A reason as a label: no values in it, so that their number stays small."""
    head = reason.split(":", 1)[0].strip() or "refused"
    return head[:60]

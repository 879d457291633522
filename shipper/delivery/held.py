"""One piece in the memory of a buffer, and what its owner says of its disk."""

from __future__ import annotations

from asyncio import Future

from shipper.batch import Piece
from shipper.delivery.store import Record
from shipper.pipeline.observe import OutputFlow, log


class Held:
    """One piece in memory."""

    __slots__ = ("below", "born", "over", "piece", "record", "safe")

    def __init__(self, piece: Piece, born: float, safe: Future[None] | None, record: Record | None = None) -> None:
        self.piece = piece
        self.born = born
        self.safe = safe
        """For whoever handed it over; None when it comes from the disk."""
        self.record = record
        """Its place on disk; it is safe from then on."""
        self.below = False
        self.over = False
        """Delivered, or settled otherwise."""


class Health:
    """Whether the buffer's disk is full or fails; said when it begins and when it is over."""

    def __init__(self, flow: OutputFlow) -> None:
        self.flow = flow
        self.full = False
        self.failing = False

    def is_full(self, full: bool, room: object, waits: bool) -> None:
        if full and not self.full and waits:
            log.warning("output %s: its buffer is full (%s): what comes now waits", self.flow.name, room)
        self.full = full

    def fails(self, error: Exception) -> None:
        self.flow.last_error = f"buffer: {getattr(error, 'strerror', None) or error}"
        if not self.failing:
            bug = None if isinstance(error, OSError) else error
            what = "output %s: its buffer cannot be used: %s; trying again, events wait"
            log.error(what, self.flow.name, error, exc_info=bug)
        self.failing = True

    def works(self) -> None:
        if self.failing:
            log.info("output %s: its buffer works again", self.flow.name)
        self.failing = False

"""A reload, rolled over all workers: one first, and what it refuses none gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shipper.pipeline.observe import log
from shipper.workers.charge import Charge


class Rolling:
    """One reload at a time; one that is asked for meanwhile comes after it."""

    def __init__(self, take_over: Callable[[], None], done: Callable[[], None]) -> None:
        """`take_over` is called once the first worker has the new configuration, `done` when all had their turn."""
        self.take_over = take_over
        self.done = done
        self.wanted = False
        self.leading: Charge | None = None
        self.others: list[Charge] = []
        self.following: set[Charge] = set()
        """Those that have yet to say what came of it."""
        self.unwilling: list[str] = []

    def step(self, workers: Sequence[Charge], front: Charge | None) -> None:
        """Begin, if one is wanted, none is under way, and somebody is there who can say whether it works."""
        lead = next((each for each in workers if each.ready and not each.drains), None)
        if self.wanted and lead is not None and self.leading is None and not self.following:
            self.wanted = False
            self.leading = lead
            self.others = [*workers, *([front] if front is not None else [])]
            lead.say("reload")

    def said(self, charge: Charge, taken: bool) -> None:
        """What came of it in one worker."""
        if charge is self.leading:
            self.leading = None
            if taken:
                self._roll(charge)
            else:
                log.error("reload refused: %s did not take it over, nobody else was asked", charge.name)
        elif charge in self.following:
            if not taken:
                self.unwilling.append(charge.name)
            self._heard_of(charge)

    def died(self, charge: Charge) -> None:
        """Who follows is started again with what is new."""
        if charge is self.leading:
            self.said(charge, False)
        elif charge in self.following:
            self._heard_of(charge)

    def _roll(self, first: Charge) -> None:
        self.take_over()
        self.unwilling = []
        for each in self.others:
            if each is not first and each.pid is not None:
                each.say("reload")
                if each.place is not None:
                    self.following.add(each)
        if not self.following:
            self._end()

    def _heard_of(self, charge: Charge) -> None:
        self.following.discard(charge)
        if not self.following:
            self._end()

    def _end(self) -> None:
        if self.unwilling:
            log.error(
                "only some workers have the new configuration: %s did not take it over, and what it had goes on there; "
                "reload again, or restart", " and ".join(self.unwilling),
            )  # fmt: skip
        else:
            log.info("all workers have the new configuration")
        self.done()

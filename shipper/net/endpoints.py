"""Several addresses of one destination: taken in turn, and one that fails is left to rest for a while."""

from __future__ import annotations

from collections.abc import Sequence

from shipper.clock import Clock
from shipper.options import Url

__all__ = ["Endpoints"]

FIRST, LONGEST = 1.0, 30.0  # seconds of rest after the first failure, and at most


class Endpoints:
    """Round robin with a small circuit breaker: rests double from 1s to 30s, and end with the first success.

    When all rest, the one that has rested longest is tried: pacing is the core's affair, here nobody waits.
    """

    def __init__(self, urls: Sequence[Url], clock: Clock) -> None:
        self._urls = list(urls)
        self._clock = clock
        self._next = 0
        self._until: dict[Url, tuple[float, float]] = {}  # when a rest ends, and how long it was

    def pick(self) -> Url:
        """The address to use now."""
        now = self._clock.monotonic()
        turn = [self._urls[(self._next + step) % len(self._urls)] for step in range(len(self._urls))]
        url = next((each for each in turn if self._ends(each) <= now), None) or min(turn, key=self._ends)
        self._next = (self._urls.index(url) + 1) % len(self._urls)
        return url

    def worked(self, url: Url) -> None:
        """It answered as it should: no rest any more."""
        self._until.pop(url, None)

    def failed(self, url: Url) -> None:
        """It could not be reached, or said that it cannot serve now."""
        now = self._clock.monotonic()
        ends, rest = self._until.get(url, (0.0, 0.0))
        if ends <= now:  # requests that were under way together fail together, and count once
            rest = min(rest * 2 or FIRST, LONGEST)
            self._until[url] = (now + rest, rest)

    def _ends(self, url: Url) -> float:
        return self._until.get(url, (0.0, 0.0))[0]

    def __repr__(self) -> str:
        now = self._clock.monotonic()
        resting = [str(url) for url in self._urls if self._ends(url) > now]
        return f"Endpoints({len(self._urls)} in all, resting={resting})"

"""`throttle`: no more than so many events in so much time."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Annotated, Literal

from shipper import Batch, Duration, Event, Filter, Meta, Template, option

KEYS = 10_000


class Throttle(Filter):
    """Let at most so many events pass in so much time, all together or for each key; what is more ends here.

    A token bucket: after a quiet time a burst of `events` passes at once, and in the long run `events` each `per`. The
    10,000 keys seen last are remembered; events without the key share one bucket. Of several `workers` each counts by
    itself.

    ```yaml
    filters:
      noisy: {type: throttle, events: 1000, per: 1m, key: "{kubernetes.namespace}/{kubernetes.pod}"}
    ```
    """

    events: Annotated[int, Meta(ge=1, description="Events that pass.")]
    per: Annotated[Duration, Meta(gt=0, description="The time in which they pass.")] = Duration(1)
    key: Annotated[Template | None, Meta(description="Each value of it is counted by itself.")] = None

    _buckets: OrderedDict[str | None, tuple[float, float]] = option(OrderedDict)
    """Key -> tokens left, and when that was; the one used last is at the end."""

    @property
    def needs(self) -> Literal["events"]:
        return "events"

    def apply(self, batch: Batch) -> Batch:
        now = self.scope.clock.monotonic()
        keys = self.key.each(batch) if self.key else None
        if not isinstance(keys, list):
            count = len(batch)
            room = self._take(keys, count, now)
            if room < count:
                batch.events = batch.events[:room] if room else []
            return batch
        wanted = Counter(keys)
        left = {key: self._take(key, count, now) for key, count in wanted.items()}
        if left == wanted:
            return batch
        passed: list[Event] = []
        for key, event in zip(keys, batch.events, strict=True):
            if left[key]:
                left[key] -= 1
                passed.append(event)
        batch.events = passed
        return batch

    def _take(self, key: str | None, wanted: int, now: float) -> int:
        """How many of the wanted events pass now."""
        tokens, since = self._buckets.pop(key, (float(self.events), now))
        tokens = min(self.events, tokens + (now - since) * self.events / self.per)
        taken = min(wanted, int(tokens + 1e-9))
        self._buckets[key] = (tokens - taken, now)
        if len(self._buckets) > KEYS:
            self._buckets.popitem(last=False)
        return taken

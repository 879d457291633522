"""`dedupe`: the first of equal events."""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Any, Literal

import orjson

from shipper import Batch, Duration, Event, FieldPath, Filter, Meta, option

REMEMBERED = 100_000


class Dedupe(Filter):
    """Let the first of equal events pass and drop the others that come within a time.

    Events are equal when all the named fields are; events with none of them pass. The time counts from the event that
    passed, so something that repeats for ever is seen once in each window. The 100,000 that passed last are
    remembered, in memory: a restart forgets them. Of several `workers` each remembers what it has seen itself.

    ```yaml
    filters:
      once: {type: dedupe, fields: [host, message], window: 5m}
    ```
    """

    fields: Annotated[list[FieldPath], Meta(min_length=1, description="Fields that make two events equal.")] = option(
        lambda: [FieldPath("message")]
    )
    window: Annotated[Duration, Meta(gt=0, description="How long others are dropped.")] = Duration(60)

    _until: dict[bytes, float] = option(dict)
    """Digest of the fields -> when its window ends; in the order in which they end."""

    @property
    def needs(self) -> Literal["events"]:
        return "events"

    def apply(self, batch: Batch) -> Batch:
        now = self.scope.clock.monotonic()
        until, attrs = self._until, batch.attrs
        gets = [path.get for path in self.fields]
        digests = [_digest([get(event, attrs) for get in gets]) for event in batch.events]
        passed: list[Event] = []
        for digest, event in zip(digests, batch.events, strict=True):
            if digest is not None:
                if until.get(digest, now) > now:
                    continue
                until.pop(digest, None)  # so that it goes to the end
                until[digest] = now + self.window
            passed.append(event)
        for digest in [digest for digest, end in until.items() if end <= now] if len(until) > REMEMBERED else ():
            del until[digest]
        while len(until) > REMEMBERED:
            del until[next(iter(until))]
        if len(passed) < len(digests):
            batch.events = passed
        return batch


def _digest(values: list[Any]) -> bytes | None:
    """16 bytes for these values; None when there is none of them."""
    if values.count(None) == len(values):
        return None
    try:
        data = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # not JSON: lone surrogates, big integers, what a `python` filter made
        data = repr(values).encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=16).digest()

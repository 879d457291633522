"""`sample`: keep a part of the events."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from random import Random
from typing import Annotated, Literal
from zlib import crc32

from shipper import Batch, Filter, Meta, Template, option


class Sample(Filter):
    """Keep this part of the events, chosen at random or by a key; the others end here.

    With a key all events with the same key share their fate, in every process and after every restart (a CRC-32
    of the key decides), so traces and sessions stay whole. Events without the key are chosen at random.

    ```yaml
    filters:
      tenth: {type: sample, rate: 0.1, key: "{trace_id}", when: "level == 'debug'"}
    ```
    """

    rate: Annotated[float, Meta(ge=0, le=1, description="Part of the events that is kept.")]
    key: Annotated[Template | None, Meta(description="Events of one key are kept or dropped together.")] = None
    seed: Annotated[
        int | None, Meta(description="Makes the random choice the same each time, in each of several `workers`.")
    ] = None

    _random: Random = option(Random)

    def __post_init__(self) -> None:
        if self.seed is not None:
            self._random.seed(self.seed)

    @property
    def needs(self) -> Literal["events"]:
        return "events"

    def apply(self, batch: Batch) -> Batch:
        keys = self.key.each(batch) if self.key else None
        if isinstance(keys, list):
            chosen: Sequence[bool] = [self._by_key(key) for key in keys]
        elif keys is not None:
            chosen = [self._by_key(keys)] * len(batch)
        else:
            chosen = [self._by_chance() for _ in range(len(batch))]
        if all(chosen):
            return batch
        if batch.is_lines and batch.raw is not None and any(chosen):
            lines = batch.raw.split(b"\n")
            kept = b"\n".join(compress(lines, chosen))
            ids = batch.ids and list(compress(batch.ids, chosen))
            return Batch(raw=kept, attrs=batch.attrs, decode=batch.decode, size=max(len(kept), 1), ids=ids)
        batch.events = list(compress(batch.events, chosen)) if any(chosen) else []
        return batch

    def _by_chance(self) -> bool:
        return self._random.random() < self.rate

    def _by_key(self, key: str | None) -> bool:
        if key is None:
            return self._by_chance()
        return crc32(key.encode("utf-8", "surrogatepass")) < self.rate * 2**32

"""Ids of events, so that a line that is sent twice is one document: random for its source, then its place in it.

Never a hash of the content, for two equal lines are two events. An id is `<identity>-<place>`: 64 random bits of the
file, connection or process, and where in it the event begins, or its number at receipt; both hexadecimal, which C
writes. What is not simply one line says so behind it, so that equal ids are always equal lines:

- `.n` (n over 1): so many lines that were joined, from this one on
- `_n`: a line that had no end when it was given out, of so many bytes
- `.0`: parts of a container's line that never ended, given out at this place; `+n`: something behind such a place
- `_n.0`: the same, as the last of lines that were joined
- `-n`: one of several events made of one, by a codec or a filter
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from shipper.batch import ID, Batch, Event

__all__ = [
    "Counted",
    "carried",
    "distinct",
    "identity",
    "labels",
    "marked",
    "parted",
    "put",
    "taken",
    "unended",
    "unlabelled",
]

Text = TypeVar("Text", str, "str | None")


def identity() -> str:
    """64 random bits."""
    return secrets.token_hex(8)


class Counted:
    """Ids for a source without places, such as a socket: random once, then counted at receipt."""

    def __init__(self) -> None:
        self._head = identity()
        self._next = 0

    def __call__(self, count: int) -> list[str]:
        """The ids of the next so many events."""
        begin = self._next
        self._next += count
        return labels(self._head, range(begin, self._next))


def labels(head: str, places: Iterable[int]) -> list[str]:
    """The ids of what begins at these places."""
    return [f"{head}-{place:x}" for place in places]


def distinct(ids: list[Text]) -> list[Text]:
    """The same with `-1`, `-2` behind the second and third of equal ones; whoever says the same ids gets the same."""
    seen = set(ids)
    if len(seen) == len(ids):
        return ids
    numbers: dict[str, int] = {}
    made: list[Any] = []
    for text in ids:
        name: Any = text
        if text is not None:
            number = numbers.get(text, 0)
            while number and (name := f"{text}-{number}") in seen:
                number += 1
            numbers[text] = number + 1
        made.append(name)
    return made


def unended(text: str) -> str:
    """What the id of a line says of its missing end, as the id of lines joined up to it has to say it; usually nothing."""
    if ".0" in text:
        return f"_{text.partition('-')[2]}"
    return "".join(text.partition("_")[1:])


def taken(events: Sequence[Event]) -> list[str | None] | None:
    """Take the ids out of events for as long as something looks at all of their fields; None, at no cost, without ids."""
    if not events or ID not in events[0]:
        return None
    return [event.pop(ID, None) for event in events]


def put(events: Iterable[Event], ids: Iterable[str | None] | None) -> None:
    """Put back what was taken, into as many events."""
    for event, text in zip(events, ids or (), strict=False):
        if text is not None:
            event[ID] = text


def carried(text: str | None, made: list[Event]) -> list[Event]:
    """The events that were made of the one with this id, with ids: its own, or when there are several `-0`, `-1` behind it."""
    if text is None:
        return made
    if len(made) == 1:
        made[0][ID] = text
        return made
    # each its own dict: somebody may have given the same one twice
    return [{**event, ID: f"{text}-{number}"} for number, event in enumerate(made)]


def parted(batch: Batch) -> tuple[list[str | None], Batch]:
    """The ids of a batch, and the batch without them; the one given is not changed."""
    if batch.is_lines:
        ids: list[str | None] = [None] * len(batch) if batch.ids is None else list(batch.ids)
        return ids, batch if batch.ids is None else Batch(raw=batch.raw, attrs=batch.attrs, size=batch.size)
    bare = [event.copy() for event in batch.events]
    return [event.pop(ID, None) for event in bare], Batch(bare, attrs=batch.attrs, size=batch.size)


def unlabelled(batch: Batch) -> Batch:
    """The batch as an output gets it that wants no ids."""
    return parted(batch)[1]


def marked(batch: Batch, mark: str) -> Batch:
    """The batch with `mark` behind its ids: the same lines by another way, such as a second pipeline, are other documents."""
    if batch.is_lines:
        ids = batch.ids and [text + mark for text in batch.ids]
        return Batch(raw=batch.raw, attrs=batch.attrs, size=batch.size, ids=ids)
    events = [{**event, ID: f"{event[ID]}{mark}"} if ID in event else event for event in batch.events]
    return Batch(events, attrs=batch.attrs, size=batch.size)

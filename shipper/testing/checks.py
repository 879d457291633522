"""The contract of each kind as a function that checks it. Used on our own parts first."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from shipper.batch import NO_ATTRS, Attrs, Batch, Event, Piece
from shipper.component import Filter, Input, Output, Scope
from shipper.errors import Partial, Refused, Rejected, Unavailable
from shipper.testing.drive import drive

SECOND = 1.0
SAMPLES: tuple[Event, ...] = (
    {"message": "hello", "timestamp": "2026-11-22T12:00:00.000000Z"},
    {"message": "", "level": "error", "nested": {"list": [1, None, "x"], "deep": {"a": True}}},
    {"message": "ünï\u2028cödé \x00 \x1b[31m", "n": 2**53, "f": 0.5},
    {},
)


def check_filter(make: Callable[[], Filter], events: Iterable[Event] = SAMPLES, attrs: Attrs = NO_ATTRS) -> None:
    """Attributes are replaced and never changed, the same events give the same result in one batch or alone
    (where the filter keeps no state), and one that raises leaves the batch as it came."""
    given = list(events)
    held = dict(attrs) or {"host": "web01", "nested": {"a": 1}}
    before = copy.deepcopy(held)
    subject = make()
    result = subject.apply(Batch(copy.deepcopy(given), attrs=held))
    assert held == before, f"the filter changed the batch's attributes: {before} became {held}"
    assert isinstance(result, Batch), f"apply gave {type(result).__name__}, expected a Batch"
    assert all(isinstance(event, dict) for event in result.events), "an event is a dict"
    empty = make().apply(Batch([], attrs=held))
    assert not empty.events, f"an empty batch gave {empty.events}"
    values: tuple[object, ...] = (None, 1, [], {}, "x" * 10_000, "\ud800")
    hostile: list[Event] = [{"message": value} for value in values]
    batch = Batch(copy.deepcopy(hostile), attrs=held)
    subject = make()
    try:
        subject.apply(batch)
    except Exception:
        assert batch.events == hostile, "a filter that raises must leave the batch as it came"


async def check_output(make: Callable[[], Output], events: Sequence[Event] = SAMPLES) -> None:
    """It opens, is cancelled within a second, closes twice, encodes without changing the events, splits a piece
    into one an event, decodes what it encoded, and says what became of a request by a typed error."""
    output = make()
    given = copy.deepcopy(list(events))
    batch = Batch(given, attrs={"host": "web01"})
    encoded = list(output.encode(batch))
    assert given == list(events), "encode changed the events: a batch may be shared with other outputs"
    pieces = [each for each in encoded if isinstance(each, Piece)]
    count = sum(piece.count for piece in pieces) + sum(isinstance(each, Refused) for each in encoded)
    assert count == len(events), f"{len(events)} events became {count}"
    for piece in pieces:
        singles = output.split(piece)
        assert [single.count for single in singles] == [1] * piece.count, "split gives one piece an event"
        assert len(output.events(piece)) == piece.count, "events() gives back every event of a piece"
    await output.open()
    try:
        for key in dict.fromkeys(piece.key for piece in pieces):
            await _one_write(output, [piece for piece in pieces if piece.key == key])
    finally:
        await output.close()
        await output.close()


async def _one_write(output: Output, pieces: list[Piece]) -> None:
    writing = asyncio.ensure_future(output.write(pieces))
    done, _ = await asyncio.wait([writing], timeout=SECOND)
    if not done:
        writing.cancel()
        done, _ = await asyncio.wait([writing], timeout=SECOND)
        assert done, "a write that is cancelled must end within a second"
        return
    error = writing.exception()
    assert error is None or isinstance(error, Unavailable | Rejected | Partial), f"write raised {error!r}"


async def check_input(make: Callable[[], Input], state: Path | None = None) -> None:
    """It opens, stops within a second when it is cancelled, closes twice, and sends nothing afterwards."""
    subject = make()
    async with drive(subject, state) as driver:
        await asyncio.sleep(0)
        async with asyncio.timeout(SECOND):
            await driver.stop()
        sent = len(driver.unread)
        await asyncio.sleep(0)
        assert len(driver.unread) == sent, "it sent something after it was stopped"
    await subject.close()


async def delivered(
    output: Output, events: Sequence[Event], attrs: Attrs = NO_ATTRS, state: Path | None = None
) -> None:
    """Open an output, deliver events as one request a key, close it; what `write` raises is raised here."""
    output.scope = Scope(type(output).__name__.lower(), state)
    await output.open()
    try:
        by_key: dict[str, list[Piece]] = {}
        for each in output.encode(Batch(copy.deepcopy(list(events)), attrs=attrs)):
            if isinstance(each, Refused):
                raise Rejected(each.reason, each.status)
            by_key.setdefault(each.key, []).append(each)
        for pieces in by_key.values():
            await output.write(pieces)
    finally:
        await output.close()

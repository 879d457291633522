"""Everything is taken, and the cost that was asked for is paid."""

from __future__ import annotations

import asyncio

from shipper.batch import Batch, Piece
from shipper.codecs.ndjson import Ndjson
from shipper.component import Scope
from shipper.outputs.blackhole import Blackhole
from shipper.testing import check_output
from shipper.testing.clock import FakeClock


async def test_contract() -> None:
    """It keeps the contract of outputs, with a codec and without."""
    await check_output(Blackhole)
    await check_output(lambda: Blackhole(codec=Ndjson()))


async def test_lines_are_counted_not_decoded() -> None:
    """Without a codec a chunk of lines is counted and left as it is; an empty batch is nothing."""
    batch = Batch(raw=b"a\nb\nc")
    assert list(Blackhole().encode(batch)) == [Piece(b"", 3)]
    assert batch.is_lines
    assert list(Blackhole().encode(Batch([]))) == []


async def test_encodes_when_told() -> None:
    """With a codec the cost of encoding is paid."""
    assert list(Blackhole(codec=Ndjson()).encode(Batch([{"a": 1}]))) == [Piece(b'{"a":1}\n', 1)]


async def test_rate() -> None:
    """Ten events at a rate of five a second take two seconds."""
    clock = FakeClock()
    output = Blackhole(rate=5.0)
    output.scope = Scope("blackhole", clock=clock)
    writing = asyncio.ensure_future(output.write([Piece(b"", 4), Piece(b"", 6)]))
    await clock.advance(1.9)
    assert not writing.done()
    await clock.advance(0.2)
    await writing


async def test_a_request_longer_than_its_timeout_ends() -> None:
    """A request that is given up and comes again waits only for the rest of its time."""
    clock = FakeClock()
    output = Blackhole(rate=1.0)
    output.scope = Scope("blackhole", clock=clock)
    first = asyncio.ensure_future(output.write([Piece(b"", 10)]))
    await clock.advance(9)
    first.cancel()
    again = asyncio.ensure_future(output.write([Piece(b"", 10)]))
    await clock.advance(1.1)
    await again

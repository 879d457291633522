"""Large bodies as they go out."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shipper.net.sending import FIRST, PART, Body


class Writer:
    """Keeps what it is given, in the place of aiohttp's writer."""

    def __init__(self) -> None:
        self.parts: list[Any] = []

    async def write(self, part: Any) -> None:
        self.parts.append(part)


edges = st.sampled_from([0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + PART, FIRST + PART + 1, FIRST + 3 * PART + 7])


@given(size=edges, most=st.none() | edges)
def test_parts_are_the_body(size: int, most: int | None) -> None:
    """Its parts, joined, are the body or as much of it as was asked for; none is large, and they are views, not copies."""
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    body, writer = Body(data), Writer()
    for _ in range(2):  # a request that is said again begins anew
        writer.parts.clear()
        asyncio.run(body.write_with_length(writer, most))  # type: ignore[arg-type]  # all that is called
        wanted = data if most is None else data[:most]
        assert b"".join(writer.parts) == wanted
        assert body.sent == len(wanted)
        assert max(map(len, writer.parts), default=0) <= PART
        assert all(isinstance(part, memoryview) and part.obj is data for part in writer.parts)
    assert body.size == len(data)


def test_others_run_between_parts() -> None:
    """The loop turns between the parts of a large body."""

    async def both() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        await Body(bytes(FIRST + 5 * PART)).write(Writer())  # type: ignore[arg-type]  # all that is called
        counting.cancel()
        return turns

    assert asyncio.run(both()) >= 4

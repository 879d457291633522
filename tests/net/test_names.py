"""Looking up names takes no thread that others need, and no longer than whoever asks wants to wait."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from shipper.net.names import Names


async def test_it_finds_what_the_system_finds() -> None:
    """Addresses of both kinds are numeric; what does not exist is an OSError."""
    found = await Names().resolve("127.0.0.1", 80)
    assert [(each["host"], each["port"], each["family"]) for each in found] == [("127.0.0.1", 80, socket.AF_INET)]

    def two(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        return [
            (socket.AF_INET6, 1, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, 1, 6, "", ("192.0.2.1", port)),
        ]

    assert [each["host"] for each in await Names(two).resolve("both.test", 80)] == ["::1", "192.0.2.1"]

    def none(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    with pytest.raises(socket.gaierror):
        await Names(none).resolve("none.test", 80)


async def test_a_silent_resolver_holds_up_nobody() -> None:
    """Of a hundred who ask for one name a single thread is held; who gives up goes, and the answer serves the next."""
    asked, answer = 0, threading.Event()

    def slow(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        nonlocal asked
        asked += 1
        assert answer.wait(10)
        return [(socket.AF_INET, 1, 6, "", ("192.0.2.1", port))]

    names = Names(slow)
    for _ in range(100):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(names.resolve("slow.test", 80), 0.001)
    assert await asyncio.to_thread(lambda: "others work") == "others work"
    last = asyncio.ensure_future(names.resolve("slow.test", 80))
    await asyncio.sleep(0)
    answer.set()
    assert [each["host"] for each in await last] == ["192.0.2.1"]
    assert asked == 1


async def test_a_lookup_that_cannot_begin_is_tried_again() -> None:
    """Without a thread for it, and for a name that is none, the answer is an OSError at once; the next try looks anew."""
    names = Names()
    threading.stack_size(2**60)  # more than there is: no thread can be started
    try:
        with pytest.raises(OSError, match="thread"):
            await asyncio.wait_for(names.resolve("127.0.0.1", 80), 10)
    finally:
        threading.stack_size(0)
    assert await asyncio.wait_for(names.resolve("127.0.0.1", 80), 10)
    with pytest.raises(socket.gaierror):
        await names.resolve("a" * 64 + ".test", 80)

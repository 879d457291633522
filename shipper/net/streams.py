"""Connections that bring events: read in chunks, each a batch; while there is no room, they are not read."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from shipper.batch import Batch, Send
from shipper.errors import Unavailable
from shipper.net.accepting import Acceptor, peer_of
from shipper.net.sockets import Bound

__all__ = ["Conversation", "Streams"]

CHUNK = 64 * 1024
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.25  # seconds between two tries to hand over a batch
LAST_TRIES = 0.5  # seconds to hand over what is held at a stop
LAST_READS = 0.5  # seconds to read what has arrived at a stop

Handed = tuple[Batch, int]
"""A batch and how many events are in it, known without making them."""


class Conversation(Protocol):
    """What one connection says."""

    @property
    def pending(self) -> bool:
        """Whether something has begun that is not complete."""

    def read(self, data: bytes) -> Handed | None:
        """What is complete now."""

    def finish(self) -> Handed | None:
        """What is left when the connection has ended."""


class Streams:
    """All connections of an input. `conversation` is called with the peer's address for each new one.

    At most `most` connections are open; further ones wait to be accepted, and one that has been silent for `patience`
    seconds is closed for them. One that leaves something incomplete for as long is closed, what it has said is kept.
    """

    def __init__(
        self,
        conversation: Callable[[str | None], Conversation],
        send: Send,
        *,
        most: int,
        patience: float,
        dropped: Callable[[str, int], None],
        count: Callable[..., None],
        log: logging.Logger,
    ) -> None:
        self.conversation = conversation
        self.send = send
        self.most = most
        self.patience = patience
        self.dropped = dropped
        self.count = count
        self.log = log
        self.open: set[Stream] = set()
        self.view = memoryview(bytearray(CHUNK))  # reads are never interrupted, so one buffer is enough for all
        self.reads = 0
        self.loop = asyncio.get_running_loop()
        self._acceptors: list[Acceptor] = []
        self._sweep: asyncio.TimerHandle | None = None

    def accept(self, bound: Bound, tls: ssl.SSLContext | None = None) -> None:
        """Begin to accept on these sockets."""
        acceptor = Acceptor(
            bound,
            partial(Stream, self),
            full=self._full,
            failed=self._failed,
            tls=tls,
            handshake=min(30.0, self.patience),
            log=self.log,
        )
        acceptor.start()
        self._acceptors.append(acceptor)
        if self._sweep is None:
            self._sweep_later()

    async def stop(self) -> None:
        """Accept nothing more, read what has arrived, close all connections, and hand over what they said."""
        for acceptor in self._acceptors:
            acceptor.stop()
        if self._sweep is not None:
            self._sweep.cancel()
        try:
            await self._last_reads()
        finally:
            for stream in list(self.open):
                stream.end()
        try:
            await self._last_tries()
        finally:
            for stream in list(self.open):
                stream.give_up()

    async def _last_reads(self) -> None:
        deadline = self.loop.time() + LAST_READS
        seen = -1
        while seen != self.reads and self.loop.time() < deadline:
            seen = self.reads
            await asyncio.sleep(0.01)

    async def _last_tries(self) -> None:
        deadline = self.loop.time() + LAST_TRIES
        while any(stream.held for stream in self.open) and self.loop.time() < deadline:
            await asyncio.sleep(FIRST_PAUSE)

    def _full(self, greeting: int) -> bool:
        if len(self.open) + greeting < self.most:
            return False
        silent = [stream for stream in self.open if not stream.held and not stream.conversation.pending]
        oldest = min(silent, key=lambda stream: stream.heard, default=None)
        if oldest is not None and self.loop.time() - oldest.heard > self.patience:
            self.count("closed_connections", reason="silent")
            oldest.transport.close()
        return True

    def _failed(self, error: Exception) -> None:
        self.count("failed_connections")
        self.log.info("a connection failed before it began: %s: %s", type(error).__name__, error)

    def _sweep_later(self) -> None:
        self._sweep = self.loop.call_later(min(self.patience / 4, 0.5), self._close_the_slow)

    def _close_the_slow(self) -> None:
        too_old = self.loop.time() - self.patience
        for stream in list(self.open):
            if stream.begun is not None and stream.begun < too_old and not stream.held:
                self.count("closed_connections", reason="slow")
                stream.end()
                stream.transport.abort()
        self._sweep_later()


class Stream(asyncio.BufferedProtocol):
    """One connection. What finds no room is held, and nothing more is read until it has found some."""

    transport: asyncio.Transport
    conversation: Conversation

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.held: deque[Handed] = deque()
        self.heard = self.streams.loop.time()
        self.begun: float | None = None
        self._ended = False
        self._lost = False
        self._pause = FIRST_PAUSE
        self._retry: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's are none of asyncio's classes
        self.conversation = self.streams.conversation(peer_of(transport))
        self.streams.open.add(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.streams.view

    def buffer_updated(self, nbytes: int) -> None:
        if self._ended:
            return
        streams = self.streams
        streams.reads += 1
        self.heard = streams.loop.time()
        found = self.conversation.read(bytes(streams.view[:nbytes]))
        if not self.conversation.pending:
            self.begun = None
        elif found is not None or self.begun is None:
            self.begun = self.heard
        if found is not None:
            self._hand(found)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self.end()
        if not self.held:
            self.streams.open.discard(self)

    def end(self) -> None:
        """Take what is left as the end of what it said, and close."""
        if not self._ended:
            self._ended = True
            self.begun = None
            if (rest := self.conversation.finish()) is not None:
                self._hand(rest)
        if not self._lost:
            self.transport.close()

    def give_up(self) -> None:
        """Count what is still held as lost."""
        if self._retry is not None:
            self._retry.cancel()
        while self.held:
            self.streams.dropped("stopped", self.held.popleft()[1])
        self.streams.open.discard(self)
        if not self._lost:
            self.transport.abort()

    def _hand(self, handed: Handed) -> None:
        if self.held or not self._sent(handed):
            self.held.append(handed)
            if not self._lost and not self.transport.is_closing():
                self.transport.pause_reading()
            if self._retry is None:
                self._retry = self.streams.loop.call_later(self._pause, self._again)

    def _again(self) -> None:
        self._retry = None
        while self.held and self._sent(self.held[0]):
            self.held.popleft()
            self._pause = FIRST_PAUSE
        if self.held:
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            self._retry = self.streams.loop.call_later(self._pause, self._again)
        elif self._lost:
            self.streams.open.discard(self)
        elif not self.transport.is_closing():
            self.heard = self.streams.loop.time()
            self.begun = self.heard if self.begun is not None else None
            self.transport.resume_reading()

    def _sent(self, handed: Handed) -> bool:
        batch, count = handed
        try:
            future = self.streams.send(batch)
        except Unavailable:
            return False
        future.add_done_callback(partial(undelivered, self.streams.dropped, count))
        return True


def undelivered(dropped: Callable[[str, int], None], count: int, future: asyncio.Future[None]) -> None:
    """A sender that cannot say it again was told nothing: what came to nothing is counted."""
    if future.cancelled() or future.exception() is not None:
        dropped("undelivered", count)

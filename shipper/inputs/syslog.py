"""Syslog from other machines and from this one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Annotated, ClassVar, Literal, cast

from shipper.batch import Batch, Event, Send
from shipper.component import Input
from shipper.errors import Unavailable
from shipper.net.datagrams import Datagrams
from shipper.net.framing import Cut, Framer
from shipper.net.listen import Listen
from shipper.net.sockets import Bound, bind
from shipper.net.streams import Handed, Streams, undelivered
from shipper.net.tls import Tls
from shipper.options import Duration, Meta, Size
from shipper.text.formats.syslog import parse_messages
from shipper.text.timeforms import zone_named

TRAILER = b"\r\n\0"


class Syslog(Input):
    """Receive syslog messages by UDP, TCP, TLS or Unix sockets, in the forms of RFC 3164 and RFC 5424.

    A message becomes an event with `timestamp host app pid msgid facility severity structured_data message`; what it
    does not say is left out. The address of the sender is `peer`. What is no syslog is kept as it came in `message` and
    marked with `shipper_error`. On connections messages are lines (that end with a newline or NUL) or counted (RFC
    6587), which the first byte of each connection decides. While there is no room, connections are not read; datagrams
    that find none are dropped and counted, and so is what the kernel drops. A quiet connection stays open as long as
    there is room for others; one that leaves a message unfinished for `idle_timeout` is closed, and what there is of
    the message is kept. Several `workers` share the ports, each with its own peers and `max_connections`; Unix sockets
    are the first one's.
    """

    listens: ClassVar[bool] = True
    divides: ClassVar[bool] = True

    listen: Annotated[
        Listen | list[Listen],
        Meta(
            description="Where to listen: `udp://127.0.0.1:514`, `tcp://`, `tls://`, `unix:///path` or `unixgram:///path`; "
            "one or a list. Port 0 is any that is free."
        ),
    ]
    format: Annotated[
        Literal["auto", "rfc3164", "rfc5424"], Meta(description="What messages look like; `auto` tells by each.")
    ] = "auto"
    timezone: Annotated[
        str,
        Meta(description="Zone of times that name none, such as `Europe/Paris` or `+02:00`; RFC 3164 has no zones."),
    ] = "UTC"
    max_message_bytes: Annotated[
        Size, Meta(ge=1, le=16 * 1024**2, description="Longest message; of a longer one the beginning is kept, marked.")
    ] = Size(64 * 1024)
    max_connections: Annotated[int, Meta(ge=1, description="Connections at a time; more wait until one is closed.")] = (
        500
    )
    idle_timeout: Annotated[
        Duration,
        Meta(
            gt=0,
            description="How long a message may take to arrive; and how long a quiet connection is left in peace when "
            "others wait for its place.",
        ),
    ] = Duration(120)
    receive_buffer: Annotated[
        Size, Meta(ge=0, description="Kernel buffer for datagrams (SO_RCVBUF); 0 leaves the system's.")
    ] = Size(2 * 1024**2)
    socket_mode: Annotated[
        str, Meta(pattern="^0?[0-7]{3}$", description="Permissions of the file of a Unix socket, in quotes.")
    ] = "0660"
    tls: Annotated[
        Tls | None, Meta(description="Certificate for `tls://`; with `ca`, senders must show one of theirs.")
    ] = None

    _bound: list[Bound] | None = None

    @property
    def addresses(self) -> list[Listen]:
        """`listen` as a list."""
        return self.listen if isinstance(self.listen, list) else [self.listen]

    def check(self) -> Iterable[tuple[str, str]]:
        if not self.addresses:
            yield "listen", f"found nothing, expected text such as {Listen.example}"
        seen: set[Listen] = set()
        for each in self.addresses:
            if each in seen and (each.port or each.path):
                yield "listen", f"{each} is there twice"
            seen.add(each)
        try:
            zone_named(self.timezone)
        except ValueError as error:
            yield "timezone", str(error)
        encrypted = any(each.scheme == "tls" for each in self.addresses)
        if encrypted and self.tls is None:
            yield "tls", "is missing: an address that begins with tls:// needs a certificate"
        elif self.tls is not None and not encrypted:
            yield "tls", "is of no use: no address in `listen` begins with tls://"
        elif self.tls is not None:
            yield from ((f"tls.{name}", why) for name, why in self.tls.problems(server=True))

    async def open(self) -> None:
        self._bound = []
        share, mode = self.scope.share, int(self.socket_mode, 8)
        try:
            for each in self.addresses:
                if share.first or not each.path:  # a Unix socket is one process's
                    buffer = self.receive_buffer
                    self._bound.append(await bind(each, receive_buffer=buffer, mode=mode, shared=share.divided))
        except BaseException:
            await self.close()
            raise
        self.scope.address = ",".join(bound.address for bound in self._bound)
        if self._bound:
            self.scope.log.info("listening on %s", self.scope.address)

    async def close(self) -> None:
        bound, self._bound = self._bound, None
        for each in bound or ():
            each.close()

    async def run(self, send: Send) -> None:
        streams = Streams(
            partial(_Conversation, self),
            send,
            most=self.max_connections,
            patience=self.idle_timeout,
            dropped=self.scope.dropped,
            count=self.scope.count,
            log=self.scope.log,
        )
        datagrams: list[Datagrams] = []
        context = self.tls.server() if self.tls is not None else None
        for bound in self._bound or ():
            assert isinstance(bound.listen, Listen)
            if bound.listen.stream:
                streams.accept(bound, context if bound.listen.scheme == "tls" else None)
                continue
            for each in bound.sockets:
                datagrams.append(
                    Datagrams(
                        each,
                        self.max_message_bytes,
                        partial(self._datagrams, send),
                        partial(self.scope.dropped, "kernel_udp_drops"),
                    )
                )
        for reader in datagrams:
            reader.start()
        try:
            await asyncio.Event().wait()  # until cancelled
        finally:
            for reader in datagrams:
                reader.stop()
            await streams.stop()

    def _datagrams(self, send: Send, found: list[bytes], peers: list[str | None]) -> None:
        """The datagrams of one turn as one batch; what finds no room is dropped, and counted."""
        stripped = [each if isinstance(each, Cut) else each.rstrip(TRAILER) for each in found]
        if not all(stripped):
            kept = [(each, peer) for each, peer in zip(stripped, peers, strict=True) if each]
            stripped, peers = [each for each, _ in kept], [peer for _, peer in kept]
        if not stripped:
            return
        one = peers[0] if peers.count(peers[0]) == len(peers) else None
        batch = self.messages(stripped, one, peers if one is None and peers[0] is not None else None)
        try:
            future = send(batch)
        except Unavailable:
            self.scope.dropped("no_room", len(stripped))
        else:
            future.add_done_callback(partial(undelivered, self.scope.dropped, len(stripped)))

    def lines(self, chunk: bytes, peer: str | None) -> Batch:
        """A batch of whole lines, made into events when it is let in."""
        now = self.scope.clock.time()

        def decode(raw: bytes) -> list[Event]:
            return self._events(raw.decode("utf-8", "replace").split("\n"), now)

        return Batch(raw=chunk, attrs=self._attrs(peer), decode=decode)

    def messages(self, found: list[bytes], peer: str | None, peers: list[str | None] | None = None) -> Batch:
        """A batch of messages that may hold newlines or may be cut, made into events when it is let in."""
        raw = b"\n".join(found)
        cuts = [index for index, each in enumerate(found) if isinstance(each, Cut)]
        if not cuts and not peers and raw.count(b"\n") == len(found) - 1:
            return self.lines(raw, peer)
        now = self.scope.clock.time()

        def decode(_: bytes) -> list[Event]:
            events = self._events([each.decode("utf-8", "replace") for each in found], now)
            for event, sender in zip(events, peers or (), strict=False):
                event["peer"] = sender
            for index in cuts:
                events[index].setdefault("shipper_error", "syslog: only the beginning of the message is here")
            if cuts:
                self.scope.count("truncated_messages", len(cuts))
            return events

        return Batch(raw=raw, attrs=self._attrs(peer), decode=decode)

    def _attrs(self, peer: str | None) -> dict[str, str]:
        attrs = {"timestamp": self.scope.clock.now()}
        if peer is not None:
            attrs["peer"] = peer
        return attrs

    def _events(self, messages: list[str], now: float) -> list[Event]:
        events = parse_messages(messages, now=now, format=self.format, timezone=self.timezone)
        if all(events):  # none is empty
            return cast(list[Event], events)
        self.scope.count("unparsed_messages", events.count(None))
        return [_kept(message) if event is None else event for message, event in zip(messages, events, strict=True)]


def _kept(message: str) -> Event:
    return {"message": message, "shipper_error": "syslog: neither RFC 5424 nor RFC 3164"}


class _Conversation:
    """What one connection says, as batches."""

    def __init__(self, source: Syslog, peer: str | None) -> None:
        self.source = source
        self.peer = peer
        self.framer = Framer(source.max_message_bytes)

    @property
    def pending(self) -> bool:
        return self.framer.pending

    def read(self, data: bytes) -> Handed | None:
        chunk = self.framer.lines(data)
        if chunk is not None:
            # what `count` says, in a fifth of its time (before Python 3.12)
            return self.source.lines(chunk, self.peer), len(chunk) - len(chunk.replace(b"\n", b"")) + 1
        return self._handed(self.framer.feed(data))

    def finish(self) -> Handed | None:
        return self._handed(self.framer.finish())

    def _handed(self, found: list[bytes]) -> Handed | None:
        return (self.source.messages(found, self.peer), len(found)) if found else None

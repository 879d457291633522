"""Files, one for each text that a template gives."""

from __future__ import annotations

import asyncio
import errno
import os
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

from shipper.batch import Batch, Event, Piece, merged
from shipper.component import Codec, Output
from shipper.errors import Refused, Rejected, Unavailable
from shipper.files.access import unwritable
from shipper.files.appending import Appender, Disk, Forbidden, Shape, make_base
from shipper.files.confined import Confined
from shipper.files.overlap import HOLE, holes
from shipper.files.packed import MARKS, gzip_whole, zstd_whole
from shipper.net.compression import Compression, Plain, pack
from shipper.options import RELATIVE, Duration, Group, Meta, Size, option
from shipper.policy import BatchPolicy, Delivery
from shipper.text.templates import Template, grouped

OPEN_FILES = 64
IDLE = 60.0
LOOK = 1.0
PATIENCE = 0.5
REMEMBERED = 4096
# seconds: a file is closed when unused, looked at whether it is still there, waited for at the end
WHOLE = {"gzip": gzip_whole, "zstd": zstd_whole}


class Rotate(Group):
    """When a file is given a name with the time in it and a new one is begun; by default never."""

    size: Annotated[Size | None, Meta(ge=1, description="Before a file becomes larger than this.")] = None
    every: Annotated[
        Duration | None,
        Meta(gt=0, description="When this much time has passed, counted from 1970: `1h` is on the hour, UTC."),
    ] = None
    keep: Annotated[
        int | None, Meta(ge=0, description="How many old files stay; the oldest are deleted. By default all.")
    ] = None


class Handle:
    """An open file, and who waits for it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.file: Appender | None = None
        self.users = 0
        self.used = self.looked = 0.0
        self.syncing: asyncio.Task[None] | None = None
        self.written = self.synced = 0
        """How many bodies were appended, and how many of them are on the disk."""
        self.lost = range(0)
        """Those that a failed fsync took back."""


class File(Output):
    """Append events to files; the path is a template.

    Files stay below the folder that the text in front of the first field names. A value from an event can name a file or
    one folder, never more: with a `/` in it, `..`, nothing, control characters or more than 255 bytes the event is set
    aside with the reason. Links below that folder are not followed. Files are made with mode 0640, folders with 0750.

    With `fsync` an event is acknowledged when it is on the disk. A write that fails half way is taken back. A last line
    that a crash has torn is closed by a newline; a packed file with a torn end is put aside under a name with the time.
    A file that somebody else moved or deleted is begun anew within a second. Old files are named `app.log.20261122T120000Z`.
    Several `workers` append to the same files, request by request.
    """

    delivery: ClassVar[Delivery] = Delivery(batch=BatchPolicy(bytes=Size(2**20), wait=Duration(0.2)), concurrency=1)

    path: Annotated[
        Template,
        Meta(
            description="Where to write, such as `/data/logs/{service:other}/{timestamp:%Y-%m-%d}.log`.", extra=RELATIVE
        ),
    ]
    codec: Annotated[Codec, Meta(description="How events are written.", extra={"default": "ndjson"})]
    compression: Annotated[
        Compression, Meta(description="How files are packed; each request is a gzip member or zstd frame of its own.")
    ] = option(Plain)
    rotate: Annotated[Rotate, Meta(description="When to begin a new file.")] = option(Rotate)
    fsync: Annotated[bool, Meta(description="Acknowledge only what is on the disk.")] = True

    _handles: OrderedDict[str, Handle] = option(OrderedDict)
    _unsettled: dict[tuple[str, tuple[bytes, ...]], asyncio.Task[None]] = option(dict)
    _clean: dict[str, int] = option(dict)
    _closed: bool = False
    _document: bool = False
    _disk: Disk = option(Disk)
    _shape: Shape = option(Shape)
    _appender: type[Appender] = Appender

    def __post_init__(self) -> None:
        self._where = Confined(self.path)
        self._document = type(self.codec).document is not Codec.document
        self._shape = Shape(
            lines=self.compression.tag == "none" and self.codec.framed,
            whole=WHOLE.get(self.compression.tag),
            suffix=self.compression.suffix,
            size=self.rotate.size,
            every=self.rotate.every,
            keep=self.rotate.keep,
        )

    def check(self) -> Iterable[tuple[str, str]]:
        for problem in self._where.problems():
            yield "path", problem
        if missing := self.compression.problem():
            yield "compression", missing
        if self.rotate.keep is not None and self.rotate.size is None and self.rotate.every is None:
            yield "rotate", "keep counts old files, and without size or every there are none"

    def shape(self) -> str:
        return f"{self.path} {super().shape()}"

    def writes(self) -> Iterable[tuple[str, str]]:
        path = os.path.abspath(holes(self.path.text))  # noqa: PTH100  (`Path.absolute` leaves `..` in it)
        yield "path", path
        if self.rotate.size is not None or self.rotate.every is not None:
            suffix = self.compression.suffix if path.endswith(self.compression.suffix) else ""
            yield "path", f"{path.removesuffix(suffix)}.{HOLE}{suffix}"

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        where, attrs = self._where, batch.attrs
        for text, part in grouped(batch, self.path):
            problem = "a field of the path is missing" if text is None else where.problem(text)
            if problem is None and text is not None and where.deep(text):
                problem = (
                    "a value with a '/' in it" if any(where.climbs(event, attrs) for event in part.events) else None
                )
            if text is None or problem is not None:
                for event in part.events:
                    yield Refused(merged(event, attrs), f"path: {problem}")
                continue
            for each in self.codec.encode(part):
                yield Piece(each.body, each.count, text) if isinstance(each, Piece) else each

    async def open(self) -> None:
        self._closed = False
        if self.scope.share.divided:
            from shipper.files.together import SharedAppender

            self._appender = SharedAppender
            self._shape = replace(self._shape, mark=MARKS.get(self.compression.tag, b""))
        try:
            await asyncio.to_thread(make_base, self._where.base)
        except OSError as error:
            raise Unavailable(f"{self._where.base}: {error.strerror}") from error

    async def probe(self) -> str:
        base = Path(self._where.base)
        if why := await asyncio.to_thread(unwritable, base):
            raise Unavailable(why)
        return f"{base} can be written to"

    async def close(self) -> None:
        self._closed = True
        if jobs := [job for job in self._unsettled.values() if not job.done()]:
            await asyncio.wait(jobs, timeout=PATIENCE)
        self._unsettled.clear()
        self._trim(0)  # a thread that still hangs in a system call closes its file when it returns

    async def idle(self) -> None:
        now = self.scope.clock.monotonic()
        for key, handle in list(self._handles.items()):
            if not handle.users and now - handle.used >= IDLE:
                self._drop(key)

    async def write(self, pieces: Sequence[Piece]) -> None:
        key = pieces[0].key
        if problem := self._where.problem(key):
            raise Rejected(f"path: {problem}")
        bodies: tuple[bytes, ...] = tuple([piece.body for piece in pieces])
        if self._shape.whole is not None or self._document:
            bodies = (await pack(self.compression, self.codec.document(bodies)),)
        # A thread cannot be cancelled: what was given up on goes on, and when it comes again it is waited for,
        # not written a second time.
        job = self._unsettled.pop((key, bodies), None) if self._unsettled else None  # hashing a megabyte is not free
        job = job or asyncio.ensure_future(self._append(key, bodies))
        try:
            await asyncio.shield(job)
        except asyncio.CancelledError:
            job.add_done_callback(lambda done: done.cancelled() or done.exception())
            while len(self._unsettled) >= OPEN_FILES:
                del self._unsettled[next(iter(self._unsettled))]
            self._unsettled[key, bodies] = job
            raise
        except Forbidden as error:
            reason = f"{key}: {error.strerror}"
            raise (Rejected(reason) if self.path.fields else Unavailable(reason)) from error
        except OSError as error:
            raise Unavailable(f"{key}: {error.strerror}") from error

    async def _append(self, key: str, bodies: Sequence[bytes]) -> None:
        handle = self._handles.setdefault(key, Handle())
        self._handles.move_to_end(key)
        handle.users += 1
        try:
            mine = 0
            while not mine:
                async with handle.lock:
                    # asked once: what is told here must be what is done in the thread
                    now, looks = self.scope.clock.time(), self.scope.clock.monotonic() - handle.looked >= LOOK
                    file = handle.file
                    replaces = file is None or looks or file.due(sum(map(len, bodies)), now)
                    syncing = handle.syncing if replaces else None
                    if syncing is None:
                        await asyncio.to_thread(self._blocking, handle, key, bodies, now, looks)
                        mine = handle.written = handle.written + 1
                if syncing is not None:  # without the lock: when it fails, it needs that itself
                    await asyncio.wait([syncing])
            if self.fsync:
                await self._durable(handle, mine)
        finally:
            handle.users -= 1
            handle.used = self.scope.clock.monotonic()
            self._trim(0 if self._closed else OPEN_FILES)

    def _blocking(self, handle: Handle, key: str, bodies: Sequence[bytes], now: float, looks: bool) -> None:
        """In a thread, one at a time for each file; `looks`: whether it is still at its path."""
        if handle.file is not None and looks:
            handle.looked = self.scope.clock.monotonic()
            if handle.file.moved():
                self._let_go(handle, handle.file)
        if handle.file is None:
            segments = self._where.segments(key)
            clean = self._clean.pop(key, None)
            handle.file = self._appender(self._where.base, segments, self._shape, now, self._disk, clean)
            handle.looked = self.scope.clock.monotonic()
        handle.file.append(bodies, now)

    def _let_go(self, handle: Handle, file: Appender) -> None:
        """Another file is at its path, or none. What can no more be made durable goes into that one again."""
        try:
            file.sync()
            handle.synced = handle.written
        except OSError as error:  # its disk may be gone, and another one mounted there
            self.scope.log.error("%s: fsync: %s; it is opened anew", file.path, error.strerror)
            handle.lost = range(handle.synced + 1, handle.written + 1)
        file.close()
        handle.file = None

    async def _durable(self, handle: Handle, mine: int) -> None:
        """Wait until what was appended is on the disk; whoever waits at the same time shares one fsync."""
        while handle.synced < mine:
            if mine in handle.lost:
                raise OSError(errno.EIO, "it could not be written to the disk")
            if handle.syncing is None:
                async with handle.lock:  # not while an append may exchange the file
                    if handle.syncing is None and mine not in handle.lost and handle.synced < mine:
                        handle.syncing = asyncio.ensure_future(self._sync(handle))
            if handle.syncing is not None:
                await asyncio.shield(handle.syncing)

    async def _sync(self, handle: Handle) -> None:
        file, target = handle.file, handle.written
        assert file is not None
        try:
            await asyncio.to_thread(file.sync)
            handle.synced = target
        except OSError as error:
            self.scope.log.error("%s: fsync: %s; what it did not cover is taken back", file.path, error.strerror)
            async with handle.lock:
                await asyncio.to_thread(file.cut_back)
                handle.lost = range(handle.synced + 1, handle.written + 1)
        finally:
            handle.syncing = None

    def _trim(self, most: int) -> None:
        """Close the files that were not used for the longest time."""
        for key, handle in list(self._handles.items())[: max(len(self._handles) - most, 0)]:
            if not handle.users:
                self._drop(key)

    def _drop(self, key: str) -> None:
        file = self._handles.pop(key).file
        if file is not None:
            if len(self._clean) >= REMEMBERED:
                self._clean.clear()
            self._clean[key] = file.length
            file.close()

    def split(self, piece: Piece) -> list[Piece]:
        return self.codec.split(piece)

    def events(self, piece: Piece) -> list[Event]:
        return self.codec.events(piece)

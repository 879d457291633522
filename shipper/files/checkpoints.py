"""Positions: how far each file was delivered, kept over a crash.

Two slots are written in turn, each by a new file, fsync, rename and fsync of the folder, each with a number
that grows and a checksum: whatever a crash or a disk does to one, the other is whole, at most one interval
older. A slot is one line: the CRC-32 of the rest in hexadecimal, a space, a JSON object.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from shipper.clock import Timer
from shipper.component import Scope
from shipper.files.identity import Digest, Key
from shipper.text.ids import identity

VERSION = 1
FORGET = 24 * 3600
"""Seconds for which a file that is gone is remembered."""


@dataclass(slots=True, eq=False)
class Entry:
    """One stream of content, and how far it was delivered. A truncated file goes on as another entry."""

    path: str
    """The name it was written under."""
    key: Key = (0, 0)
    """Where it lies; (0, 0) once that file holds something else."""
    born: int = 0
    offset: int = 0
    head: Digest = field(default_factory=Digest)
    mark: Digest = field(default_factory=Digest)
    ends: tuple[int, int] = (0, 0)
    """Of a packed file that was read whole: its size on the disk, and that of what is in it."""
    gone: float = 0
    """Since when no file is known for it, in seconds since 1970."""
    place: tuple[int, bytes] | None = None
    """How far it was handed on in this run, and the bytes before; never saved."""
    id: str = ""
    """Its random identity, where an output wants ids of events."""
    named: bool = False
    """Whether that is on disk, so that it may be used."""
    _state: tuple[Any, ...] = field(default=(), init=False, repr=False)
    _packed: orjson.Fragment | None = field(default=None, init=False, repr=False)

    def packed(self) -> orjson.Fragment:
        """What `dump` gives, as JSON: made again only when something changed, for of ten thousand files few do in a second."""
        state = (self.path, self.key, self.born, self.offset, self.head, self.mark, self.ends, self.gone, self.id)
        if self._packed is None or state != self._state:
            # copied, for what orjson gives keeps 4 KiB of memory however short it is
            body = bytes(memoryview(orjson.dumps(self.dump())))
            self._state, self._packed = state, orjson.Fragment(body)
        return self._packed

    def dump(self) -> dict[str, Any]:
        return {
            "path": os.fsencode(self.path).decode("latin-1"),  # a name need not be text
            "device": self.key[0],
            "inode": self.key[1],
            "born": self.born,
            "offset": self.offset,
            "head": [*self.head],
            "mark": [*self.mark],
            "ends": [*self.ends],
            "gone": self.gone,
            **({"id": self.id} if self.id else {}),
        }

    @classmethod
    def load(cls, saved: dict[str, Any]) -> Entry:
        return cls(
            os.fsdecode(saved["path"].encode("latin-1")),
            (saved["device"], saved["inode"]),
            saved["born"],
            saved["offset"],
            Digest(*saved["head"]),
            Digest(*saved["mark"]),
            (saved["ends"][0], saved["ends"][1]) if "ends" in saved else (0, 0),
            saved["gone"],
            id=(known := saved.get("id", "")),
            named=bool(known),
        )


class Slots:
    """Two files that are written in turn. Synchronous: run it in a thread."""

    NAMES = ("0", "1")

    def __init__(self, folder: Path, set_aside: Callable[[Path], Path]) -> None:
        self.folder = folder
        self.set_aside = set_aside
        self.sequence = 0
        self.damaged: list[str] = []
        """Why slots could not be read at the last `load`."""

    def load(self) -> dict[str, Any] | None:
        """What was saved last and is whole. Damaged slots are set aside."""
        self.damaged, found = [], []
        for name in self.NAMES:
            path = self.folder / name
            try:
                data = _read(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                self.damaged.append(f"{path}: {error.strerror}")
                continue
            try:
                found.append(self._parse(data))
            except (ValueError, KeyError, TypeError) as error:
                self.damaged.append(f"{path}: {error}; it is kept as {self.set_aside(path)}")
        if not found:
            return None
        newest = max(found, key=lambda saved: saved["sequence"])
        self.sequence = newest["sequence"]
        return newest

    @staticmethod
    def _parse(data: bytes) -> dict[str, Any]:
        saved: dict[str, Any] = orjson.loads(unsealed(data))
        if saved["version"] != VERSION:
            raise ValueError(f"written by another version ({saved['version']})")
        saved["files"] = [Entry.load(entry) for entry in saved["files"]]
        return saved

    def write(self, files: Sequence[dict[str, Any] | orjson.Fragment], saved: float) -> None:
        """Durable when it returns; raises OSError, and then the other slot still holds what was saved before."""
        sequence = self.sequence + 1
        body = orjson.dumps({"version": VERSION, "sequence": sequence, "saved": saved, "files": files})
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        put_sealed(self.folder / self.NAMES[sequence % 2], body)
        self.sequence = sequence


def put_sealed(path: Path, body: bytes) -> None:
    """A file of one line with its checksum in the place of what was there; durable when it returns. Raises OSError."""
    temporary = path.parent / "new"
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(b"%08x %b\n" % (zlib.crc32(body), body))
        file.flush()
        os.fsync(fd)
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """What has a name in it now has it after a crash. Raises OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def unsealed(data: bytes) -> bytes:
    """What is in a sealed file; raises ValueError when that is not what was put there."""
    crc, _, body = data.removesuffix(b"\n").partition(b" ")
    if not data.endswith(b"\n") or crc != b"%08x" % zlib.crc32(body):
        raise ValueError("torn or changed: its checksum does not fit")
    return body


def _read(path: Path) -> bytes:
    """A slot's bytes; a link in its place is not followed."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        return file.read()


class Positions:
    """All entries of one input; saved at most `checkpoint_interval` after something was committed."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._slots = Slots(scope.state / "positions", scope.set_aside)
        self._timer: Timer | None = None
        self._saving: asyncio.Task[None] | None = None
        self._dirty = False
        self._failed = False
        self._closed = False
        self.entries: dict[Entry, None] = {}
        self._places: dict[Key, Entry] = {}
        self.saved: float | None = None
        """When they were last saved, in seconds since 1970; None at the very first start."""

    async def load(self) -> None:
        found = await asyncio.to_thread(self._slots.load)
        for reason in self._slots.damaged:
            self._scope.count("damaged_positions")
            self._scope.log.warning("positions are damaged: %s", reason)
        if found is None and self._slots.damaged:
            self._scope.log.warning("no positions could be read: every file is read again from its beginning")
            self.saved = 0
        if found is not None:
            self.saved = found["saved"]
            for entry in found["files"]:
                self.add(entry)

    def add(self, entry: Entry) -> None:
        self.entries[entry] = None
        if entry.key != (0, 0):
            self._places[entry.key] = entry
        self.changed()

    def at(self, key: Key) -> Entry | None:
        return self._places.get(key)

    def move(self, entry: Entry, key: Key, born: int) -> None:
        """The content lies in another file now, or, with (0, 0), in none that is known."""
        if self._places.get(entry.key) is entry:
            del self._places[entry.key]
        entry.key, entry.born = key, born
        if key == (0, 0):
            entry.gone = entry.gone or self._scope.clock.time()
        else:
            entry.gone = 0
            self._places[key] = entry
        self.changed()

    def forget(self, entry: Entry) -> None:
        if self._places.get(entry.key) is entry:
            del self._places[entry.key]
        self.entries.pop(entry, None)

    def commit(self, entry: Entry, offset: int, mark: bytes) -> None:
        """What lies before `offset` is delivered."""
        entry.offset, entry.mark = offset, Digest.of(mark)
        self.changed()

    async def named(self, entry: Entry) -> bool:
        """Give all entries an id that have none; whether this one's is on disk, so that a crash cannot give it another."""
        if entry.named:
            return True
        for each in self.entries:
            each.id = each.id or identity()
        while self._saving is not None and not self._saving.done():
            await asyncio.wait((self._saving,))
        self._dirty = True
        self._saving = asyncio.get_running_loop().create_task(self.save())
        await asyncio.wait((self._saving,))
        return entry.named

    def changed(self) -> None:
        """Something is to be saved, soon."""
        self._dirty = True
        if self._timer is None and not self._closed:
            self._timer = self._scope.clock.call_later(self._scope.checkpoint_interval, self._start)

    def _start(self) -> None:
        self._timer = None
        if self._saving is None or self._saving.done():
            self._saving = asyncio.get_running_loop().create_task(self.save())
        else:  # the disk is slower than the interval
            self.changed()

    async def save(self) -> None:
        """Write a slot when something changed; a failure is logged once, counted, and tried again later."""
        if not self._dirty:
            return
        now = self._scope.clock.time()
        for entry in [entry for entry in self.entries if entry.gone and now - entry.gone > FORGET]:
            self.forget(entry)
        self._dirty = False
        entries = list(self.entries)
        files = [entry.packed() for entry in entries]
        named = [entry for entry in entries if entry.id]
        try:
            await asyncio.to_thread(self._slots.write, files, now)
        except OSError as error:
            self._scope.count("failed_checkpoints")
            if not self._failed:
                self._scope.log.error("positions cannot be saved, and a crash would repeat events: %s", error)
            self._failed = True
            self.changed()
            return
        self.saved = now
        for entry in named:
            entry.named = True
        if self._failed:
            self._scope.log.info("positions are saved again")
        self._failed = False

    async def close(self) -> None:
        """Save for good. What is committed afterwards stays in memory."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._saving is not None:
            await self._saving
        await self.save()

    def reopen(self) -> None:
        self._closed = False

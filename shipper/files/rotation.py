"""Where the content of a file went: renamed beside it, copied and truncated, or packed.

A seam for more ways: whoever knows another place where content can go on (another folder) adds it here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from pathlib import Path

from shipper.files.checkpoints import Entry
from shipper.files.handles import BROKEN, Handle, Unpacked
from shipper.files.identity import HEAD, Digest, Key, born, same_content, same_head
from shipper.files.reading import MARK

MOST = 256
"""Neighbours that are looked at."""
Peek = Callable[[str], Handle | None]


Folders = dict[str, dict[int, list[str]]]
"""What lies in folders, paths by inode: for one look at many files, in which each folder is listed once."""


def by_inode(path: str, key: Key, seen: Folders | None = None) -> str | None:
    """The name in the same folder under which this file lies now; folders in `seen` are not listed again."""
    folder = os.path.dirname(path)  # noqa: PTH120 (names need not be text)
    seen = {} if seen is None else seen
    if folder not in seen:
        here: dict[int, list[str]] = {}
        with suppress(OSError), os.scandir(folder) as entries:  # a folder that is gone has no files
            for entry in entries:
                here.setdefault(entry.inode(), []).append(entry.path)
        seen[folder] = here
    for name in seen[folder].get(key[1], ()):
        try:
            info = Path(name).stat()
        except OSError:
            continue
        if (info.st_dev, info.st_ino) == key:
            return name
    return None


SEPARATORS = ".-_~"
PROOF = 4096
"""Bytes read of a file after which an equal beginning and equal bytes before the position tell it whatever its name."""


def related(original: str, other: str) -> bool:
    """Whether the second could be a rotated copy of the first by its name: `app.log.1`, `app-20261122.log.gz`."""
    folder, name = os.path.split(original)
    beside, renamed = os.path.split(other)
    if folder != beside or name == renamed:
        return False
    if renamed.startswith(name):
        return renamed[len(name)] in SEPARATORS
    stem = name.partition(".")[0]
    middle = renamed[len(stem) :]
    return bool(stem) and renamed.startswith(stem) and middle[:1] in SEPARATORS and any(map(str.isdigit, middle))


def neighbours(path: str) -> Iterator[str]:
    """Files beside this one that could be its rotated copies, the newest first."""
    try:
        with os.scandir(os.path.dirname(path)) as entries:  # noqa: PTH120 (paths stay str: there may be many)
            stem = os.path.basename(path).partition(".")[0]  # noqa: PTH119 (the same)
            near = (entry for entry in entries if entry.name.startswith(stem))  # as all that are related
            found = [entry for entry in near if related(path, entry.path) and entry.is_file()]
        found.sort(key=lambda entry: -entry.stat().st_mtime_ns)
    except OSError:  # gone while it was looked at: then there is nothing to be found
        return
    yield from (entry.path for entry in found[:MOST])


def same_file(entry: Entry, handle: Handle) -> bool:
    """Whether the inode still holds what was read, and was not given to another file meanwhile."""
    now = born(handle.fd)
    return not (entry.born and now and entry.born != now) and _same(entry, handle)


def is_copy(entry: Entry, path: str, handle: Handle) -> bool:
    """Whether a file is a copy of what was read of another, which was truncated or has vanished.

    Files that begin alike are many: without a name like the original's it needs much content that is the same.
    """
    if not entry.head.length or handle.compressed:
        return False
    offset = entry.offset if entry.place is None else entry.place[0]
    proof = entry.head.length >= HEAD and offset >= PROOF
    return (proof or related(entry.path, path)) and _same(entry, handle)


def _same(entry: Entry, handle: Handle) -> bool:
    return same_content(handle, entry.head, *_place(entry))


def _place(entry: Entry) -> tuple[int, Digest]:
    if entry.place is not None:
        return entry.place[0], Digest.of(entry.place[1])
    return entry.offset, entry.mark


def packs(entry: Entry, path: str, handle: Handle) -> bool:
    """Whether a gzip file may hold what was read of another, by its name and how it begins."""
    if not entry.head.length or not handle.compressed:
        return False
    return related(entry.path, path) and same_head(handle, entry.head)


async def packed_whole(entry: Entry, handle: Handle, original: Handle | None) -> bool:
    """Whether what is in a gzip file is what was read of another, as far as it goes.

    With the original still open the end of the packed file is compared with the same place there, for the original
    may have been written to after it was packed; without it, the bytes before the position. Everything before is
    unpacked, in a thread.
    """
    offset, mark = _place(entry)
    if original is not None:
        same = os.dup(original.fd)  # the original may be closed meanwhile
        try:
            length, tail = await asyncio.to_thread(_unpacked, os.dup(handle.fd), None)
            return bool(tail) and os.pread(same, len(tail), length - len(tail)) == tail
        finally:
            os.close(same)
    length, tail = await asyncio.to_thread(_unpacked, os.dup(handle.fd), offset)
    return length == offset and (not mark.length or Digest.of(tail[-mark.length :]) == mark)


def _unpacked(fd: int, end: int | None) -> tuple[int, bytes]:
    """How long what is in a gzip file is, as far as it can be read and up to `end`, and its last bytes. Closes it."""
    stream, tail = Unpacked(fd), b""
    try:
        with suppress(*BROKEN):  # what comes before the damage is the same or not
            while (end is None or stream.at < end) and (
                data := stream.next(2**18 if end is None else min(2**18, end - stream.at))
            ):
                tail = (tail + data)[-MARK:]
    finally:
        os.close(fd)
    return stream.at, tail


async def find_copy(entry: Entry, known: Container[Key], peek: Peek) -> tuple[str, Handle] | None:
    """A file beside the one that was truncated or has vanished that holds what was read of it."""
    for path in neighbours(entry.path):
        handle = peek(path)
        if handle is None:
            continue
        try:
            if handle.key() not in known and (
                is_copy(entry, path, handle) or (packs(entry, path, handle) and await packed_whole(entry, handle, None))
            ):
                found, handle = handle, None
                return path, found
        except OSError:
            continue
        finally:
            if handle is not None:
                handle.close()
    return None

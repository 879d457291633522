"""Where the content of a file went: renamed beside it, or copied and truncated.

A seam for more ways: whoever knows another place where content can go on (a compressed file, another folder)
adds it here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from shipper.files.checkpoints import Entry
from shipper.files.handles import Handle, open_file
from shipper.files.identity import HEAD, Digest, Key, born, same_content

MOST = 256
"""Neighbours that are looked at."""


def by_inode(path: str, key: Key) -> str | None:
    """The name in the same folder under which this file lies now."""
    folder = os.path.dirname(path)  # noqa: PTH120 (names need not be text)
    try:
        with os.scandir(folder) as entries:
            names = [entry.path for entry in entries if entry.inode() == key[1]]
    except OSError:
        return None
    for name in names:
        try:
            info = Path(name).stat()
        except OSError:
            continue
        if (info.st_dev, info.st_ino) == key:
            return name
    return None


def related(original: str, other: str) -> bool:
    """Whether the second could be a rotated copy of the first by its name: `app.log.1`, `app-20261122.log`."""
    folder, name = os.path.split(original)
    stem = name.partition(".")[0] if not name.startswith(".") else name
    return other != original and os.path.dirname(other) == folder and os.path.basename(other).startswith(stem)  # noqa: PTH119, PTH120


def neighbours(path: str) -> Iterator[str]:
    """Files beside this one that could be its rotated copies, the newest first."""
    try:
        with os.scandir(os.path.dirname(path)) as entries:  # noqa: PTH120
            found = [entry for entry in entries if related(path, entry.path) and entry.is_file()]
        found.sort(key=lambda entry: -entry.stat().st_mtime_ns)
    except OSError:  # gone while it was looked at: then there is nothing to be found
        return
    yield from (entry.path for entry in found[:MOST])


def same_file(entry: Entry, handle: Handle) -> bool:
    """Whether the inode still holds what was read, and was not given to another file meanwhile."""
    now = born(handle.fd)
    return not (entry.born and now and entry.born != now) and _same(entry, handle)


def is_copy(entry: Entry, path: str, handle: Handle, vanished: bool) -> bool:
    """Whether a file is a copy of what was read of another, which was truncated or has vanished.

    Little content is no proof: then it needs a name like the original's, and a reason such as a truncation.
    """
    if not entry.head.length or handle.compressed:
        return False
    if entry.head.length < HEAD and (vanished or not related(entry.path, path)):
        return False
    return _same(entry, handle)


def _same(entry: Entry, handle: Handle) -> bool:
    if entry.place is not None:
        return same_content(handle, entry.head, entry.place[0], Digest.of(entry.place[1]))
    return same_content(handle, entry.head, entry.offset, entry.mark)


def find_copy(entry: Entry, known: set[Key]) -> tuple[str, Handle] | None:
    """A file beside the truncated one that holds what was read of it, and is not followed already."""
    for path in neighbours(entry.path):
        try:
            handle = open_file(path)
        except OSError:
            continue
        if handle.key() not in known and is_copy(entry, path, handle, vanished=False):
            return path, handle
        handle.close()
    return None

"""What is there to be read, how far it was read, and why something is not: from saved positions and the file system.

Nothing is locked, changed or waited for, so that it can be asked beside a running agent. Positions are those of the
last save, at most one `checkpoint_interval` old.
"""

from __future__ import annotations

import glob
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from shipper.files.census import Following
from shipper.files.checkpoints import Entry, Slots
from shipper.files.discovery import Discovery
from shipper.files.handles import Handle, open_file
from shipper.files.identity import Key
from shipper.files.reach import Reach
from shipper.files.rotation import by_inode, is_copy, packs, same_file

State = Literal["reading", "waiting", "finished", "not read"]


@dataclass(slots=True)
class Row:
    """A file that a pattern finds, or that was found by one and is not read to its end; sizes in bytes."""

    path: str
    state: State
    position: int = 0
    size: int = 0
    lag: int | None = 0
    """What is not delivered yet; None where that would have to be unpacked to be known."""
    why: str = ""


@dataclass(slots=True)
class Survey:
    """The files of one input."""

    rows: list[Row] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    """Why positions could not be read."""
    process: int | None = None
    """The agent that is running on them."""


@runtime_checkable
class Surveyed(Protocol):
    """An input that follows files."""

    def survey(self, state: Path) -> Survey:
        """`state` is its folder below `data_dir/state`."""
        ...


def holder(lock: Path) -> int | None:
    """The process that has this lock file open, which says its own number in it; None when none has."""
    try:
        process, info = int(lock.read_text("ascii")), lock.stat()
        for each in Path(f"/proc/{process}/fd").iterdir():
            try:
                found = each.stat()
            except OSError:
                continue
            if (found.st_dev, found.st_ino) == (info.st_dev, info.st_ino):
                return process
    except (OSError, ValueError):  # nobody ran here yet, or it is another user's
        return None
    return None


def survey(wanted: Following, state: Path, data_dir: Path) -> Survey:
    """Look at everything that the patterns find. `state` is the input's folder of positions, of the first worker."""
    entries: list[Entry] = []
    damaged: list[str] = []
    others = glob.glob(f"{glob.escape(str(data_dir))}/workers/[0-9]*/state/{glob.escape(state.name)}")  # noqa: PTH207 (raises nothing)
    for each in [state, *map(Path, sorted(others))]:
        slots = Slots(each / "positions", lambda path: path)
        entries += (slots.load() or {"files": []})["files"]
        damaged += slots.damaged
    process = holder(data_dir / "lock")
    surveyor = _Surveyor(wanted, entries, data_dir, process)
    rows = sorted([*surveyor.found(), *surveyor.aside()], key=lambda row: row.path)
    return Survey(rows, damaged, process)


class _Surveyor:
    def __init__(self, wanted: Following, entries: list[Entry], data_dir: Path, process: int | None) -> None:
        own = str(data_dir.absolute())
        self._wanted = wanted
        self._entries = entries
        self._places: dict[Key, Entry] = {entry.key: entry for entry in entries if entry.key != (0, 0)}
        self._refused: dict[str, Row] = {}
        self._names: dict[Key, str] = {}
        self._all = Discovery(wanted.include, [], self._trouble, enter=self._enter)
        self._read = Discovery(wanted.include, wanted.exclude, lambda path, error: None, own, enter=self._leads)
        self._reach = Reach(self._all.named(), wanted.follow_links, own, "self" if process is None else str(process))

    def _trouble(self, path: str, error: OSError) -> None:
        self._refused[path] = Row(path, "not read", why=error.strerror or str(error))

    def _leads(self, folder: str) -> bool:
        return self._reach.folder(folder) is None

    def _enter(self, folder: str) -> bool:
        refusal = self._reach.folder(folder)
        if refusal is not None:
            self._refused[folder] = Row(folder, "not read", why=refusal.text)
        return refusal is None

    def found(self) -> Iterator[Row]:
        """All that the patterns find, but for folders."""
        read = set(self._read.paths())
        known = {entry.path for entry in self._entries}  # of several names of a file the one it is read by comes first
        for path in sorted(set(self._all.paths()), key=lambda path: (path not in known, path)):
            row = self._row(path, path in read)
            if row is not None:
                yield row
        yield from self._refused.values()

    def _row(self, path: str, read: bool) -> Row | None:
        try:
            info = os.stat(path)  # noqa: PTH116 (a name need not be text)
        except FileNotFoundError:
            return Row(path, "not read", why="a link that leads nowhere") if os.path.islink(path) else None  # noqa: PTH114 (the same)
        except OSError as error:
            return Row(path, "not read", why=error.strerror or str(error))
        if stat.S_ISDIR(info.st_mode):
            return None
        row = Row(path, "not read", size=info.st_size, lag=0)
        if not read:
            row.why = "excluded" if self._read.excluded(path) else "it lies in the data folder"
        elif not stat.S_ISREG(info.st_mode):
            row.why = "not a regular file"
        else:
            try:
                handle = open_file(path)
            except OSError as error:
                row.why = error.strerror or str(error)
                return row
            try:
                self._judge(row, handle, info)
            except OSError as error:
                row.why = error.strerror or str(error)
            finally:
                handle.close()
        return row

    def _judge(self, row: Row, handle: Handle, info: os.stat_result) -> None:
        """What becomes of a regular file that may be opened."""
        refusal = self._reach.refusal(handle.fd, row.path)
        key = handle.key()
        if refusal is not None:
            row.why = refusal.text
        elif key in self._names:
            row.why = f"another name of {self._names[key]}"
        else:
            self._names[key] = row.path
            entry = self._places.get(key)
            if entry is not None and same_file(entry, handle):
                _progress(row, entry, handle)
            else:
                self._fresh(row, handle, info, entry is not None)

    def _fresh(self, row: Row, handle: Handle, info: os.stat_result, changed: bool) -> None:
        """A file of which nothing was delivered."""
        older = self._wanted.ignore_older
        copied = next((entry for entry in self._entries if self._copies(entry, row.path, handle)), None)
        if not changed and older is not None and info.st_mtime < time.time() - older:
            row.why = "not written to for longer than ignore_older, and never read"
        elif copied is not None and by_inode(copied.path, copied.key) is None:
            row.state, row.lag, row.why = "reading", None, f"holds what was read of {copied.path}"
        elif copied is not None:
            row.why = f"a copy of {by_inode(copied.path, copied.key)}"
        elif not info.st_size:
            row.state, row.why = "waiting", "empty"
        else:
            row.state, row.lag = "reading", None if handle.compressed else info.st_size
            row.why = "written anew: read from its beginning" if changed else "not begun"

    @staticmethod
    def _copies(entry: Entry, path: str, handle: Handle) -> bool:
        if handle.compressed:
            return packs(entry, path, handle)
        return bool(entry.offset) and is_copy(entry, path, handle)

    def aside(self) -> Iterator[Row]:
        """Files that no pattern finds any more and that are not read to their ends."""
        for entry in self._places.values():
            path = by_inode(entry.path, entry.key) if entry.key not in self._names else None
            if path is None or path == entry.path:  # not there, or taken out of the patterns
                continue
            row = Row(path, "not read")
            try:
                handle = open_file(path)
            except OSError:
                continue
            try:
                if self._reach.refusal(handle.fd, path) is None and same_file(entry, handle):
                    row.size = handle.stat().st_size
                    _progress(row, entry, handle)
            finally:
                handle.close()
            if row.state == "reading":
                row.why = f"renamed: it was {entry.path}"
                yield row


def _progress(row: Row, entry: Entry, handle: Handle) -> None:
    """How far a known file was read."""
    row.position = entry.offset
    if not handle.compressed:
        row.lag = max(0, row.size - entry.offset)
        row.state = "reading" if row.lag else "waiting"
    elif entry.ends[0] == row.size and entry.offset >= entry.ends[1]:
        row.state = "finished"
    else:
        row.state, row.lag = "reading", None

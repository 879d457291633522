"""Which files are followed: found, recognised, opened, lost. It never waits for a delivery."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from shipper.component import Scope
from shipper.files.checkpoints import Entry, Positions
from shipper.files.copies import Copies
from shipper.files.discovery import Discovery
from shipper.files.handles import Handle
from shipper.files.identity import Key, born
from shipper.files.opening import Opening
from shipper.files.reach import Reach
from shipper.files.reading import CHUNK, Lines, Reading
from shipper.files.rotation import Folders, by_inode, same_file
from shipper.files.tail import Tailed

if TYPE_CHECKING:
    from shipper.files.claims import Claims

SURE = (None, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""Errors that say that there is nothing to be read under a name; after others it may be there."""
FORGIVE = 60.0
"""Seconds without trouble after which new trouble with the same path is said again."""


@dataclass(frozen=True, slots=True)
class Following:
    """Which files, and how they are followed; times in seconds."""

    include: list[str]
    exclude: list[str] = field(default_factory=list)
    from_end: bool = False
    follow: bool = True
    poll_interval: float = 1.0
    rotate_wait: float = 5.0
    ignore_older: float | None = None
    reading: Reading = field(default_factory=Reading)
    follow_links: list[str] = field(default_factory=list)
    """Folders to which links may lead, besides those that the patterns name."""
    own: str = ""
    """The folder in which Shipper itself writes."""


def _claims(scope: Scope, discovery: Discovery) -> Claims | None:
    """None where one process reads everything: then what names have in common is not even imported."""
    if not scope.share.divided:
        return None
    from shipper.files.claims import Claims

    return Claims.of(scope, discovery)


class Census:
    """The files that are followed, by (device, inode); `hot` are those to look at before the next scan."""

    def __init__(self, following: Following, scope: Scope, positions: Positions) -> None:
        self.following = following
        self.scope = scope
        self.clock = scope.clock
        self.positions = positions
        self.moves: deque[tuple[str, str]] = deque()
        """Renames that the system told of since the last look; a watcher puts its own in place of this."""
        self.files: dict[Key, Tailed] = {}
        self.hot: dict[Tailed, None] = {}
        self.discovery = Discovery(
            following.include,
            following.exclude,
            self.trouble,
            following.own,
            lambda folder: self.opening.enter(folder),
        )
        self.claims = _claims(scope, self.discovery)
        """Where several workers divide the files."""
        self.opening = Opening(self, Reach(self.discovery.named(), following.follow_links, following.own))
        self._troubled: dict[str, float] = {}
        self._failing: set[str] = set()
        """Files and folders that could not be looked at in this scan: nobody knows what is there."""
        self._kept: list[Tailed] = []
        self.first = True
        """Whether the files of the last run are still to be found."""
        self.copies = Copies(self)

    def trouble(self, path: str, error: BaseException) -> None:
        """Say once that something cannot be read; it is tried again at every scan."""
        if path not in self._troubled:
            self.scope.count("unreadable_files")
            self.scope.log.warning("%s cannot be read (%s); it is tried again and again", path, error)
        self._troubled[path] = self.clock.monotonic()
        if isinstance(error, OSError) and error.errno not in SURE:
            self._failing.add(path)

    def fail(self, file: Tailed, error: BaseException) -> None:
        """A file cannot be read: it is opened again at the next try, if it can be."""
        self.trouble(file.path, error)
        if not file.gone:
            file.close()

    async def scan(self) -> None:
        """See what is there now; what is new is opened at once, so that it is not lost when it is removed."""
        now = self.clock.monotonic()
        self.opening.begin()
        self._failing.clear()
        self._troubled = {path: at for path, at in self._troubled.items() if now - at < FORGIVE}
        found: dict[Key, tuple[str, os.stat_result]] = {}
        calm: set[Tailed] = set()
        """Those that are as they were, nearly all: nothing more is kept or asked of them."""
        renamed = self._renamed()
        if self.first and self.claims is not None:
            self._claim_again(self.claims)
        for number, path in enumerate(chain(self.discovery.paths(), renamed)):
            if number % 256 == 255:
                await asyncio.sleep(0)
            info = self._look(path)
            if info is None:
                continue
            key = (info.st_dev, info.st_ino)
            known = self.files.get(key)
            if known is None and self.opening.is_refused(path, key):
                continue
            if known is None and self.claims is not None and not self.claims.mine(key, renamed.get(path, path)):
                continue
            if known is not None:
                if known in calm or path in renamed:
                    continue
                if known.path == path and not known.gone and known.seen == (info.st_size, info.st_mtime_ns):
                    calm.add(known)
                    continue
            if key not in found or (known is not None and known.path == path):
                found[key] = (path, info)
        if self.first:
            self._take_kept(now)
        folders: Folders = {}
        for file in [file for file in self.files.values() if file not in calm]:
            here = found.pop(file.key, None)
            if here is not None:
                self._present(file, *here, now)
            elif not self._hidden(file.path):
                self._absent(file, now, folders)
        new = sorted(found.items(), key=lambda item: (item[1][1].st_mtime_ns, item[1][0]))
        for number, (key, (path, info)) in enumerate(new):
            if number % 64 == 63:
                await asyncio.sleep(0)
            if key in self.files:  # the copy of a truncated file was found meanwhile
                continue
            try:
                self._adopt(key, path, renamed.get(path, path), info, now)
            except OSError as error:
                self.trouble(path, error)
        await self.copies.decide(now, self.first)
        if self.first:
            self.first = False
            if self.positions.saved is None:  # even without files the first start is over
                self.positions.saved = self.clock.time()
                self.positions.changed()
        if self.claims is not None:
            self.claims.settle({*self.files, *(entry.key for entry in self.positions.entries)})
        self.scope.gauges["lag_bytes"] = self._lag()

    def _claim_again(self, claims: Claims) -> None:
        """What is known of the last run is this worker's, but for what another has claimed since it was saved."""
        known = {entry.key: entry for entry in self.positions.entries if entry.key != (0, 0)}
        for key in claims.begin([*known, *(file.key for file in self._kept)]):
            if key in known:
                self.positions.move(known[key], (0, 0), 0)

    def _renamed(self) -> dict[str, str]:
        """Where files lie now that had a name that is read, perhaps for too short a time to be seen there, and that name."""
        here: dict[str, str] = {}
        while self.moves:
            before, after = self.moves.popleft()
            if before in here or self.discovery.matches(before):
                written = here.pop(before, before)
                if not self.discovery.matches(after):
                    here[after] = written
        return here

    def _look(self, path: str) -> os.stat_result | None:
        try:
            info = os.stat(path)  # noqa: PTH116 (there may be ten thousand)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.trouble(path, error)
            return None
        return info if stat.S_ISREG(info.st_mode) else None

    def _hidden(self, path: str) -> bool:
        """Whether it may be there all the same: it or a folder above it could not be looked at."""
        while self._failing and path not in self._failing:
            above = os.path.dirname(path)  # noqa: PTH120 (paths stay str: there may be many)
            if above == path:
                return False
            path = above
        return bool(self._failing)

    def warm(self, file: Tailed, now: float) -> None:
        """Look at it now."""
        file.due, file.pause = now, 0.0
        self.hot[file] = None

    def drop(self, file: Tailed) -> None:
        """No longer followed; what is known of it stays for a day."""
        self.files.pop(file.key, None)
        self.hot.pop(file, None)
        removed = file.handle is not None and file.handle.removed()
        file.close()
        if file.entry is None:
            return
        if removed:  # the system may give its number to another file now
            self.positions.move(file.entry, (0, 0), 0)
        elif not file.entry.gone:
            file.entry.gone = self.clock.time()
            self.positions.changed()

    def lose(self, file: Tailed) -> None:
        """What it was is not there any more; what lies under its name now is found as something new."""
        if file.entry is not None:
            self._seek(file.entry)
        self.drop(file)

    def _seek(self, entry: Entry) -> None:
        """Its content is no longer where it was: what was not read of it may lie in a copy."""
        self.positions.move(entry, (0, 0), 0)
        self.copies.sought.append(entry)

    def reopen(self, file: Tailed) -> bool:
        """Open a file whose handle was closed, if it still is that file."""
        handle = self.opening.open(file.path)
        if handle is None:
            return False
        try:
            moved = handle.key() != file.key
            if not moved and (file.entry is None or same_file(file.entry, handle)):
                file.handle = handle
                return True
        except OSError as error:  # nobody knows what it is
            handle.close()
            self.trouble(file.path, error)
            return False
        handle.close()
        place = by_inode(file.path, file.key) if moved else None
        if place is None:
            self.lose(file)
            return False
        file.path = place
        return self.reopen(file)

    def renew(self, file: Tailed, now: float) -> None:
        """From the beginning, as new content."""
        assert file.handle is not None
        file.entry = self.entry_of(file)
        file.assembler, file.truncated, file.flushed = None, True, False
        self.warm(file, now)

    def track(self, file: Tailed) -> Tailed:
        self.files[file.key] = file
        self.hot[file] = None
        return file

    def entry_of(self, file: Tailed, offset: int = 0) -> Entry:
        assert file.handle is not None
        entry = Entry(file.path, file.key, born(file.handle.fd), offset)
        self.positions.add(entry)
        return entry

    def _present(self, file: Tailed, path: str, info: os.stat_result, now: float) -> None:
        if file.path != path or file.gone:
            file.moved = file.moved or file.path != path
            file.path, file.gone, file.since, file.flushed = path, False, now, False
            if file.entry is not None:
                file.entry.gone = 0
            self.warm(file, now)
        seen = (info.st_size, info.st_mtime_ns)
        if seen != file.seen:
            file.seen, file.settled = seen, False
            self.warm(file, now)

    def _absent(self, file: Tailed, now: float, folders: Folders) -> None:
        if not file.gone:
            file.gone, file.since, file.flushed = True, now, False
            if file.entry is not None:
                file.entry.gone = self.clock.time()
                self.positions.changed()
            self.warm(file, now)
        if file.handle is None:
            place = by_inode(file.path, file.key, folders)
            if place is not None:
                file.path = place
                return
            self.drop(file)
            if file.entry is not None:  # packed meanwhile, and perhaps not all of it was read
                self.copies.sought.append(file.entry)

    def _adopt(self, key: Key, path: str, written: str, info: os.stat_result, now: float) -> None:
        """Follow what lies at `path`; `written` is the name it had when it was written."""
        entry = self.positions.at(key)
        older = self.following.ignore_older
        if entry is None and older is not None and info.st_mtime < self.clock.time() - older:
            return
        if self.claims is not None and not self.claims.take(key):
            return
        handle = self.opening.open(path)
        if handle is None:
            return
        if handle.key() != key:  # exchanged meanwhile: the next scan sees what it is
            handle.close()
            return
        file = Tailed(written, key, handle, None, now)
        file.seen, file.moved = (info.st_size, info.st_mtime_ns), written != path
        if entry is not None:
            if same_file(entry, handle):
                entry.gone = 0
                file.entry, file.moved = entry, entry.path != path
            else:
                self._seek(entry)
                if self.claims is not None and self.following.follow and not self.claims.keeps(key, written):
                    handle.close()
                    return
        self.track(file)

    def independent(self, file: Tailed, now: float) -> None:
        assert file.handle is not None
        offset = 0
        if self.following.from_end and self.first and self.positions.saved is None and not file.handle.compressed:
            offset = self._last_line(file.handle)
        file.entry = self.entry_of(file, offset)
        file.suspected = None
        self.warm(file, now)

    def _last_line(self, handle: Handle) -> int:
        """Where the last line begins that has no end yet: `read_from: end` cuts no line in two."""
        size = handle.stat().st_size
        start = max(0, size - CHUNK) // 4 * 4  # on a whole character of any encoding
        lines = Lines(self.following.reading, offset=start, head=handle.head(4))
        lines.feed(handle.read(start, size - start))
        return lines.at if lines.at > start else size

    def keep(self) -> None:
        """Let go of all files, but not of those that nobody could open again and that are not delivered."""
        for file in self.files.values():
            entry = file.entry
            file.assembler, file.busy = None, False
            if file.handle is not None and (file.gone or file.handle.removed()) and self._unread(entry, file.handle):
                file.flushed = False
                self._kept.append(file)
            else:
                file.close()
        self.files.clear()
        self.hot.clear()
        for entry in self.positions.entries:
            entry.place = None
        self.first = True

    @staticmethod
    def _unread(entry: Entry | None, handle: Handle) -> bool:
        """Whether there may be something that was not delivered."""
        try:
            return entry is None or handle.compressed or handle.reaches(entry.offset + 1)
        except OSError:
            return True

    def _take_kept(self, now: float) -> None:
        for file in self._kept:
            self.track(file)
            self.warm(file, now)
        self._kept = []

    def _lag(self) -> float:
        lag = 0
        for file in self.files.values():
            behind = file.seen[0] - (file.entry.offset if file.entry else 0)
            if behind > 0 and (file.handle is None or not file.handle.compressed):
                lag += behind
        return float(lag)

"""Is a new file what it seems, or a copy of another that is truncated (`copytruncate`) or has vanished?

The copy goes on where the original was read, with the original's entry, so that what had not been read of it
is not lost and what had been is not read again. The original goes on with a new entry.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from shipper.files.checkpoints import Entry
from shipper.files.handles import Handle
from shipper.files.identity import HEAD, Digest, born
from shipper.files.rotation import by_inode, find_copy, is_copy, neighbours, same_file
from shipper.files.tail import Tailed

if TYPE_CHECKING:
    from shipper.files.census import Census

COPY_WAIT = 0.8
"""Seconds for which a file that begins like another and does not grow waits for the other to be truncated."""
RECENT = 60.0
"""Seconds after a truncation in which a file found may be the copy made before it."""


class Copies:
    """Knows the files of a census by their content."""

    def __init__(self, census: Census) -> None:
        self._census = census
        self._positions = census.positions

    async def decide(self, now: float, first: bool) -> None:
        """Look at all files of which it is not clear yet; `first`: those of the last run may have gone anywhere."""
        census = self._census
        undecided = [file for file in census.files.values() if file.entry is None and not file.busy]
        heads = self._heads() if undecided else {}
        lengths = sorted({head.length for head in heads})
        for number, file in enumerate(undecided):
            if number % 64 == 63:
                await asyncio.sleep(0)
            if file.entry is not None or census.files.get(file.key) is not file:
                continue
            if file.handle is None:
                census.drop(file)
                continue
            try:
                alike = self._alike(file.handle, heads, lengths)
                self._decide(file, file.handle, alike, now, first)
            except OSError as error:
                census.trouble(file.path, error)

    def _heads(self) -> dict[Digest, list[Entry]]:
        """All entries by how their content begins."""
        heads: dict[Digest, list[Entry]] = {}
        for entry in self._positions.entries:
            if entry.head.length:
                heads.setdefault(entry.head, []).append(entry)
        return heads

    @staticmethod
    def _alike(handle: Handle, heads: dict[Digest, list[Entry]], lengths: list[int]) -> list[Entry]:
        """The entries whose content begins as this file does."""
        if handle.compressed or not lengths:
            return []
        beginning = handle.head(HEAD)
        fitting = [length for length in lengths if length <= len(beginning)]
        return [entry for length in fitting for entry in heads.get(Digest.of(beginning[:length]), ())]

    def _decide(self, file: Tailed, handle: Handle, alike: list[Entry], now: float, first: bool) -> None:
        following = self._census.following
        size = handle.stat().st_size
        if not size and following.follow and not file.gone:
            return  # nothing to tell it by, and nothing to read
        if any(self._take_over(file, handle, entry, now, first) for entry in alike):
            return
        originals = [
            owner for entry in alike if (owner := self._owner(entry)) is not None and entry.place and entry.place[0]
        ]
        if originals and following.follow and not file.gone and not first:
            if file.suspected is None or size != file.weighed:  # the copy is still being written
                file.suspected, file.weighed = now, size
            unseen = [owner for owner in originals if owner.busy or owner.looked < file.suspected]
            for owner in originals:
                self._census.warm(owner, now)
            if unseen or now - file.suspected < COPY_WAIT:
                return
        self._census.independent(file, now)

    def _owner(self, entry: Entry) -> Tailed | None:
        """The file that is followed for this entry."""
        owner = self._census.files.get(entry.key)
        return owner if owner is not None and owner.entry is entry else None

    def _take_over(self, file: Tailed, handle: Handle, entry: Entry, now: float, first: bool) -> bool:
        """Let the file go on with an entry whose own file was truncated or removed, if it is a copy of that."""
        owner = self._owner(entry)
        if owner is None:
            recent = first or self._census.clock.time() - entry.gone < RECENT
            if not recent or not is_copy(entry, file.path, handle, vanished=entry.key != (0, 0)):
                return False
        else:
            removed = owner.gone and owner.handle is not None and not owner.handle.stat().st_nlink
            if not removed or owner.busy or not is_copy(entry, file.path, handle, vanished=True):
                return False
            self._census.drop(owner)
        self.give(file, entry, now)
        return True

    def give(self, file: Tailed, entry: Entry, now: float) -> None:
        """This file holds that content now."""
        assert file.handle is not None
        self._positions.move(entry, file.key, born(file.handle.fd))
        file.entry, file.assembler, file.suspected = entry, None, None
        file.moved, file.since = True, now
        self._census.warm(file, now)

    def replace(self, file: Tailed, now: float) -> bool:
        """A file was truncated or written anew: whether a copy was found that goes on with its content."""
        census, old = self._census, file.entry
        assert old is not None
        self._positions.move(old, (0, 0), 0)
        for each in list(census.files.values()):
            if each.entry is None and each.handle and is_copy(old, each.path, each.handle, vanished=False):
                self.give(each, old, now)
                return True
        found = find_copy(old, set(census.files))
        if found is None:
            return False
        self._finish(*found, old, now)
        return True

    def resume_absent(self, now: float) -> None:
        """Files of the last run that no pattern finds: renamed or copied while nobody looked. They are finished."""
        census = self._census
        for entry in list(self._positions.entries):
            if self._owner(entry) is not None:
                continue
            entry.gone = entry.gone or census.clock.time()
            try:
                self._resume(entry, now)
            except OSError as error:
                census.trouble(entry.path, error)

    def _resume(self, entry: Entry, now: float) -> None:
        census = self._census
        if entry.key != (0, 0):
            path = by_inode(entry.path, entry.key)
            handle = census.open(path) if path is not None and entry.key not in census.files else None
            if path is not None and handle is not None:
                if same_file(entry, handle):
                    self._finish(path, handle, entry, now)
                else:
                    handle.close()
        elif any(True for _ in neighbours(entry.path)):
            found = find_copy(entry, set(census.files))
            if found is not None:
                self._finish(*found, entry, now)

    def _finish(self, path: str, handle: Handle, entry: Entry, now: float) -> None:
        """Read what is left of a file that no pattern finds, or that the next scan will find."""
        file = self._census.track(Tailed(path, handle.key(), handle, None, now))
        self.give(file, entry, now)
        file.gone = True

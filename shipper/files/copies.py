"""Is a new file what it seems, or a copy of another that is truncated (`copytruncate`), packed or has vanished?

The copy goes on where the original was read, with the original's entry, so that what had not been read of it
is not lost and what had been is not read again. The original goes on with a new entry.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from shipper.files.alike import Alike
from shipper.files.checkpoints import Entry
from shipper.files.handles import Handle
from shipper.files.identity import HEAD, born
from shipper.files.rotation import by_inode, find_copy, is_copy, neighbours, packed_whole, packs, related, same_file
from shipper.files.tail import Tailed

if TYPE_CHECKING:
    from shipper.files.census import Census

COPY_WAIT = 0.7
"""Seconds for which a file that begins like another and does not grow waits for the other to be truncated."""
SYNC_RATE = 16 << 20
"""Bytes a second that a slow disk takes: logrotate syncs a copy before it truncates the original."""
RECENT = 60.0
"""Seconds after a truncation in which a file found may be the copy made before it."""


class Copies:
    """Knows the files of a census by their content."""

    def __init__(self, census: Census) -> None:
        self._census = census
        self._positions = census.positions
        self.sought: list[Entry] = []
        """Content that vanished while its file was not open: looked for once."""

    async def decide(self, now: float, first: bool) -> None:
        """Look at all files of which it is not clear yet; `first`: those of the last run may have gone anywhere."""
        census = self._census
        undecided = [file for file in census.files.values() if file.entry is None and not file.busy]
        known = Alike(self._positions.entries)
        new: list[Tailed] = []
        for number, file in enumerate(undecided):
            if number % 64 == 63:
                await asyncio.sleep(0)
            if file.entry is not None or census.files.get(file.key) is not file:
                continue
            if file.handle is None:
                census.drop(file)
                continue
            try:
                alike = known.of(file.handle, file.path)
                if await self._is_new(file, file.handle, alike, now, first):
                    new.append(file)
            except OSError as error:
                census.fail(file, error)
        await self._seek(now, first)
        before = self._unfinished(first) if new else {}
        for file in new:
            if file.entry is None and census.files.get(file.key) is file:
                try:
                    self._begin(file, before, now, first)
                except OSError as error:
                    census.fail(file, error)

    async def _is_new(self, file: Tailed, handle: Handle, alike: list[Entry], now: float, first: bool) -> bool:
        """Whether it is content of its own. If not, it goes on with another's entry, or is not decided yet."""
        following = self._census.following
        size = handle.stat().st_size
        if not size and following.follow and not file.gone:
            return False  # nothing to tell it by, and nothing to read
        if handle.compressed:
            return await self._is_new_packed(file, handle, alike, now, first)
        if any(self._take_over(file, handle, entry, now, first) for entry in alike):
            return False
        originals = [owner for entry in alike if (owner := self._owner(entry)) is not None]
        if originals and following.follow and not file.gone and not first:
            if file.suspected is None or size != file.weighed:  # the copy is still being written
                file.suspected, file.weighed = now, size
            unseen = [owner for owner in originals if owner.busy or owner.looked < file.suspected]
            for owner in originals:
                self._census.warm(owner, now)
            whole = any(owner.entry is not None and is_copy(owner.entry, file.path, handle) for owner in originals)
            if unseen or now - file.suspected < COPY_WAIT + whole * size / SYNC_RATE:
                return False
        return True

    async def _is_new_packed(self, file: Tailed, handle: Handle, alike: list[Entry], now: float, first: bool) -> bool:
        """The same of a gzip file. While its original is there it waits: the original has all of it, and maybe more."""
        census = self._census
        size, entry = handle.stat().st_size, file.copied
        if size != file.weighed:
            file.suspected, file.weighed, entry = now, size, None
        begun = handle.head(HEAD)
        calm = now - (file.suspected or now) >= COPY_WAIT
        if entry is None:
            file.copied = None
            if census.following.follow and not first and self._unseen(file, now):
                return False
            candidates = [each for each in alike if packs(each, file.path, handle)]
            owners = {each: self._owner(each) for each in candidates}
            waiting = [each for each, owner in owners.items() if owner is not None]
            for each in candidates:
                if owners[each] is None and self._recent(each, first) and await packed_whole(each, handle, None):
                    self.give(file, each, now)
                    return False
            hurry = first or not census.following.follow or file.gone
            hurry = hurry or any(owner is not None and owner.gone for owner in owners.values())
            if (waiting or len(begun) < HEAD) and not calm and not hurry:
                return False  # it is still being written, or what it is a copy of is about to go
            for each in waiting:
                owner = owners[each]
                if owner is None or owner.handle is None or owner.handle.compressed:
                    continue
                if await packed_whole(each, handle, owner.handle):
                    file.copied = entry = each
                    break
            else:
                return True
        if self._owner(entry) is None and entry.place is not None:
            self.give(file, entry, now)
        elif len(begun) < HEAD and not file.gone and now - (file.suspected or now) > RECENT:
            return True  # so little content may be the same by chance
        census.hot.pop(file, None)
        return False

    def _unseen(self, file: Tailed, now: float) -> bool:
        """Whether a file that it may be packed from was not looked at since: what is in that may have changed."""
        unseen = [
            each
            for each in self._census.files.values()
            if each.entry is not None
            and (each.busy or each.looked < (file.suspected or now))
            and related(each.entry.path, file.path)
            and not (each.handle is not None and each.handle.compressed)
        ]
        for each in unseen:
            self._census.warm(each, now)
        return bool(unseen) and not file.gone

    def _owner(self, entry: Entry) -> Tailed | None:
        """The file that is followed for this entry."""
        owner = self._census.files.get(entry.key)
        return owner if owner is not None and owner.entry is entry else None

    def _recent(self, entry: Entry, first: bool) -> bool:
        """Whether its content has gone from where it was at about this time."""
        return first or self._census.clock.time() - entry.gone < RECENT

    def _take_over(self, file: Tailed, handle: Handle, entry: Entry, now: float, first: bool) -> bool:
        """Let the file go on with an entry whose own file was truncated or removed, if it is a copy of that."""
        owner = self._owner(entry)
        if owner is None:
            if not self._recent(entry, first) or not is_copy(entry, file.path, handle):
                return False
        else:
            removed = owner.gone and owner.handle is not None and owner.handle.removed()
            if not removed or owner.busy or not is_copy(entry, file.path, handle):
                return False
            self._census.drop(owner)
        self.give(file, entry, now)
        return True

    def give(self, file: Tailed, entry: Entry, now: float) -> None:
        """This file holds that content now."""
        assert file.handle is not None
        self._positions.move(entry, file.key, born(file.handle.fd))
        entry.ends = (0, 0)
        file.entry, file.assembler, file.suspected, file.copied = entry, None, None, None
        file.moved, file.since = True, now
        self._census.warm(file, now)

    async def replace(self, file: Tailed, now: float) -> Tailed | None:
        """A file was truncated or written anew: the copy that goes on with its content, if one is found."""
        census, old = self._census, file.entry
        assert old is not None
        self._positions.move(old, (0, 0), 0)
        for each in list(census.files.values()):
            if each.entry is None and each.handle and is_copy(old, each.path, each.handle):
                self.give(each, old, now)
                return each
        found = await find_copy(old, census.files, census.opening.peek)
        return None if found is None else self._finish(*found, old, now)

    async def _seek(self, now: float, first: bool) -> None:
        """Look for content that no pattern finds any more: renamed, copied or packed while nobody looked."""
        sought = list(self._positions.entries) if first else self.sought
        self.sought = []
        for entry in sought:
            if self._owner(entry) is None:
                await asyncio.sleep(0)  # there may be thousands, and each looks into its folder
            if self._owner(entry) is not None:
                continue
            entry.gone = entry.gone or self._census.clock.time()
            try:
                await self._resume(entry, now)
            except OSError as error:
                self._census.trouble(entry.path, error)

    async def _resume(self, entry: Entry, now: float) -> None:
        census = self._census
        path = by_inode(entry.path, entry.key) if entry.key != (0, 0) else None
        if path == entry.path:  # where it lay: a scan finds it, or the patterns were changed and leave it out
            return
        handle = census.opening.open(path) if path is not None and entry.key not in census.files else None
        if path is not None and handle is not None:
            if same_file(entry, handle):
                self._finish(path, handle, entry, now)
                return
            handle.close()
        if any(True for _ in neighbours(entry.path)):
            found = await find_copy(entry, census.files, census.opening.peek)
            if found is not None:
                self._finish(*found, entry, now)

    def _finish(self, path: str, handle: Handle, entry: Entry, now: float) -> Tailed | None:
        """Read what is left of a file that no pattern finds, or that the next scan will find."""
        census = self._census
        taken = handle.key() in census.files  # the scan has found it meanwhile
        if taken or (census.claims is not None and not census.claims.take(handle.key())):
            handle.close()
            return None
        file = census.track(Tailed(path, handle.key(), handle, None, now))
        self.give(file, entry, now)
        file.gone = True
        return file

    def _unfinished(self, first: bool) -> dict[str, list[Tailed]]:
        """Files that were written under another name, by that name, or at the start by its folder."""
        found: dict[str, list[Tailed]] = {}
        for file in self._census.files.values():
            if file.entry is not None and (file.moved or file.gone):
                written = file.entry.path
                found.setdefault(os.path.dirname(written) if first else written, []).append(file)  # noqa: PTH120 (paths stay str: there may be many)
        return found

    def _begin(self, file: Tailed, before: dict[str, list[Tailed]], now: float, first: bool) -> None:
        """Read it as new content, once what was written under its name before it is read to its end."""
        candidates = before.get(os.path.dirname(file.path) if first else file.path, [])  # noqa: PTH120 (paths stay str: there may be many)
        for each in candidates:
            written = each.entry.path if each.entry is not None else ""
            if each is not file and (written == file.path or related(written, file.path)):
                file.after.append(each)
                self._census.warm(each, now)
        self._census.independent(file, now)

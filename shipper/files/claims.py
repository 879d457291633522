"""Which of several workers reads which file: never two, whatever a file is renamed to.

A file is its owner's who has a claim to it: a link `<device>-<inode>` in a folder that all share, that leads to the
owner's number (made in one step, so a crash leaves no claim of nobody). Without a claim it is the owner's of the file
that lies under its family's name, and without that goes by the family's name itself. Claims need not survive the
machine: at each start they are made anew from the positions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from shipper.component import Scope
from shipper.files.discovery import Discovery
from shipper.files.families import lineage
from shipper.files.identity import Key
from shipper.files.overlap import finds

LATER = 5.0
"""Seconds for which a file that is another worker's is not asked about again."""


def claim_name(key: Key) -> str:
    return f"{key[0]:x}-{key[1]:x}"


def _key(name: str) -> Key | None:
    device, _, inode = name.partition("-")
    try:
        return int(device, 16), int(inode, 16)
    except ValueError:
        return None


def there(discovery: Discovery, path: str) -> bool:
    """Whether a file is there now that the patterns find."""
    return os.path.exists(path) and finds(discovery, path) != "no"  # noqa: PTH110 (names need not be text)


class Claims:
    """One worker's view of who reads what; `held` are the files that are its own."""

    def __init__(self, scope: Scope, discovery: Discovery) -> None:
        assert scope.common is not None
        self.folder = scope.common / "claims" / scope.name
        self.held: set[Key] = set()
        self._scope = scope
        self._share = scope.share
        self._discovery = discovery
        self._others: dict[str, Key] = {}
        self._asked = float("-inf")
        self._unwritten: set[Key] = set()

    @classmethod
    def of(cls, scope: Scope, discovery: Discovery) -> Claims | None:
        """None where one process reads everything."""
        return cls(scope, discovery) if scope.share.divided else None

    def begin(self, keys: Iterable[Key]) -> list[Key]:
        """A worker begins with the files that it knows: which of them are another's now."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.held = set()
        keyed = [key for link in self.folder.iterdir() if (key := _key(link.name)) is not None]
        self.held = {key for key in keyed if self._owner(key) == self._share.index}
        wanted = set(keys)
        self._release(self.held - wanted)
        return [key for key in wanted if not self.take(key)]

    def mine(self, key: Key, path: str) -> bool:
        """Whether this worker is to read a file that it does not follow yet; then it takes it."""
        if key in self.held:
            return True
        now = self._scope.clock.monotonic()
        if now - self._asked > LATER:
            self._asked = now
            self._others.clear()
        if self._others.get(path) == key:
            return False
        if not self._falls_to_me(path):
            self._others[path] = key
            return False
        return self._owner(key) in (None, self._share.index)

    def take(self, key: Key) -> bool:
        """Claim a file; whether it is this worker's now."""
        if key in self.held:
            return True
        try:
            os.symlink(str(self._share.index), self.folder / claim_name(key))  # noqa: PTH211 (it is no path)
        except FileExistsError:
            if self._owner(key) != self._share.index:
                return False
        except OSError as error:  # better read than left, though another could take it under a new name
            if not self._unwritten:
                self._scope.log.error("files that are read cannot be claimed in %s: %s", self.folder, error.strerror)
            self._unwritten.add(key)
        self.held.add(key)
        return True

    def keeps(self, key: Key, path: str) -> bool:
        """Whether what lies in a file now, which is not what this worker read in it, is its own all the same; else the claim ends."""
        if self._falls_to_me(path):
            return True
        self._release({key})
        return False

    def settle(self, followed: set[Key]) -> None:
        """Give up the claims to all files but these."""
        self._release(self.held - followed)
        again, self._unwritten = self._unwritten & followed, set()
        self.held -= again
        for key in again:
            self.take(key)

    def _release(self, keys: set[Key]) -> None:
        for key in list(keys):
            try:
                (self.folder / claim_name(key)).unlink(missing_ok=True)
            except OSError:  # tried again at the next scan
                continue
            self.held.discard(key)

    def _falls_to_me(self, path: str) -> bool:
        """Whether a file of this name that nobody claims falls to this worker."""
        names = lineage(path, lambda other: there(self._discovery, other))
        for name in names:
            if name != path and (owner := self._owner_of(name)) is not None:
                return owner == self._share.index
        return self._share.takes(names[-1])

    def _owner_of(self, path: str) -> int | None:
        """Who reads the file that lies there."""
        try:
            info = os.stat(path)  # noqa: PTH116 (names need not be text)
        except OSError:
            return None
        return self._owner((info.st_dev, info.st_ino))

    def _owner(self, key: Key) -> int | None:
        if key in self.held:
            return self._share.index
        try:
            return int(os.readlink(self.folder / claim_name(key)))  # noqa: PTH115 (the same)
        except (OSError, ValueError):  # none, or no claim of ours
            return None

"""Opens files within a bound of handles, and leaves alone what is not to be read."""

from __future__ import annotations

import errno
import resource
from typing import TYPE_CHECKING

from shipper.files.handles import Handle, open_file
from shipper.files.identity import Key
from shipper.files.reach import Reach, Reason, Refusal

if TYPE_CHECKING:
    from shipper.files.census import Census

CROWDED = 0.1
"""Seconds for which nobody looks for handles to close after none was found."""
RECHECK = 60.0
"""Seconds after which a file that was refused is looked at again though it seems to be the same."""
MOST_SAID = 4096
"""Refused paths that are remembered so that each is said once."""


class Opening:
    """The handles of a census."""

    def __init__(self, census: Census, reach: Reach) -> None:
        self._census = census
        self.reach = reach
        self.most = max(8, min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))
        self._opened = 0
        self._full = float("-inf")  # until when there is no use in looking for room
        self.crowded = False
        """Whether the last scan found files for which there was no handle left."""
        self._refused: dict[str, tuple[Key, float]] = {}
        self._said: dict[str, Refusal] = {}

    def begin(self) -> None:
        """A scan begins."""
        now = self._census.clock.monotonic()
        self.crowded = False
        self._opened = sum(file.handle is not None for file in self._census.files.values())
        self._refused = {path: known for path, known in self._refused.items() if now - known[1] < RECHECK}
        self.reach.refresh()

    def is_refused(self, path: str, key: Key) -> bool:
        """Whether this file was refused under this name not long ago."""
        return path in self._refused and self._refused[path][0] == key

    def open(self, path: str) -> Handle | None:
        """None when it cannot be opened now. Over the bound, handles of quiet files are closed for it."""
        if self._opened >= self.most and not self._make_room():
            self.crowded = True
            return None
        try:
            handle = self._checked(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._make_room()
                self.crowded = True
            self._census.trouble(path, error)
            return None
        self._opened += handle is not None
        return handle

    def peek(self, path: str) -> Handle | None:
        """Open a file that may be what is sought; silent when it cannot be."""
        try:
            return self._checked(path)
        except OSError:
            return None

    def enter(self, folder: str) -> bool:
        """Whether to look into a folder that is a link."""
        refusal = self.reach.folder(folder)
        if refusal is not None:
            self._refuse(folder, refusal)
        return refusal is None

    def _checked(self, path: str) -> Handle | None:
        handle = open_file(path)
        try:
            refusal = self.reach.refusal(handle.fd, path)
        except BaseException:
            handle.close()
            raise
        if refusal is None:
            return handle
        self._refused[path] = (handle.key(), self._census.clock.monotonic())
        handle.close()
        self._refuse(path, refusal)
        return None

    def _refuse(self, path: str, refusal: Refusal) -> None:
        """Say once why a file is left alone."""
        if self._said.get(path) == refusal:
            return
        if len(self._said) >= MOST_SAID:
            self._said.clear()
        self._said[path] = refusal
        self._census.scope.count("refused_files", reason=refusal.reason.value)
        log = self._census.scope.log
        (log.warning if refusal.reason is Reason.LINK else log.info)("%s is not read: %s", path, refusal.text)

    def _make_room(self) -> bool:
        """Close some of the handles that have been quiet for longest; whether there is room now."""
        census = self._census
        now = census.clock.monotonic()
        if now < self._full:
            return False
        is_open = [file for file in census.files.values() if file.handle is not None]
        quiet = [
            file
            for file in is_open
            if file.pause and file.entry is not None  # at its end when it was last looked at
            and not (file.busy or file.gone or (file.assembler and file.assembler.holding))
        ]  # fmt: skip
        quiet.sort(key=lambda file: file.grown)
        for file in quiet[: max(1, self.most // 8)]:
            file.close()
            file.assembler = None
            census.hot.pop(file, None)  # the scan sees when it grows
        self._opened = sum(file.handle is not None for file in is_open)
        if self._opened < self.most:
            return True
        self._full = now + CROWDED
        return False

"""Where tailing may lead: below the folders that patterns name, never out of them by a link, never to what we write.

Who may write to a log folder could otherwise make the reader, which often is root, send any file of the machine
(KHV047: a pod with a link from `/var/log` to `/etc/shadow`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

from shipper.files.identity import Key

STREAMS = (1, 2)
"""Standard output and error: what we write when they are files."""


class Reason(Enum):
    """Why a file that a pattern finds is not read; the value is the label of its counter."""

    LINK = "link"
    OWN = "own"


class Refusal(NamedTuple):
    """A file that is left alone, and why, as a sentence."""

    reason: Reason
    text: str


def streams(process: str = "self") -> set[Key]:
    """The regular files that standard output and error of a process go to; empty when nobody may know."""
    found = set()
    for number in STREAMS:
        with suppress(OSError):
            info = os.fstat(number) if process == "self" else os.stat(f"/proc/{process}/fd/{number}")  # noqa: PTH116 (as of fstat)
            if stat.S_ISREG(info.st_mode):
                found.add((info.st_dev, info.st_ino))
    return found


def real(fd: int, path: str) -> str:
    """Where an open file lies, all links followed: asked of the system, so that nobody can exchange a link meanwhile."""
    with suppress(OSError):  # without /proc it is looked up by its name
        found = os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 (a name need not be text)
        if found.startswith("/"):
            return found
    found = os.path.realpath(path)
    info, there = os.fstat(fd), os.stat(found)  # noqa: PTH116 (as of fstat)
    if (info.st_dev, info.st_ino) != (there.st_dev, there.st_ino):
        raise FileNotFoundError(f"{path} was exchanged while it was opened")
    return found


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


class Reach:
    """The folders below which files are read; links in their own paths were made by whoever names them.

    `bases` are those in front of the first wildcards, `links` others to which links may lead, `own` the folder in
    which we write.
    """

    def __init__(self, bases: Iterable[str], links: Iterable[str], own: str = "", process: str = "self") -> None:
        self._bases = list(bases)
        self._links = [os.path.abspath(os.path.expanduser(each)) for each in links]  # noqa: PTH100, PTH111 (Path.absolute keeps `..`)
        self._own = own
        self._process = process
        self._streams: set[Key] = set()
        self.refresh()

    def refresh(self) -> None:
        """Look again where the folders lie."""
        bases = [os.path.realpath(each) for each in self._bases]
        self._roots = [*bases, *(os.path.realpath(each) for each in self._links)]
        own = [os.path.realpath(self._own)] if self._own else []
        self._shut = [] if own and any(_below(base, own) for base in bases) else own
        self._streams = streams(self._process)

    def outside(self, path: str) -> Refusal | None:
        """Why a file or folder that lies here, links followed, is left alone."""
        if not _below(path, self._roots):
            return Refusal(
                Reason.LINK, f"it leads to {path}, outside of the folders that links may lead to (follow_links)"
            )
        if _below(path, self._shut):
            return Refusal(Reason.OWN, "it lies in the data folder")
        return None

    def refusal(self, fd: int, path: str) -> Refusal | None:
        """Why an open file is not read; None when it is. Raises OSError when it was exchanged meanwhile."""
        info = os.fstat(fd)
        if (info.st_dev, info.st_ino) in self._streams:
            return Refusal(Reason.OWN, "the agent's own log goes there")
        return self.outside(real(fd, path))

    def folder(self, path: str) -> Refusal | None:
        """Why a folder that is a link is not looked into."""
        return self.outside(os.path.realpath(path))

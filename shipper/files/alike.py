"""Which of the known content a new file may be a copy of: what begins as it does.

Files that begin alike can be thousands (the same banner, the same first line), and a new one may not be compared with
all of them: of little content only a name like the original's proves anything, so there the names are asked; of more
only so many are considered, those named like it first. One that is missed is read twice, never lost.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from functools import cached_property

from shipper.files.checkpoints import Entry
from shipper.files.handles import Handle
from shipper.files.identity import HEAD, Digest
from shipper.files.rotation import SEPARATORS, related

MOST = 64
"""Entries of one beginning, or of one beginning and name, that are considered: the newest."""


class Alike:
    """An index of entries, made when it is first needed; good for one look, for entries change."""

    def __init__(self, entries: Collection[Entry]) -> None:
        self._entries = entries

    @cached_property
    def _heads(self) -> dict[Digest, list[Entry]]:
        heads: dict[Digest, list[Entry]] = {}
        for entry in self._entries:
            if entry.head.length:
                heads.setdefault(entry.head, []).append(entry)
        return heads

    @cached_property
    def _lengths(self) -> list[int]:
        return sorted({head.length for head in self._heads})

    @cached_property
    def _named(self) -> dict[tuple[str, Digest], list[Entry]]:
        """By what names of copies begin with, and content."""
        named: dict[tuple[str, Digest], list[Entry]] = {}
        for head, entries in self._heads.items():
            for entry in entries:
                folder, name = os.path.split(entry.path)
                for start in {name, name.partition(".")[0]}:
                    named.setdefault((f"{folder}/{start}", head), []).append(entry)
        return named

    def of(self, handle: Handle, path: str) -> list[Entry]:
        """The entries that begin as this file does and that it may be a copy of. Raises OSError."""
        beginning = handle.head(HEAD)
        if not beginning:
            return []
        digests = (Digest.of(beginning[:length]) for length in self._lengths if length <= len(beginning))
        heads = [head for head in digests if head in self._heads]
        found = dict.fromkeys(
            entry
            for head in heads
            for start in _starts(path)
            for entry in self._named.get((start, head), ())[-MOST:]
            if related(entry.path, path)
        )
        if not handle.compressed and len(beginning) == HEAD:
            found.update(dict.fromkeys(entry for head in heads for entry in self._heads[head][-MOST:]))
        return list(found)


def _starts(path: str) -> Iterator[str]:
    """What names can be of which this is one of a rotated copy, or the first parts of them: see `related`."""
    folder, name = os.path.split(path)
    return (f"{folder}/{name[:at]}" for at, letter in enumerate(name) if at and letter in SEPARATORS)

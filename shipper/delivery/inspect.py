"""Buffers seen from outside: read only, beside the process that uses them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shipper.delivery.buffers import fits, said_of
from shipper.delivery.disk import Disk
from shipper.delivery.progress import Done, Progress
from shipper.delivery.segments import Damage, Reader, first_of
from shipper.delivery.store import Record


@dataclass
class Buffer:
    """One folder of segments, and what was found in it by `look`."""

    name: str
    """Of the output."""
    folder: Path
    said: dict[str, Any]
    bytes: int
    taken: bool
    """Whether the output that is configured under this name would go on with it."""
    records: int = 0
    events: int = 0
    damage: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "output": self.name,
            "folder": str(self.folder),
            "type": self.said.get("type"),
            "taken": self.taken,
            "events": self.events,
            "records": self.records,
            "bytes": self.bytes,
            "damaged": len(self.damage),
        }


def buffers(root: Path, mine: dict[str, dict[str, Any]]) -> list[Buffer]:
    """All buffers below `root`; `mine` says by output name what its segments have to say to be taken."""
    disk = Disk()
    found: list[Buffer] = []
    for home in sorted(root.iterdir()) if root.is_dir() else ():
        for folder in sorted(home.iterdir()) if home.is_dir() else ():
            if not folder.name.isdigit():
                continue
            said, size = said_of(folder, disk)
            identity = mine.get(home.name)
            taken = identity is not None and fits(said, identity)
            found.append(Buffer(home.name, folder, said or {}, size, taken))
    return found


def look(buffer: Buffer) -> Iterator[Record]:
    """What is in it and not done, in order; fills in the buffer's counts on the way.

    A segment that its process removes meanwhile is done: it is left out.
    """
    disk = Disk()
    buffer.records = buffer.events = 0
    buffer.damage.clear()
    done = _done(buffer.folder, disk)
    firsts = sorted(n for name in disk.names(buffer.folder) if (n := first_of(name)) is not None)
    for index, first in enumerate(firsts):
        end = firsts[index + 1] if index + 1 < len(firsts) else 2**63
        path = buffer.folder / f"{first:020d}.seg"
        try:
            fd = disk.open(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            buffer.damage.append(f"{path.name}: {error.strerror or error}")
            continue
        try:
            for each in Reader(disk, fd).frames(disk.size(fd)):
                if isinstance(each, Damage):
                    if not each.torn:
                        buffer.damage.append(f"{path.name}: {each.length} bytes at {each.offset} are damaged")
                elif each.first < end and not done.has(each.first, each.end):
                    buffer.records += 1
                    buffer.events += each.piece.count
                    yield Record(each.first, each.piece)
        finally:
            disk.close(fd)


def _done(folder: Path, disk: Disk) -> Done:
    saved = Progress(folder / "progress", disk).load()
    return Done(saved["to"], [(first, end) for first, end in saved["beyond"]]) if saved else Done()

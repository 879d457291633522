"""Which folder an output's buffer is in, and what lies in others that no configured output can take."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipper.component import Output
from shipper.delivery.disk import Disk
from shipper.delivery.segments import about, first_of
from shipper.delivery.store import Store


@dataclass(frozen=True)
class Stranded:
    """Records that were encoded for another type or shape of output."""

    folder: Path
    said: dict[str, Any]
    bytes: int


def identity(type_name: str, output: Output) -> dict[str, Any]:
    """What pieces on disk have to agree in with the output that is to write them."""
    return {"type": type_name, "pieces": output.piece_version, "shape": output.shape()}


def said_of(folder: Path, disk: Disk) -> tuple[dict[str, Any] | None, int]:
    """What the newest readable segment says of itself, and the bytes of all; None when none says anything."""
    names = sorted((name for name in disk.names(folder) if first_of(name) is not None), reverse=True)
    said: dict[str, Any] | None = None
    size = 0
    for name in names:
        try:
            fd = disk.open(folder / name)
        except OSError:
            continue
        try:
            size += disk.size(fd)
            said = said or about(disk, fd)
        except OSError:
            continue
        finally:
            disk.close(fd)
    return said, size


def find(
    root: Path, mine: dict[str, Any], taken: Collection[Path], disk: Disk | None = None
) -> tuple[Path, list[Stranded]]:
    """The folder below `root` whose records an output can take, else a new one; and those it cannot.

    `taken` are in use, by an output that a reload took out and that still delivers what it holds.
    """
    disk = disk or Disk()
    disk.make_folder(root)
    folders = sorted(root / name for name in disk.names(root) if name.isdigit())
    chosen: Path | None = None
    stranded: list[Stranded] = []
    for folder in folders:
        if folder in taken:
            continue
        said, size = said_of(folder, disk)
        fits = said is None or all(said.get(key) == value for key, value in mine.items())
        if fits and (chosen is None or said is not None):
            chosen = folder
        elif size and said is not None:
            stranded.append(Stranded(folder, said, size))
    number = max((int(folder.name) for folder in [*folders, *taken] if folder.parent == root), default=-1) + 1
    return chosen or root / str(number), stranded


def open_store(
    root: Path, type_name: str, output: Output, limit: int, taken: Collection[Path], set_aside: Callable[[Path], Path]
) -> tuple[Store, list[Stranded]]:
    """An output's buffer, recovered. Synchronous; raises OSError."""
    mine = identity(type_name, output)
    folder, stranded = find(root, mine, taken)
    store = Store(folder, limit, set_aside, said=mine)
    store.open()
    return store, stranded

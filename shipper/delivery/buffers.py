"""Which folder an output's buffer is in, and what lies in others."""

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
class Left:
    """Records that lie in a folder."""

    folder: Path
    said: dict[str, Any]
    bytes: int

    @property
    def output(self) -> str:
        """Name of the output that left them."""
        return self.folder.parent.name


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


def fits(said: dict[str, Any] | None, mine: dict[str, Any]) -> bool:
    """Whether an output of this identity can take what a folder's segments say of themselves."""
    return said is None or all(said.get(key) == value for key, value in mine.items())


def find(root: Path, mine: dict[str, Any], taken: Collection[Path], disk: Disk | None = None) -> Path:
    """The folder below `root` whose records an output can take, else a new one.

    `taken` are in use, by an output that a reload took out and that still delivers what it holds.
    """
    disk = disk or Disk()
    disk.make_folder(root)
    folders = sorted(root / name for name in disk.names(root) if name.isdigit())
    found = [(folder, said_of(folder, disk)[0]) for folder in folders if folder not in taken]
    mines = [(folder, said) for folder, said in found if fits(said, mine)]
    number = max((int(folder.name) for folder in [*folders, *taken] if folder.parent == root), default=-1) + 1
    return next((folder for folder, said in mines if said is not None), mines[0][0] if mines else root / str(number))


def open_store(
    root: Path, type_name: str, output: Output, limit: int, taken: Collection[Path], set_aside: Callable[[Path], Path]
) -> Store:
    """An output's buffer, recovered. Synchronous; raises OSError."""
    mine = identity(type_name, output)
    store = Store(find(root, mine, taken), limit, set_aside, said=mine)
    store.open()
    return store


def left(root: Path, taken: Collection[Path]) -> list[Left]:
    """Every folder with records, of any output below `root`, that nobody has taken."""
    disk = Disk()
    found: list[Left] = []
    for folder in sorted(root.glob("*/*")):
        if folder.name.isdigit() and folder not in taken:
            said, size = said_of(folder, disk)
            if size:
                found.append(Left(folder, said or {}, size))
    return found

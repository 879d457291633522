"""The folder of dead letters: `<component>.ndjson`, and full ones as `<component>@000001.ndjson` and so on, oldest first."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from shipper.errors import ShipperError
from shipper.policy import DeadLetterPolicy

# no component can have an @ in its name, so no file of one is taken for a file of another
NAME = re.compile(r"([^@]+)(?:@(\d+))?\.ndjson")
FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # no link is followed, no pipe is waited for
BLOCK = 256 * 1024
Span = tuple[int, int]


class Full(ShipperError):
    """A component's dead letters take all the room that they may."""


class Busy(ShipperError):
    """Another process is replaying or dropping dead letters."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One file of letters; the current one, which is written to, has no number."""

    component: str
    number: int | None
    size: int

    @property
    def name(self) -> str:
        return f"{self.component}.ndjson" if self.number is None else f"{self.component}@{self.number:06}.ndjson"


class Shelf:
    """Files and nothing else. Everything here blocks: an event loop calls it in a thread.

    The folder is locked (flock) while a file is appended to, renamed or removed, so that an agent and the command
    line can both work on it. Only the agent appends; only who has `alone` rewrites numbered files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def locked(self) -> Iterator[int]:
        """The folder's handle, while nobody else changes which files there are."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For who rewrites files; raise Busy when somebody else does. What an interrupted one left is removed."""
        with self.locked() as folder:
            handle = os.open(".busy", FLAGS | os.O_RDWR | os.O_CREAT, 0o600, dir_fd=folder)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Busy(f"dead letters in {self.folder} are being replayed or dropped by another process") from error
            for left in self.folder.glob(".*.tmp"):
                left.unlink()
            yield
        finally:
            os.close(handle)

    def sheets(self, component: str | None = None) -> list[Sheet]:
        """The files, of one component or of all, the oldest letters of each first. Links and the like are left out."""
        found: list[Sheet] = []
        try:
            entries = sorted(os.scandir(self.folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return []
        for entry in entries:
            parts = NAME.fullmatch(entry.name)
            if not parts or component not in (None, parts[1]):
                continue
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    found.append(Sheet(parts[1], int(parts[2]) if parts[2] else None, status.st_size))
        return sorted(found, key=lambda sheet: (sheet.component, sheet.number is None, sheet.number))

    def append(
        self,
        component: str,
        body: bytes,
        policy: DeadLetterPolicy,
        bounded: bool = True,
        gave_way: Callable[[int], None] = lambda events: None,
    ) -> tuple[int, bool]:
        """Write and fsync some of these lines, the first ones; how many bytes, and whether half a line stood before them.

        Raise Full when there is no room, OSError when the disk refuses; then the file ends where it ended before.
        `gave_way` hears how many letters the oldest file had that made room.
        """
        rotate = max(min(policy.rotate, policy.max_bytes // 4), 1)
        with self.locked() as folder:
            sheets = self.sheets(component)
            chunk = first_lines(body, rotate) or body[: body.index(b"\n") + 1]
            current = next((sheet.size for sheet in sheets if sheet.number is None), 0)
            if current and current + len(chunk) > rotate:
                sheets = self._number(folder, component, sheets)
            if bounded:
                chunk = self._fitting(folder, sheets, chunk, policy, gave_way)
            return len(chunk), write(folder, f"{component}.ndjson", chunk)

    def _fitting(
        self,
        folder: int,
        sheets: list[Sheet],
        chunk: bytes,
        policy: DeadLetterPolicy,
        gave_way: Callable[[int], None],
    ) -> bytes:
        """As much of the chunk as there is room for, once the oldest letters have made some if they shall."""
        used = sum(sheet.size for sheet in sheets)
        while policy.when_full == "drop_oldest" and used + len(chunk) > policy.max_bytes:
            oldest = sheets.pop(0) if sheets else None
            if oldest is None or oldest.number is None:
                break
            events = self._count(oldest)
            os.unlink(oldest.name, dir_fd=folder)
            gave_way(events)
            used -= oldest.size
        if used and used + len(chunk) > policy.max_bytes:  # an empty shelf takes any one letter
            chunk = first_lines(chunk, policy.max_bytes - used)
            if not chunk:
                raise Full(f"they are full with {used} of {policy.max_bytes} bytes in {self.folder}")
        return chunk

    def set_apart(self, component: str) -> list[Sheet]:
        """Number the current file, so that nothing more is written to it; all numbered ones, oldest first."""
        with self.locked() as folder:
            sheets = self.sheets(component)
            return [sheet for sheet in self._number(folder, component, sheets) if sheet.number is not None]

    def _number(self, folder: int, component: str, sheets: list[Sheet]) -> list[Sheet]:
        """The same files once the current one has a number, which is above all there are."""
        current = next((sheet for sheet in sheets if sheet.number is None and sheet.size), None)
        if current is None:
            return sheets
        numbers = [int(parts[2]) for name in os.listdir(folder) if (parts := NAME.fullmatch(name)) and parts[2]
                   and parts[1] == component]  # fmt: skip
        aside = Sheet(component, max(numbers, default=0) + 1, current.size)
        os.rename(current.name, aside.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
        return [*(sheet for sheet in sheets if sheet is not current), aside]

    def open(self, sheet: Sheet) -> int:
        """A handle to read a file with; FileNotFoundError when it is gone meanwhile."""
        return os.open(self.folder / sheet.name, FLAGS | os.O_RDONLY)

    def _count(self, sheet: Sheet) -> int:
        handle = self.open(sheet)
        try:
            return sum(block.count(b"\n") for block in iter(lambda: os.read(handle, BLOCK), b""))
        finally:
            os.close(handle)

    def keep(self, sheet: Sheet, handle: int, spans: Sequence[Span]) -> None:
        """Leave only these spans (of the file as `handle` knows it) in a numbered file, at once and for good."""
        part = f".{sheet.name}.tmp"
        if spans:
            self._copy(handle, spans, self.folder / part)
        with self.locked() as folder:
            if sheet.number in [each.number for each in self.sheets(sheet.component)]:
                if spans:
                    os.rename(part, sheet.name, src_dir_fd=folder, dst_dir_fd=folder)
                else:
                    os.unlink(sheet.name, dir_fd=folder)
                os.fsync(folder)
            elif spans:  # it made room for newer letters meanwhile
                os.unlink(part, dir_fd=folder)

    def _copy(self, handle: int, spans: Sequence[Span], path: Path) -> None:
        path.unlink(missing_ok=True)
        copy = os.open(path, FLAGS | os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            for begin, end in spans:
                while begin < end and (block := os.pread(handle, min(end - begin, BLOCK), begin)):
                    write_all(copy, block)
                    begin += len(block)
            os.fsync(copy)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(copy)


def write(folder: int, name: str, body: bytes) -> bool:
    """Append whole lines to a file and fsync them; whether half a line stood before, which then ends there."""
    handle = os.open(name, FLAGS | os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600, dir_fd=folder)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "no regular file", name)
        size = status.st_size
        torn = bool(size) and os.pread(handle, 1, size - 1) != b"\n"
        if not size:
            os.fsync(folder)  # its name first: a failure behind the letters would have them written twice
        try:
            write_all(handle, b"\n" + body if torn else body)
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)
    return torn


def write_all(handle: int, body: bytes) -> None:
    view = memoryview(body)
    while view:
        view = view[os.write(handle, view) :]


def first_lines(body: bytes, most: int) -> bytes:
    """As many whole lines as fit into so many bytes."""
    return body if len(body) <= most else body[: body.rfind(b"\n", 0, max(most, 0)) + 1]


def some_lines(handle: int, at: int, size: int) -> tuple[list[tuple[int, bytes]], int]:
    """Lines from `at` on with where each begins, about 256 KiB of them, and where the next begins; none at `size`."""
    most = BLOCK
    while True:
        block = os.pread(handle, min(most, size - at), at)
        end = block.rfind(b"\n") + 1
        if end or at + len(block) >= size or len(block) < min(most, size - at):
            break
        most *= 2  # a letter longer than the block
    block = block[: end or len(block)]
    found: list[tuple[int, bytes]] = []
    for line in block.removesuffix(b"\n").split(b"\n") if block else ():
        found.append((at, line))
        at += len(line) + 1
    return found, min(at, size)

"""Small and breakable file systems; whatever happens they are unmounted at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self


def run(*words: str | Path) -> None:
    """A tool that must succeed; its own words in the error."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, words))}: {done.stderr.strip()}"


class Disk:
    """A folder that is a file system of its own while the `with` block lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def mount(self) -> None:
        raise NotImplementedError

    def unmount(self) -> None:
        """Detached at once, even while files are open."""
        if self.folder.is_mount():
            run("umount", "-l", self.folder)

    def __enter__(self) -> Self:
        self.mount()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.unmount()

    @property
    def free(self) -> int:
        return shutil.disk_usage(self.folder).free

    def fill(self, leave: int = 0) -> Path:
        """A file that takes all room but `leave` bytes; removing it frees the room."""
        ballast = self.folder / ".ballast"
        with ballast.open("wb", buffering=0) as file:
            room = self.free - leave
            os.posix_fallocate(file.fileno(), 0, max(1, room))
        return ballast


class SmallDisk(Disk):
    """tmpfs of `size` bytes: `with SmallDisk(tmp_path / "data", 8 << 20) as disk`. Needs `@requires("mount")`."""

    def __init__(self, folder: Path, size: int) -> None:
        super().__init__(folder)
        self.size = size

    def mount(self) -> None:
        run("mount", "-t", "tmpfs", "-o", f"size={self.size},mode=0700", "none", self.folder)

    def resize(self, size: int) -> None:
        """More or less room, at run time (never less than what is used)."""
        run("mount", "-o", f"remount,size={size}", self.folder)

    def protect(self, on: bool = True) -> None:
        """Read-only, or no more. Refused by the kernel while a file is open for writing: tried for a few seconds."""
        for _ in range(200):
            try:
                return run("mount", "-o", f"remount,{'ro' if on else 'rw'}", self.folder)
            except AssertionError:
                time.sleep(0.02)
        raise AssertionError(f"{self.folder} is always open for writing")


class LoopDisk(Disk):
    """ext4 in a file, which writes back only when told (`commit=300,noauto_da_alloc`). Needs `@requires("loop")`.

    `cut(name)` copies what has reached the disk; mounted, the copy is the disk after a power cut. So: `snap =
    disk.cut("snap")`, kill the agent, `disk.unmount()`, then `with snap:` start the agent again on `snap.folder`
    (or mount the copy on the old folder: `disk.restore(snap)`).
    """

    def __init__(self, folder: Path, size: int = 128 << 20, image: Path | None = None) -> None:
        super().__init__(folder)
        self.image = image or folder.with_name(folder.name + ".img")
        self.size = size

    def mount(self) -> None:
        if not self.image.exists():
            with self.image.open("wb") as file:
                file.truncate(self.size)
            run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
        run("mount", "-o", "loop,commit=300,noauto_da_alloc,errors=remount-ro", self.image, self.folder)

    def cut(self, name: str) -> LoopDisk:
        """The power fails now: a disk (not mounted) that holds what had been written to the device."""
        copy = self.image.with_name(f"{name}.img")
        run("cp", "--sparse=always", self.image, copy)
        return LoopDisk(self.folder.with_name(name), self.size, copy)

    def restore(self, snap: LoopDisk) -> None:
        """The folder goes on with the contents of `snap` (the agent must be dead)."""
        self.unmount()
        image = self.image.with_name(f"{self.folder.name}-{snap.image.name}")
        snap.image.rename(image)
        self.image = image
        self.mount()

    def go_read_only(self) -> None:
        """As the kernel does after an error: writes get EROFS, open files too. Only `unmount` and `mount` end it."""
        run("mount", "-o", "remount,abort", self.folder)

"""A data folder belongs to one agent at a time."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from shipper.errors import ShipperError


class Locked(ShipperError):
    """Another process uses the data folder."""


def lock(folder: Path) -> int:
    """Take the folder, made where it is not there yet; the handle that holds it until it is closed, in this process and all
    that it forks. Raises Locked."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "state").mkdir(mode=0o700, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Locked(f"data_dir {folder} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        with suppress(OSError):  # then nobody knows who it is
            holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
        os.close(handle)
        raise Locked(f"data_dir {folder} is in use by process {holder or 'unknown'}") from error
    os.ftruncate(handle, 0)
    with suppress(OSError):  # only for whoever comes second; a full disk is no reason not to start
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle

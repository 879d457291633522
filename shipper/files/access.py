"""Whether a folder lets us make files in it, asked without making any."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["nearest", "unwritable"]


def nearest(path: Path) -> Path:
    """The path itself when it is there, else the nearest folder above it that is."""
    path = path.absolute()
    return next((each for each in (path, *path.parents) if os.path.lexists(each)), Path("/"))


def unwritable(folder: Path) -> str | None:
    """Why no file can be made in a folder (which is made when it is missing), as a sentence; None when one can."""
    there = nearest(folder)
    if not there.is_dir():
        return f"{there} is no folder"
    if os.access(there, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return None
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        return f"{there} is on a file system that is mounted read-only"
    verb = "written to" if there == folder.absolute() else f"written to, and {folder} is to be made in it"
    return f"{there} cannot be {verb} by uid {os.geteuid()}"

"""Where the workers of a data folder keep what is theirs.

Worker 0 has the data folder itself, as a single process has; worker k has `data_dir/workers/<k>`, laid out the same.
What all of them share lies beside those: `count`, `claims`, `moving`, and a socket for each.
"""

from __future__ import annotations

import os
from pathlib import Path


def common(data_dir: Path) -> Path:
    """The folder of what all workers share."""
    return data_dir / "workers"


def folder(data_dir: Path, index: int) -> Path:
    """The data folder of one worker; it need not be there yet."""
    return common(data_dir) / str(index) if index else data_dir


def left(data_dir: Path) -> list[int]:
    """The workers that have a folder, of this run or of one with more of them, in order; 0 always."""
    try:
        names = [entry.name for entry in common(data_dir).iterdir() if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        names = []
    return [0, *sorted(int(name) for name in names if name.isascii() and name.isdecimal() and name[0] != "0")]


def data_dirs(data_dir: Path) -> list[Path]:
    """The data folder and those of all other workers that there are or were."""
    return [folder(data_dir, index) for index in left(data_dir)]


def socket(data_dir: Path, index: int) -> Path:
    """Where a worker answers for itself."""
    return common(data_dir) / f"{index}.sock"


def last_count(data_dir: Path) -> int:
    """How many workers the last run had; 1 when nothing is known. Raises OSError."""
    try:
        text = (common(data_dir) / "count").read_text("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return 1
    # one that cannot be read: every folder may hold positions
    return int(text) if text.isdecimal() and int(text) else len(left(data_dir))


def remember_count(data_dir: Path, count: int) -> None:
    """For the next start, on disk when this returns. Raises OSError."""
    where = common(data_dir)
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = where / "count.new"
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(b"%d\n" % count)
        file.flush()
        os.fsync(handle)
    new.replace(where / "count")

"""The machine: its clock, its limits on open files, the room on its disk."""

from __future__ import annotations

import os
import resource
from datetime import UTC, datetime
from pathlib import Path

from shipper.cli.checks.finding import Finding, ok, problem, warning
from shipper.cli.common import readable
from shipper.clock import Clock
from shipper.config.model import Config
from shipper.files.access import nearest
from shipper.options import Size
from shipper.workers.folders import data_dirs
from shipper.workers.place import waiting

__all__ = ["clock", "cores", "disk", "open_files"]

YEARS = range(2025, 2100)
OURS = 64  # descriptors for what is always there: the log, the loop, the API, positions, dead letters, threads
LITTLE = 64 * 2**20  # bytes that positions, dead letters and the like should always find
INODES = 1000


def clock(now: Clock) -> list[Finding]:
    """A year that can be. Whether it is right to the second, a destination's `Date` tells."""
    moment = datetime.fromtimestamp(now.time(), UTC)
    if moment.year in YEARS:
        return [ok("clock", f"{moment:%Y-%m-%dT%H:%M:%SZ}")]
    fix = "set the clock and keep it right with NTP: events without a time of their own get this one, certificates fail"
    return [problem("clock", f"the year {moment.year}", fix)]


def open_files(files: int, connections: int, limit: int | None = None) -> list[Finding]:
    """The soft limit against what the configuration may use: files that match, and connections in and out."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit
    need = files + connections + OURS
    if limit == resource.RLIM_INFINITY or limit >= need:
        return [ok("open files", f"the limit is {limit}, this configuration may use {need}")]
    found = f"the limit is {limit}, this configuration may use {need} ({files} files, {connections} connections)"
    fix = f"LimitNOFILE={need} in the unit, or `ulimit -n {need}`; below it files are opened in turn and peers wait"
    return [warning("open files", found, fix)]


def cores(config: Config, usable: int | None = None) -> list[Finding]:
    """Workers against the cores that there are for them; and what workers of an earlier run still hold."""
    found: list[Finding] = []
    count, usable = config.workers, usable or len(os.sched_getaffinity(0))
    if count > usable:
        fix = "workers: auto, or fewer: each of them costs memory and takes a part of `memory_limit`"
        found.append(warning("workers", f"{count} processes for {usable} usable cores", fix))
    folder = Path(config.data_dir)
    idle = [each for each in data_dirs(folder)[1:] if int(each.name) >= count and waiting(each)]
    if idle:
        text = f"{', '.join(map(str, idle))}: buffers of an earlier run with more workers are not empty"
        found.append(ok("workers", f"{text}; a start empties them"))
    return found if found or count == 1 else [ok("workers", f"{count} processes for {usable} usable cores")]


def disk(config: Config, room: os.statvfs_result | None = None) -> list[Finding]:
    """What the disk buffers may take, and what is left for them, in bytes and inodes. The folder need not be there yet."""
    folder = Path(config.data_dir)
    what = f"disk of {folder}"
    room = room or os.statvfs(nearest(folder))
    free = room.f_bavail * room.f_frsize
    caps = sum(spec.delivery.buffer.disk for spec in config.outputs.values())
    left = max(caps - sum(_size(each / "buffers") for each in data_dirs(folder)), 0)
    found: list[Finding] = []
    if free < LITTLE:
        fix = f"make room, or move data_dir; below {Size(LITTLE)} positions and dead letters may find none"
        found.append(problem(what, f"{readable(free)} free", fix))
    elif free < left:
        fix = "make room, or lower `delivery.buffer.disk`; a full disk loses nothing but presses back on the inputs"
        found.append(warning(what, f"{readable(free)} free, the buffers may take {readable(left)} more", fix))
    if room.f_files and room.f_favail < INODES:  # some file systems have no number of inodes
        found.append(problem(what, f"{room.f_favail} inodes free", "remove small files, or move data_dir"))
    return found or [ok(what, f"{readable(free)} free, the buffers may take {readable(left)} more")]


def _size(folder: Path) -> int:
    """Bytes of the files below a folder, as far as one may look."""
    total = 0
    for inside, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(inside, name)).st_size  # noqa: PTH118  (there may be many)
            except OSError:
                continue  # gone meanwhile
    return total

"""Whose the data folder is, who may look into it, and who may change what runs: configuration and plugins."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from shipper.cli.checks.finding import Finding, ok, problem, warning
from shipper.config.model import Config
from shipper.config.walk import walk
from shipper.files.access import nearest, unwritable
from shipper.files.survey import holder

__all__ = ["data_dir", "sources"]

WHAT = "data_dir"
SHOWN = 3


def data_dir(folder: Path, me: int | None = None) -> list[Finding]:
    """Ours alone, and writable; what lies in it, too. `me` is the user id that asks."""
    me = os.geteuid() if me is None else me
    why = unwritable(folder)
    if why is not None:
        fix = f"chown -R the user that runs shipper {folder}, or set data_dir to a folder of its own"
        return [problem(WHAT, why, fix)]
    if not folder.exists():
        return [ok(WHAT, f"{folder} will be made in {nearest(folder)}")]
    found: list[Finding] = []
    info = folder.stat()
    if info.st_uid != me:
        fix = f"run doctor as the user that runs shipper: sudo -u '#{info.st_uid}' shipper doctor"
        found.append(warning(WHAT, f"{folder} belongs to uid {info.st_uid}, and uid {me} asks", fix))
    if mode := stat.S_IMODE(info.st_mode) & 0o077:
        who = "anybody" if mode & 0o007 else "the group"
        level = problem if mode & 0o022 else warning
        does = "change" if mode & 0o022 else "look into"
        found.append(
            level(WHAT, f"{who} may {does} {folder} ({stat.S_IMODE(info.st_mode):04o})", f"chmod 700 {folder}")
        )
    foreign, open_ = _odd(folder, info.st_uid)
    if foreign:
        fix = f"chown -R {info.st_uid} {folder}; perhaps shipper was once run as another user"
        found.append(problem(WHAT, f"{_some(foreign)} belong to other users than {folder}", fix))
    if open_:
        found.append(warning(WHAT, f"{_some(open_)} can be read by others", f"chmod -R go= {folder}"))
    pid = holder(folder / "lock")
    state = f"in use by process {pid}" if pid else "not in use"
    return found or [ok(WHAT, f"{folder} is ours alone, {state}")]


def _odd(folder: Path, owner: int) -> tuple[list[Path], list[Path]]:
    """What belongs to somebody else, and what others may read although the folders above it let them in."""
    foreign, readable = [], []
    closed = not stat.S_IMODE(folder.stat().st_mode) & 0o011
    for inside, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(inside, name)
            try:
                info = path.lstat()
            except OSError:
                continue  # gone meanwhile
            if info.st_uid != owner:
                foreign.append(path)
            if not closed and info.st_mode & 0o044 and not stat.S_ISLNK(info.st_mode):
                readable.append(path)
    return foreign, readable


def sources(config: Config) -> list[Finding]:
    """Files that decide what runs: who may write them, or put others in their place, runs what he likes, as the agent."""
    paths = {Path(file).resolve() for file in config.files}
    for folder in config.settings.plugins:
        paths |= {folder.resolve(), *(file.resolve() for file in folder.rglob("*.py"))}
    paths |= _code(config)
    loose = [path for path in sorted(paths) if path.stat().st_mode & 0o002]
    around = sorted({path.parent for path in paths} - paths)
    loose += [path for path in around if path.stat().st_mode & (0o002 | stat.S_ISVTX) == 0o002]
    if loose:
        fix = "chmod o-w them: whoever changes them decides what runs, as the agent's user"
        return [problem("configuration", f"{_some(loose)} can be written by anybody", fix)]
    return [ok("configuration", f"{len(paths)} files and folders, none can be written by everybody")]


def _code(config: Config) -> set[Path]:
    """Python files that options name."""
    found: set[Path] = set()
    for spec in config.filters.values():
        found |= {
            value.resolve() for _, value in walk(spec.make()) if isinstance(value, Path) and value.suffix == ".py"
        }
    return {path for path in found if path.exists()}


def _some(paths: Iterable[Path]) -> str:
    names = [str(path) for path in paths]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more

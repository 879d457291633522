"""Inputs that read files: what their patterns match, whether that can be read, and whether the system will tell of more.

An input is one of these when it has an option `include` with patterns (and perhaps `exclude`), as `file` has.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from shipper.cli.checks.finding import PATIENCE, Finding, ok, problem, warning
from shipper.clock import Clock
from shipper.component import Input
from shipper.files.access import nearest
from shipper.files.discovery import Discovery

__all__ = ["Matched", "inotify", "matched"]

LIMITS = Path("/proc/sys/fs/inotify")
SHOWN = 5


@dataclass
class Matched:
    """What the patterns of one input find."""

    files: int = 0
    bases: dict[str, bool] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def matched(name: str, component: Input, data_dir: Path, clock: Clock) -> Matched | None:
    """Every file opened and closed; None for an input that reads no files."""
    include, exclude = getattr(component, "include", None), getattr(component, "exclude", None)
    if not isinstance(include, list):
        return None
    what = f"inputs.{name}"
    barred: dict[str, OSError] = {}
    looking = Discovery(include, exclude or [], barred.__setitem__, str(data_dir.absolute()))
    seen = Matched(bases=looking.bases())
    deadline = clock.monotonic() + PATIENCE * 0.8
    whole = True
    for path in looking.paths():
        try:
            regular = _read(path)
        except FileNotFoundError:
            continue  # a link to nowhere, or gone meanwhile
        except OSError as error:
            barred[path] = error
            continue
        seen.files += regular
        if clock.monotonic() > deadline:
            whole = False
            break
    seen.findings = [_barred(what, path, error) for path, error in list(barred.items())[:SHOWN]]
    if len(barred) > SHOWN:
        seen.findings.append(problem(what, f"{len(barred) - SHOWN} more cannot be read", "the same for them"))
    missing = [base for base in seen.bases if not os.path.lexists(base) and not _above(base, barred)]
    if missing:
        text = f"{', '.join(missing)}: there is no such folder yet"
        seen.findings.append(warning(what, text, "make it, or correct `include`"))
    elif not seen.files and not barred:
        seen.findings.append(warning(what, "no file matches", "nothing, if they will come; else correct `include`"))
    if seen.files and not barred:
        seen.findings.append(ok(what, f"{seen.files}{'' if whole else ' or more'} files match and can be read"))
    return seen


def _read(path: str) -> bool:
    """Whether it is a regular file; OSError when it cannot be opened. A pipe or device is never opened."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  (names need not be text)
        return False
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))
    return True


def _above(path: str, barred: Iterable[str]) -> bool:
    return any(path == each or path.startswith(each.rstrip("/") + "/") for each in barred)


def _barred(what: str, path: str, error: OSError) -> Finding:
    me = os.geteuid()
    folder = os.path.isdir(path)  # noqa: PTH112
    shown = os.fsencode(path).decode("utf-8", "replace")
    right = "rx" if folder else "r"
    fix = f"give uid {me} the right: setfacl -m u:{me}:{right} {shown}, or its group"
    if not folder and nearest(Path(path)) != Path(path).absolute():
        fix = f"let uid {me} search the folders above it (x)"
    verb = "searched" if folder else "read"
    return problem(what, f"{shown} cannot be {verb}: {(error.strerror or str(error)).lower()}", fix)


def inotify(all_bases: Iterable[dict[str, bool]], limits: Path = LIMITS) -> list[Finding]:
    """An instance for each folder in which files can appear, a watch for each folder below it that matters."""
    try:
        watches, instances = (int((limits / f"max_user_{what}").read_text()) for what in ("watches", "instances"))
    except (OSError, ValueError):
        return [warning("inotify", "the system says no limits", "nothing: new files are found by looking")]
    bases = [(base, deep) for each in all_bases for base, deep in each.items() if base != "/"]
    need = 0
    for base, deep in bases:
        need += 1
        for _, folders, _ in os.walk(base) if deep else ():
            need += len(folders)
            if need > watches:
                break
    found = []
    fix = "sysctl {0}={1}; without it new files are found at the next look, `poll_interval` later"
    for what, have, used in (("max_user_watches", watches, need), ("max_user_instances", instances, len(bases))):
        if used > have * 0.8:
            amount = f"{'more than ' if used > have else ''}{min(used, have)}"
            key = f"fs.inotify.{what}"
            found.append(warning("inotify", f"{key} is {have}, and {amount} are needed", fix.format(key, used * 4)))
    return found or [ok("inotify", f"{need} of {watches} watches, {len(bases)} of {instances} instances are needed")]

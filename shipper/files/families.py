"""What all names have in common that one log gets by rotation, so that whoever reads the log reads its old files too.

Decided from names alone, so that processes that look at different moments agree. Two logs in one family only share a
reader; one log in two families could be read twice. So what looks like a rotation is taken for one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import lru_cache

There = Callable[[str], bool]
"""Whether a path is one that is read, and exists now."""

_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_YEARS = [
    *(f"{_YEAR}{between}{_MONTH}{between}{_DAY}" for between in ("", "-", "_", r"\.")),
    f"{_YEAR}-{_MONTH}",
    rf"{_YEAR}-?W[0-5]\d",
]
_DATES = [
    *_YEARS,
    *(f"{_DAY}{between}{_DAY}{between}{_YEAR}" for between in ("-", "_", r"\.")),  # 08-01-2026, 31.12.2026
]
_NEXT = rf"(?![-_:., T]{{0,2}}(?:{'|'.join(_YEARS)}))"
"""Not what belongs to the day of another rotation."""
_TIME = (
    rf"(?:{_NEXT}[-_. T]{{0,2}}(?:[01]\d|2[0-4])(?:{_NEXT}[-_:.]?[0-5]\d){{0,2}}(?:{_NEXT}[-_.,]\d{{3,9}})?)?"
    rf"(?:Z|{_NEXT}[-+](?:[01]\d|2[0-3]):?[0-5]\d)?"
)
_COUNTED = rf"(?:{_NEXT}[-._]\d{{1,6}}){{0,2}}"
_STAMP = rf"(?:(?<!\d)(?:{'|'.join(_DATES)}){_TIME}|(?:(?<=[-._])|^)1[4-9]\d{{8}}(?:\d{{3}}|\d{{6}})?){_COUNTED}"
"""A day and perhaps a time, or seconds (milliseconds, microseconds) since 1970, and a counter behind."""

_STAMPED = re.compile(rf"^{_STAMP}(?![0-9a-zA-Z])[-._]*|[-._]*{_STAMP}(?=[-._]|$)")
_TAI64N = re.compile(r"@[0-9a-fA-F]{24}\.[su]")
_PACKED = re.compile(r"\.(?:gz|zst|zstd|xz|bz2|lz4|lzma|lz|zip|br|sz|Z)$")
_KEPT = re.compile(r"(?:[-._](?:old|bak|backup|orig|prev|previous|save|saved|rotated|archived)|~)$")
_NUMBERED = re.compile(
    r"(?:(?<=\.(?:log|txt|out|err|csv))|(?<=\.json)|(?<=\.jsonl)|(?<=\.ndjson))[-_.]\d{1,4}$"
    r"|(?<=[^-._])\.\d{1,4}$"
)
_DOUBLED = re.compile(r"(\.[A-Za-z]\w*)\1$")
"""`app.log.2026-08-01.log` without its day."""
_INSIDE = re.compile(r"(.*[^-._])[-._]\d{1,4}(\.[A-Za-z]\w*)")


@lru_cache(maxsize=2**14)
def _named(name: str) -> str:
    """A file's name without what rotations add to it."""
    before = None
    while name != before:
        before = name
        packed = _PACKED.sub("", name) or name
        if _TAI64N.fullmatch(packed):  # what multilog and svlogd make of it
            return "current"
        name = _KEPT.sub("", packed) or packed
        name = _DOUBLED.sub(r"\1", _STAMPED.sub("", name))
        numbered = _NUMBERED.sub("", name)
        if any(map(str.isalpha, numbered)):  # an address such as 10.0.0.1 is a name
            name = numbered
    return name


def lineage(path: str, there: There | None = None) -> list[str]:
    """The names under which its log may be written now, the nearest first; the last is that of its family.

    A number before the ending (`app.1.log`, `worker-1.log`) is a rotation's only when the name without it is `there`.
    """
    folder, slash, name = path.rpartition("/")
    names = [f"{folder}{slash}{_named(name)}"]
    inside = _INSIDE.fullmatch(os.path.basename(names[0])) if there is not None else None  # noqa: PTH119 (names need not be text)
    if there is not None and inside is not None and there(other := f"{folder}{slash}{inside[1]}{inside[2]}"):
        names.append(other)
    return names


def family(path: str, there: There | None = None) -> str:
    """The same for all names that one log gets by rotation, and another for another log."""
    return lineage(path, there)[-1]

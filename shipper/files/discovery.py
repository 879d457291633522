"""Which files there are: globs with `**`, and excludes that win.

In a pattern `*` and `?` stay inside one name and leave out names that begin with a dot, as in a shell; `**`
stands for any number of folders; `[...]` is a set. An exclude without a leading slash is matched with the end
of a path: `*.gz` by name, `old/*.log` by folder and name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

MAGIC = re.compile(r"[*?\[]")
Trouble = Callable[[str, OSError], None]
Enter = Callable[[str], bool]
"""Whether to look into a folder that is a link, or lies behind a wildcard."""


TOKEN = re.compile(r"\*+|\?|\[!?+(?:\][^\]]*|[^\]]+)\]|.", re.DOTALL)
_MEMBER = re.compile(r"(.)-(.)|(.)", re.DOTALL)


def _part(pattern: str) -> str:
    """One part of a pattern as an expression for one name."""
    pieces = []
    for found in TOKEN.findall(pattern):
        if found[0] == "*":
            pieces.append("[^/]*")
        elif found == "?":
            pieces.append("[^/]")
        elif len(found) > 1:
            pieces.append(_set(found[1:-1]))
        else:
            pieces.append(re.escape(found))
    return "".join(pieces)


def _set(inside: str) -> str:
    """What stands in brackets; a range that goes backwards is empty, as in a shell."""
    members = "".join(
        re.escape(one) if one else f"{re.escape(low)}-{re.escape(high)}"
        for low, high, one in _MEMBER.findall(inside.removeprefix("!"))
        if one or low <= high
    )
    if inside.startswith("!"):
        return f"[^/{members}]"
    return f"(?!/)[{members}]" if members else "(?!)"


@lru_cache(maxsize=512)
def name_pattern(pattern: str) -> re.Pattern[str]:
    """One part of a pattern, for whole names."""
    hidden = r"(?!\.)" if MAGIC.match(pattern) else ""
    return re.compile(hidden + _part(pattern), re.DOTALL)


def _exclusion(pattern: str) -> str:
    """A pattern as an expression for whole paths; here dots are nothing special."""
    *folders, last = pattern.removeprefix("./").split("/")
    pieces = ["(?:[^/]+/)*" if part == "**" else _part(part) + "/" for part in folders]
    pieces.append(".*" if last == "**" else _part(last))
    return ("" if pattern.startswith("/") else "(?:.*/)?") + "".join(pieces)


def _fixed(parts: list[str]) -> int:
    """How many parts of a pattern are folders by name."""
    return next((index for index, part in enumerate(parts) if MAGIC.search(part)), len(parts) - 1)


def _base(parts: list[str]) -> str:
    return "/" + "/".join(parts[: _fixed(parts)])


def _barred(parts: list[str], own: str) -> str:
    """How paths begin that a pattern finds in `own` only because a wildcard leads there; empty for none."""
    return f"{own}/" if own.startswith(_base(parts).rstrip("/") + "/") else ""


class Discovery:
    """Finds the files of some patterns, again and again. What cannot be looked into goes to `trouble`.

    `own` is a folder into which no wildcard leads; a pattern that names it finds what is there. Folders that are links
    are looked into when `enter` says so.
    """

    def __init__(
        self,
        include: Iterable[str],
        exclude: Sequence[str],
        trouble: Trouble,
        own: str = "",
        enter: Enter = lambda path: True,
    ) -> None:
        self.patterns = [os.path.abspath(os.path.expanduser(pattern)).split("/")[1:] for pattern in include]  # noqa: PTH100, PTH111 (Path.absolute keeps `..`)
        excluded = "|".join(f"(?:{_exclusion(each)})" for each in exclude)
        self._excluded = re.compile(excluded, re.DOTALL) if excluded else None
        self._trouble = trouble
        self._enter = enter
        self._barred = [_barred(parts, own) for parts in self.patterns]

    def bases(self) -> dict[str, bool]:
        """The folders in which files can appear, and whether their subfolders matter; none lies in another."""
        found: dict[str, bool] = {}
        for parts in self.patterns:
            fixed = _fixed(parts)
            base = _base(parts)
            found[base] = found.get(base, False) or fixed < len(parts) - 1
        return {
            base: deep
            for base, deep in found.items()
            if not any(found[other] and base != other and base.startswith(other.rstrip("/") + "/") for other in found)
        }

    def named(self) -> set[str]:
        """The folders in front of the first wildcards."""
        return {_base(parts) for parts in self.patterns}

    def excluded(self, path: str) -> bool:
        return self._excluded is not None and self._excluded.fullmatch(path) is not None

    def matches(self, path: str) -> bool:
        """Whether a path is one that `paths` gives if it is there; patterns with `**` are not asked."""
        names = path.split("/")[1:]
        for parts, barred in zip(self.patterns, self._barred, strict=True):
            if len(parts) != len(names) or "**" in parts or (barred and path.startswith(barred)):
                continue
            if all(name_pattern(part).fullmatch(name) for part, name in zip(parts, names, strict=True)):
                return not self.excluded(path)
        return False

    def paths(self) -> Iterator[str]:
        """Every path that matches, each once; whether it is there and of what kind, nobody has asked yet."""
        if len(self.patterns) == 1 and self._excluded is None and not self._barred[0]:
            yield from self._walk("/", self.patterns[0], frozenset())
            return
        seen: set[str] = set()
        for parts, barred in zip(self.patterns, self._barred, strict=True):
            for path in self._walk("/", parts, frozenset()):
                if path not in seen and not self.excluded(path) and not (barred and path.startswith(barred)):
                    seen.add(path)
                    yield path

    def _walk(self, folder: str, parts: list[str], above: frozenset[tuple[int, int]]) -> Iterator[str]:
        fixed = 0
        while fixed < len(parts) and not MAGIC.search(parts[fixed]):
            fixed += 1
        behind = folder != "/" and fixed > 0
        folder = os.path.join(folder, *parts[:fixed])  # noqa: PTH118 (names need not be text, and there are many)
        parts = parts[fixed:]
        if behind and parts and not self._enter(folder):
            return
        if not parts:
            yield folder
            return
        first, rest = parts[0], parts[1:]
        if first == "**":
            yield from self._deep(folder, rest or ["*"], above)
            return
        match = name_pattern(first).fullmatch
        if not rest:
            yield from (entry.path for entry in self._entries(folder) if match(entry.name))
            return
        for entry in self._entries(folder):
            if match(entry.name) and self._is_folder(entry):
                yield from self._walk(entry.path, rest, above)

    def _deep(self, folder: str, rest: list[str], above: frozenset[tuple[int, int]]) -> Iterator[str]:
        """Here and in every folder below; a link that leads back to a folder above it is not followed."""
        try:
            info = Path(folder).stat()
        except OSError as error:
            self._missing(folder, error)
            return
        here = (info.st_dev, info.st_ino)
        if here in above:
            return
        above |= {here}
        yield from self._walk(folder, rest, above)
        for entry in self._entries(folder):
            if not entry.name.startswith(".") and self._is_folder(entry):
                yield from self._deep(entry.path, rest, above)

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except OSError as error:
            self._missing(folder, error)
            return []

    def _is_folder(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.is_dir() and (not entry.is_symlink() or self._enter(entry.path))
        except OSError as error:
            self._missing(entry.path, error)
            return False

    def _missing(self, path: str, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            self._trouble(path, error)

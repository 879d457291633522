"""Can a path that a template gives be one that a pattern finds? Decided from the texts alone, without a file system."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Literal

from shipper.files.confined import HOLE as IN_TEMPLATE
from shipper.files.discovery import MAGIC, TOKEN, Discovery, name_pattern

HOLE = "\0"
"""Stands in a path for what events decide: one character or more, none of them a slash."""
SAMPLE = "\ue000"
"""A value that no pattern names: what finds it finds every value."""

Verdict = Literal["no", "perhaps", "yes"]


def holes(template: str) -> str:
    """A template's text with a HOLE for each field; of a time each part of its form is one."""

    def put(found: re.Match[str]) -> str:
        text = found[0]
        if text in ("{{", "}}"):
            return text[0]
        form = text.partition(":%")[2]
        return re.sub(r"%-?.", HOLE, "%" + form[:-1]) if form else HOLE

    return IN_TEMPLATE.sub(put, template)


def finds(discovery: Discovery, path: str) -> Verdict:
    """Whether the patterns find this path, in which HOLE stands for what nobody knows yet: always, for some values, or never."""
    sample = path.replace(HOLE, SAMPLE)
    if discovery.excluded(sample):
        return "no"
    patterns = [tuple(parts) for parts in discovery.patterns]
    if any(_path(parts, tuple(sample.split("/")[1:]), True) for parts in patterns):
        return "yes"
    return "perhaps" if any(_path(parts, tuple(path.split("/")[1:]), False) for parts in patterns) else "no"


@lru_cache(maxsize=1024)
def _path(parts: tuple[str, ...], names: tuple[str, ...], sure: bool) -> bool:
    """Part by part; `sure`: the names have no holes."""
    if not parts:
        return not names
    if parts[0] == "**":
        deeper = len(names) > 1 and not names[0].startswith(".") and _path(parts, names[1:], sure)
        return deeper or _path(parts[1:] or ("*",), names, sure)
    if not names:
        return False
    fits = name_pattern(parts[0]).fullmatch(names[0]) is not None if sure else _name(parts[0], names[0])
    return fits and _path(parts[1:], names[1:], sure)


def _name(pattern: str, name: str) -> bool:
    """Whether some text fits both."""
    if MAGIC.match(pattern) and name.startswith("."):
        return False
    tokens = TOKEN.findall(pattern)

    @cache
    def meet(left: int, right: int) -> bool:
        if left == len(tokens):
            return right == len(name)
        if tokens[left][0] == "*":
            return meet(left + 1, right) or (right < len(name) and meet(left, right + 1))
        if right == len(name):
            return False
        if name[right] == HOLE:
            return meet(left + 1, right) or meet(left + 1, right + 1)
        one = re.fullmatch(name_pattern(tokens[left]).pattern.removeprefix(r"(?!\.)"), name[right], re.DOTALL)
        return one is not None and meet(left + 1, right + 1)

    return meet(0, 0)

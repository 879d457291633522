"""What there is in the dead letters: each of them, and all of them in a few numbers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from shipper.delivery.letters import decode_letter
from shipper.delivery.shelf import Sheet, Shelf, Span, some_lines
from shipper.pipeline.observe import short

Accepts = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Found:
    """A line of a file, and the letter on it; None for half a line and the like."""

    span: Span
    line: bytes
    letter: dict[str, Any] | None


@dataclass
class Summary:
    """The letters of one component."""

    component: str
    files: int = 0
    bytes: int = 0
    count: int = 0
    damaged: int = 0
    oldest: str | None = None
    newest: str | None = None
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, letter: dict[str, Any]) -> None:
        self.count += 1
        self.reasons[short(str(letter.get("reason")))] += 1
        time = str(letter.get("time"))
        self.oldest = min(self.oldest or time, time)
        self.newest = max(self.newest or time, time)


def components(shelf: Shelf) -> list[str]:
    """Those that have letters, by name."""
    return sorted({sheet.component for sheet in shelf.sheets() if sheet.size})


def inside(handle: int) -> Iterator[Found]:
    """Every line of an open file; empty ones are left out."""
    at, size = 0, os.fstat(handle).st_size
    while True:
        lines, end = some_lines(handle, at, size)
        if not lines:
            return
        for begin, line in lines:
            if line.strip():
                yield Found((begin, min(begin + len(line) + 1, size)), line, decode_letter(line))
        at = end


def letters(shelf: Shelf, component: str) -> Iterator[tuple[Sheet, Found]]:
    """Every line of a component's files, the oldest first; a file that goes away meanwhile is left out."""
    for sheet in shelf.sheets(component):
        with suppress(FileNotFoundError):
            handle = shelf.open(sheet)
            try:
                for found in inside(handle):
                    yield sheet, found
            finally:
                os.close(handle)


def survey(shelf: Shelf, component: str, accepts: Accepts | None = None) -> Summary:
    """Count the letters, or those that are accepted."""
    sheets = shelf.sheets(component)
    summary = Summary(component, len(sheets), sum(sheet.size for sheet in sheets))
    for _, found in letters(shelf, component):
        if found.letter is None:
            summary.damaged += 1
        elif accepts is None or accepts(found.letter):
            summary.add(found.letter)
    return summary


def discard(shelf: Shelf, component: str, accepts: Accepts | None = None) -> int:
    """Take out of the files the letters that are accepted, or all and what is damaged too; how many letters.

    For who has the shelf `alone`; an agent may go on writing.
    """
    gone = 0
    for sheet in shelf.set_apart(component):
        with suppress(FileNotFoundError):
            handle = shelf.open(sheet)
            try:
                kept: list[Span] = []
                before = gone
                for found in inside(handle):
                    letter = found.letter
                    if accepts is not None and (letter is None or not accepts(letter)):
                        kept.append(found.span)
                    else:
                        gone += letter is not None
                if gone > before or not kept:
                    shelf.keep(sheet, handle, kept)
            finally:
                os.close(handle)
    return gone

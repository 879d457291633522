"""Lines taken apart by a user's regular expression with named groups."""

from __future__ import annotations

import re

from shipper.batch import Event
from shipper.text.formats.lines import Found, Reader, reader
from shipper.text.patience import LONG, PATIENCE, Guard, Patience, Ticking, TooSlow, has_longer
from shipper.text.patterns import LONGEST, chunk_pattern

__all__ = ["by_pattern"]

TOO_LONG = f"more than the {LONGEST} characters that a pattern is tried on"


def by_pattern(pattern: re.Pattern[str], patience: Patience = PATIENCE) -> Reader:
    """Searches each line; the fields are the named groups, but for those that are empty.

    A line longer than 64 KiB is not searched: `re` holds the interpreter while it works. All lines are searched in
    one call where the pattern allows it (`chunk_pattern`). A risky pattern runs against the clock (`patience`), on
    lines of up to 8 KiB. What was not read for its length or its time is in the reader's `slow`.
    """
    groups = sorted(pattern.groupindex.items(), key=lambda item: item[1])
    names = tuple(name for name, _ in groups)
    search = pattern.search
    guard = Guard(pattern, patience=patience)
    longest, slow = guard.longest, dict[str, str]()

    def fields(text: str) -> Event | None:
        found = search(text)
        if not found:
            return None
        return {name: value for name, value in found.groupdict().items() if value} or None

    def line(text: str) -> Event | None:
        if len(text) > longest:
            slow[text] = LONG if guard.risky else TOO_LONG
            return None
        try:
            return guard.one(fields, text)
        except TooSlow as error:
            slow[text] = str(error)
            return None

    def each(text: str) -> Found:
        return [line(one) for one in text.split("\n")]

    def patiently(text: str) -> Found:
        with Ticking():
            return each(text)

    def together(text: str) -> Found:
        return [fields(one) for one in text.split("\n")]

    def watched(text: str) -> Found:
        if not guard.risky:
            return each(text) if has_longer(text, longest) else rows(text)
        if has_longer(text, longest):
            return patiently(text)
        try:
            return guard.chunk(rows, text)
        except TooSlow:
            return patiently(text)

    whole = chunk_pattern(pattern)
    if whole is None or not names:
        rows = together
        return reader(line, watched, slow)
    findall, width = whole.findall, whole.groups
    # a row that is full but for its last group is one that fits; with one group a row without a match looks so, too
    named_only = len(names) == width - 1 > 1
    places = tuple(place - 1 for _, place in groups)
    blank = ("",) * width

    def odd(row: tuple[str, ...]) -> Event | None:
        if row[-1]:  # the whole of a line that does not fit
            return None
        return {name: row[place] for name, place in zip(names, places, strict=True) if row[place]} or None

    def chunk(text: str) -> Found:
        found = findall(text)
        # fewer rows than lines: a match reached into the next line; a row of nothing: only the line can tell
        if width == 1 or len(found) != text.count("\n") + 1 or blank in found:
            return together(text)
        if named_only:
            return [dict(zip(names, row)) if row.count("") == 1 else odd(row) for row in found]  # noqa: B905
        return [odd(row) for row in found]

    rows = chunk
    return reader(line, watched, slow)

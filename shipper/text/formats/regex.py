"""Lines taken apart by a user's regular expression with named groups."""

from __future__ import annotations

import re

from shipper.batch import Event
from shipper.text.formats.lines import Found, Reader, by_line, reader
from shipper.text.patterns import LONGEST, chunk_pattern

__all__ = ["by_pattern"]


def by_pattern(pattern: re.Pattern[str]) -> Reader:
    """Searches each line; the fields are the named groups, but for those that are empty.

    A line longer than 64 KiB is not searched: `re` holds the interpreter while it works. All lines are searched in
    one call where the pattern allows it (`chunk_pattern`).
    """
    groups = sorted(pattern.groupindex.items(), key=lambda item: item[1])
    names = tuple(name for name, _ in groups)
    search = pattern.search

    def line(text: str) -> Event | None:
        if len(text) > LONGEST:
            return None
        found = search(text)
        if not found:
            return None
        return {name: value for name, value in found.groupdict().items() if value} or None

    whole = chunk_pattern(pattern)
    if whole is None or not names:
        return reader(line)
    each = by_line(line)
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
        if len(text) > LONGEST and max(map(len, text.split("\n"))) > LONGEST:
            return each(text)
        rows = findall(text)
        # fewer rows than lines: a match reached into the next line; a row of nothing: only the line can tell
        if width == 1 or len(rows) != text.count("\n") + 1 or blank in rows:
            return each(text)
        if named_only:
            return [dict(zip(names, row)) if row.count("") == 1 else odd(row) for row in rows]  # noqa: B905
        return [odd(row) for row in rows]

    return reader(line, chunk)

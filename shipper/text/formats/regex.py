"""Lines taken apart by a user's regular expression with named groups."""

from __future__ import annotations

import re

from shipper.batch import Event
from shipper.text.formats.lines import Found, Reader, reader, with_gaps
from shipper.text.formats.rows import by_name, by_names
from shipper.text.patience import LONG, PATIENCE, Guard, Patience, Ticking, TooSlow
from shipper.text.patterns import LONGEST

__all__ = ["by_pattern"]

TOO_LONG = f"more than the {LONGEST} characters that a pattern is tried on"
GROUPS = re.Match.groups


def by_pattern(pattern: re.Pattern[str], patience: Patience = PATIENCE) -> Reader:
    """Searches each line; the fields are the named groups, but for those that are empty.

    A line longer than 64 KiB is not searched: `re` holds the interpreter while it works. A risky pattern runs against
    the clock (`patience`), on lines of up to 8 KiB. What was not read for its length or its time is in the reader's `slow`.
    """
    groups = {place: name for name, place in pattern.groupindex.items()}
    names = [groups.get(place) for place in range(1, pattern.groups + 1)]
    event = by_name(names)
    events = by_names(names, lambda row: event(row) or None)
    # `match` gives up where `search` would try `^` at every place of the line
    search = pattern.match if pattern.pattern.startswith("^") and "|" not in pattern.pattern else pattern.search
    guard = Guard(pattern, patience=patience)
    longest, slow = guard.longest, dict[str, str]()

    def fields(text: str) -> Event | None:
        found = pattern.search(text)
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

    def patiently(lines: list[str]) -> Found:
        with Ticking():
            return list(map(line, lines))

    def together(lines: list[str]) -> Found:
        # one call of `findall` for all lines takes as long, as what keeps `[^"]*` within its line costs more than calls
        found = list(map(search, lines))
        made = events(map(GROUPS, filter(None, found)))
        if len(made) == len(found):
            return made
        return with_gaps(made, [at for at, match in enumerate(found) if match is None])

    def watched(lines: list[str]) -> Found:
        bounded = max(map(len, lines)) <= longest
        if not guard.risky:
            return together(lines) if bounded else list(map(line, lines))
        if not bounded:
            return patiently(lines)
        try:
            return patience.chunk(sum(map(len, lines)), lambda: together(lines))
        except TooSlow:
            return patiently(lines)

    return reader(line, watched, slow)

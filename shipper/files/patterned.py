"""Lines that belong together, told by a pattern of the user."""

from __future__ import annotations

import re
from typing import ClassVar

from shipper.text.patience import Guard, Ticking, has_longer
from shipper.text.patterns import TooSlow, line_pattern

__all__ = ["Patterned"]


class Patterned:
    """Events begin at the lines in which a pattern is found (in their first 64 KiB), or at all others.

    A risky pattern is searched in their first 8 KiB, against the clock; a line on which it takes too long begins an event.
    """

    open: ClassVar[bool] = True

    def __init__(self, pattern: re.Pattern[str], starts: bool) -> None:
        self._search = pattern.search
        self._starts = starts
        self._whole = line_pattern(pattern)
        self._guard = Guard(pattern)
        self._slow: dict[str, str] = {}

    def close(self) -> None:
        """Nothing is remembered between lines."""

    def slow(self) -> dict[str, str]:
        found, self._slow = self._slow, {}
        return found

    def begins(self, text: str) -> list[int]:
        guard = self._guard
        if not guard.risky:
            return self._quickly(text)
        if not has_longer(text, guard.longest):
            try:
                return guard.chunk(self._quickly, text)
            except TooSlow:
                pass  # one of the lines is to blame
        return self._patiently(text)

    def _quickly(self, text: str) -> list[int]:
        longest = self._guard.longest
        if self._whole is not None and not has_longer(text, longest):
            spans = [match.span() for match in self._whole.finditer("\n" + text)]
            # the newline in front of the text makes up for the one in the match: it begins where its line does
            if not any("\n" in text[begin : end - 1] for begin, end in spans):  # else it ran over the end of a line
                found = [begin for begin, _ in spans]
                return found if self._starts else self._others(text, found)
        found, at, search = [], 0, self._search
        for line in text.split("\n"):
            if (search(line, 0, longest) is not None) is self._starts:
                found.append(at)
            at += len(line) + 1
        return found

    def _patiently(self, text: str) -> list[int]:
        """Line by line, each against the clock."""
        found, at, guard = [], 0, self._guard
        with Ticking():
            for line in text.split("\n"):
                try:
                    begins = (guard.one(self._search, line[: guard.longest]) is not None) is self._starts
                except TooSlow as error:
                    begins = True
                    self._slow[line] = str(error)
                if begins:
                    found.append(at)
                at += len(line) + 1
        return found

    @staticmethod
    def _others(text: str, found: list[int]) -> list[int]:
        belongs = set(found)
        starts = [0, *(match.end() for match in re.finditer("\n", text))]
        return [start for start in starts if start not in belongs]

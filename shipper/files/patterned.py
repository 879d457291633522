"""Lines that belong together, told by a pattern of the user."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from shipper.text.patience import Guard, Ticking, has_longer
from shipper.text.patterns import TooSlow, line_starts

__all__ = ["Patterned", "cut_at"]

_BEGINS = re.Match.start


def cut_at(text: str, begins: Sequence[int]) -> list[str]:
    """The events of a text that begin at these places; first what goes on before: empty, or lines with their newline in front."""
    ends = [*begins[1:], len(text) + 1] if begins else []
    first = "\n" + text[: begins[0] - 1 if begins else None] if not begins or begins[0] else ""
    return [first, *[text[begin : end - 1] for begin, end in zip(begins, ends, strict=True)]]


class Patterned:
    """Events begin at the lines in which a pattern is found (in their first 64 KiB), or at all others.

    A risky pattern is searched in their first 8 KiB, against the clock; a line on which it takes too long begins an event.
    """

    open: ClassVar[bool] = True

    def __init__(self, pattern: re.Pattern[str], starts: bool) -> None:
        self._search = pattern.search
        self._starts = starts
        self._whole = line_starts(pattern)
        self._guard = Guard(pattern)
        plain = starts and self._whole is not None and not self._whole.groups  # `split` would give the groups, too
        self._splits = self._whole if plain and not self._guard.risky else None
        self._slow: dict[str, str] = {}

    def close(self) -> None:
        """Nothing is remembered between lines."""

    def slow(self) -> dict[str, str]:
        found, self._slow = self._slow, {}
        return found

    def cut(self, text: str) -> list[str]:
        """What `cut_at` makes of `begins`, where `re` can do it by itself: half the work, for there is no step for each event."""
        if self._splits is not None and not has_longer(text, self._guard.longest):
            return self._splits.split("\n" + text)
        return cut_at(text, self.begins(text))

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
            # the newline in front of the text makes up for the one in the match: it begins where its line does
            found = list(map(_BEGINS, self._whole.finditer("\n" + text)))
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

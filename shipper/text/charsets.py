"""Sets of characters of a regular expression as bits, so that asking whether two overlap is one `and`.

ASCII has a bit each. Beyond it a few characters stand for all others of their kind, besides those that the pattern
names: two sets that share a character always share a bit; the other way round only nearly.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

KINDS = "éƇ中٣²\u0301\u2003€\u00ad𝔘"
"""Letters of both cases and of none, a digit, a number, a mark, a space, a sign, a format character."""
CATEGORIES = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}


class Alphabet:
    """The characters that matter for one pattern."""

    def __init__(self, named: Iterable[int] = (), fold: bool = False) -> None:
        extra = sorted({*map(ord, KINDS), *(code for code in named if code > 127)})
        self.place = {code: 128 + at for at, code in enumerate(extra)}
        self.all = (1 << (128 + len(extra))) - 1
        self.fold = fold

    def literal(self, code: int) -> int:
        if self.fold:
            text = chr(code)
            return functools.reduce(int.__or__, (self._one(ord(c)) for c in (*text.lower(), *text.upper(), text)))
        return self._one(code)

    def _one(self, code: int) -> int:
        if code < 128:
            return 1 << code
        # one that nobody named (the other case of one that is): it may be any of its kind
        return 1 << self.place[code] if code in self.place else self.all >> 128 << 128

    def range(self, low: int, high: int) -> int:
        found = 0
        for code in [*range(low, min(high, 127) + 1), *(code for code in self.place if low <= code <= high)]:
            found |= self.literal(code)
        # a range beyond ASCII may hold characters that no kind stands for
        return found | (self.all >> 128 << 128) if high > 127 else found

    def category(self, name: str, ascii_only: bool) -> int:
        """`CATEGORY_NOT_DIGIT` and its like."""
        word = name.rsplit("_", 1)[1]
        found = _category(CATEGORIES[word], ascii_only)
        for code, place in self.place.items():
            if re.match(CATEGORIES[word], chr(code), re.ASCII if ascii_only else 0):
                found |= 1 << place
        return self.all & ~found if "_NOT_" in name else found

    def members(self, items: Iterable[tuple[Any, Any]], ascii_only: bool) -> int:
        """What stands between square brackets."""
        found, negated = 0, False
        for op, value in items:
            match str(op):
                case "NEGATE":
                    negated = True
                case "LITERAL":
                    found |= self.literal(value)
                case "RANGE":
                    found |= self.range(*value)
                case "CATEGORY":
                    found |= self.category(str(value), ascii_only)
        if not negated:
            return found
        # what stands for many is still there when some of them are excluded
        return (self.all & ~found) | (self.all >> 128 << 128)


@functools.cache
def _category(pattern: str, ascii_only: bool) -> int:
    test = re.compile(pattern, re.ASCII if ascii_only else 0)
    return sum(1 << code for code in range(128) if test.match(chr(code)))

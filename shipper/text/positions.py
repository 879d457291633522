"""The automaton of a regular expression: its positions, each a set of characters, and which may follow which."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from shipper.text.charsets import Alphabet

POSITIONS, EDGES = 3000, 60_000
"""A pattern with more is not looked at further: it would hold up the start."""
FEW = 4
"""So many repetitions are written out, so that `(?:[0-9]{1,3}[.]){3}` is no loop."""
BOUNDED = 256
"""A single character repeated up to so many times is no loop in length, however often it may be tried."""

Ends = tuple[set[int], set[int], bool]
"""Where a part can begin, where it can end, and whether it can be empty."""


class TooLarge(Exception):
    """More than can be looked at in time."""


class Positions:
    """Built from the tree of Python's parser; `safe` items at the end cannot fail once they are reached."""

    def __init__(self, flags: int, alphabet: Alphabet, safe: int) -> None:
        self.flags = flags
        self.alphabet = alphabet
        self.safe = safe
        self.masks: list[int] = []
        self.follow: list[set[int]] = []
        self.short: set[int] = set()
        """Positions whose step to themselves is bounded."""
        self.double: set[tuple[int, int]] = set()
        """Steps that can be taken in two ways, as in `(a+)+`."""
        self.possessive: set[tuple[int, int]] = set()
        self.looks: list[Any] = []
        """What stands in lookarounds: tried by itself."""
        self.calm: set[int] = set()
        """Positions at which the pattern has matched, whatever comes."""
        self.vague = 0
        self.edges = 0

    def build(self, items: list[tuple[Any, Any]], searched: bool) -> None:
        """`searched`: it may begin anywhere, which is a loop over everything in front of it."""
        any_start = self._position(self.alphabet.all) if searched else None
        cut = len(items) - self.safe
        first, last, empty = self._sequence(items[:cut])
        before = len(self.masks)
        more = self._sequence(items[cut:])
        ends = more[1] | (last if more[2] else set())
        self.calm = {at for at in range(before, len(self.masks)) if at in ends}
        self._link(last, more[0])
        if any_start is not None:
            self._link({any_start}, {any_start} | first | (more[0] if empty else set()))

    def _position(self, mask: int) -> int:
        if len(self.masks) >= POSITIONS:
            raise TooLarge
        self.masks.append(mask)
        self.follow.append(set())
        return len(self.masks) - 1

    def _link(self, last: Iterable[int], first: set[int], again: bool = False) -> None:
        """`again`: by a loop; a step that is there already can then be taken in two ways."""
        for at in last:
            follow = self.follow[at]
            if again:
                self.double.update((at, to) for to in first & follow if (at, to) not in self.possessive)
            follow |= first
            self._count(len(first))

    def _count(self, edges: int) -> None:
        self.edges += edges
        if self.edges > EDGES:
            raise TooLarge

    def _sequence(self, items: Iterable[tuple[Any, Any]]) -> Ends:
        return self._chain(self._item(str(op), value) for op, value in items)

    def _chain(self, parts: Iterable[Ends]) -> Ends:
        """Parts, built one by one, one behind the other."""
        first: set[int] = set()
        last: set[int] = set()
        empty = True
        for begin, end, none in parts:
            self._count(1)  # nothing repeated many times has no other edges
            self._link(last, begin)
            if empty:
                first |= begin
            last = end | last if none else end
            empty = empty and none
        return first, last, empty

    def _item(self, op: str, value: Any) -> Ends:
        match op:
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN" | "CATEGORY":
                at = self._position(self._mask(op, value))
                return {at}, {at}, False
            case "BRANCH":
                parts = [self._sequence(each) for each in value[1]]
                self.vague += sum(part[2] for part in parts) > 1  # `(?:a|a)` becomes `a(?:|)`: two ways to read nothing
                return (
                    set().union(*(p[0] for p in parts)),
                    set().union(*(p[1] for p in parts)),
                    any(p[2] for p in parts),
                )
            case "SUBPATTERN":
                return self._flagged(value)
            case "ATOMIC_GROUP":
                return self._sequence(value)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, body = value
                return self._repeat(low, high, body, possessive=op == "POSSESSIVE_REPEAT")
            case "ASSERT" | "ASSERT_NOT":
                self.looks.append(value[1])
            case "GROUPREF":
                at = self._position(self.alphabet.all)  # any text, of any length
                self._link({at}, {at})
                return {at}, {at}, True
            case "GROUPREF_EXISTS":
                yes, no = self._sequence(value[1]), self._sequence(value[2] or ())
                return yes[0] | no[0], yes[1] | no[1], yes[2] or no[2]
        return set(), set(), True

    def _flagged(self, value: Any) -> Ends:
        _, add, remove, inner = value
        flags, fold = self.flags, self.alphabet.fold
        self.flags = (flags | add) & ~remove
        self.alphabet.fold = bool(self.flags & re.IGNORECASE)
        try:
            return self._sequence(inner)
        finally:
            self.flags, self.alphabet.fold = flags, fold

    def _mask(self, op: str, value: Any) -> int:
        alphabet, ascii_only = self.alphabet, bool(self.flags & re.ASCII)
        match op:
            case "LITERAL":
                return alphabet.literal(value)
            case "NOT_LITERAL":
                return alphabet.members([("NEGATE", None), ("LITERAL", value)], ascii_only)
            case "IN":
                return alphabet.members(value, ascii_only)
        return alphabet.all if self.flags & re.DOTALL else alphabet.all & ~(1 << ord("\n"))

    def _repeat(self, low: int, high: int, body: Any, possessive: bool) -> Ends:
        single = len(body) == 1 and str(body[0][0]) in ("LITERAL", "NOT_LITERAL", "ANY", "IN")
        short = high <= FEW or (low == high <= 4 * FEW and single)
        # `((a{2,3}){2,3}){2,3}` is bounded, too, but in too many ways to be harmless
        if short and (high <= 1 or _variety(body) + (low != high) <= 1):
            copies = (self._sequence(body) for _ in range(high))
            return self._chain((begin, end, none or at >= low) for at, (begin, end, none) in enumerate(copies))
        before, vague = len(self.masks), self.vague
        first, last, empty = self._sequence(body)
        if (empty and low > 1) or self.vague > vague:  # any of the repetitions may be the empty one
            self.double.update((at, to) for at in last for to in first)
        self._link(last, first, again=True)
        if single and high <= BOUNDED:
            self.short.add(before)
        if possessive:
            self.possessive.update((at, to) for at in last for to in first)
        return first, last, empty or low == 0


def _variety(items: Any) -> int:
    """How deep repetitions that can be of one length or another stand in each other."""
    found = 0
    for op, value in items:
        match str(op):
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, body = value
                inner = _variety(body)
                found = max(found, inner + (low != high or (high > 1 and inner > 0)))
            case "BRANCH":
                found = max(found, *map(_variety, value[1]))
            case "SUBPATTERN":
                found = max(found, _variety(value[3]))
            case "ATOMIC_GROUP":
                found = max(found, _variety(value))
    return found

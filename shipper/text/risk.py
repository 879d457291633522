"""How badly a regular expression can do: told from its shape, before any line is read.

Python's `re` tries one way after the other. How many ways there are is a property of the automaton of the pattern
(its positions, and which may follow which; Glushkov): two ways round a loop on the same text are exponential, two
loops one behind the other that can share a text multiply (Weideman et al. 2016, "Analyzing matching time behavior of
backtracking regular expression matchers by using ambiguity of NFA"). Where this is not exact it errs to the risky side.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from re import _parser  # type: ignore[attr-defined]  # no public door leads to the tree
from typing import Any

from shipper.text.ambiguity import Ambiguity
from shipper.text.charsets import Alphabet
from shipper.text.positions import Positions, TooLarge

__all__ = ["Risk", "risk"]


@dataclass(frozen=True, slots=True)
class Risk:
    """Time grows with the length of the text to the power of `degree`, or doubles with each character."""

    degree: int
    exponential: bool = False
    unknown: bool = False
    """The pattern is too large to tell; taken for risky."""

    @property
    def superlinear(self) -> bool:
        return self.exponential or self.unknown or self.degree > 1

    @property
    def grave(self) -> bool:
        """Worth a warning: lines of a common length can take seconds."""
        return self.exponential or self.degree > 2

    def __str__(self) -> str:
        if self.exponential:
            return "can take time that doubles with each character, as it can read the same text in many ways"
        return f"can take time that grows with the length of a line to the power of {self.degree}"


@functools.lru_cache(maxsize=256)
def risk(pattern: re.Pattern[str], whole: bool = False) -> Risk:
    """Of searching it in a text; with `whole` the pattern must fit all of it."""
    flags = pattern.flags
    try:
        tree: Any = _parser.parse(pattern.pattern, flags)
        return _of(list(tree), flags, Alphabet(_literals(tree), bool(flags & re.IGNORECASE)), whole, searched=not whole)
    except (TooLarge, RecursionError):
        return Risk(0, unknown=True)


def _of(items: list[tuple[Any, Any]], flags: int, alphabet: Alphabet, whole: bool, searched: bool) -> Risk:
    made = Positions(flags, alphabet, safe=0 if whole else _tail(items, flags))
    made.build(items, searched and not _anchored(items, flags))
    inner = [_of(list(each), flags, alphabet, False, False) for each in made.looks]
    worst = max((each.degree for each in inner), default=0)
    shape = Ambiguity(made)
    degree = shape.degree()
    return Risk(
        max(degree, 1) + worst if worst else degree,
        shape.doubled() or shape.ambiguous() or any(each.exponential for each in inner),
    )


def _tail(items: list[tuple[Any, Any]], flags: int) -> int:
    """How many items at the end cannot fail once something of them has been read: nothing is tested in or behind them."""
    items = list(items)
    dollar = bool(items) and str(items[-1][0]) == "AT" and str(items[-1][1]) in ("AT_END", "AT_END_STRING")
    if dollar:
        # the end of the line, behind what takes all of a line: `.*$`
        if len(items) > 1 and _takes_all(items[-2]) and not flags & re.MULTILINE:
            return 2
        return 0
    count = 0
    for item in reversed(items):
        if _tests(item):
            break
        count += 1
    return count


def _takes_all(item: tuple[Any, Any]) -> bool:
    op, value = str(item[0]), item[1]
    if op == "SUBPATTERN":
        inner = list(value[3])
        return len(inner) == 1 and _takes_all(inner[0])
    if op in ("MAX_REPEAT", "MIN_REPEAT"):
        low, high, body = value
        return bool(low <= 1 and high == _parser.MAXREPEAT and len(body) == 1 and str(body[0][0]) == "ANY")
    return False


def _tests(item: Any) -> bool:
    """Whether there is something in it that reads nothing and can fail, or a reference."""
    op = str(item[0])
    if op in ("AT", "ASSERT", "ASSERT_NOT", "GROUPREF", "GROUPREF_EXISTS", "FAILURE"):
        return True
    return any(_tests(each) for part in _parts(item) for each in part)


def _parts(item: Any) -> list[Any]:
    op, value = str(item[0]), item[1]
    match op:
        case "BRANCH":
            return list(value[1])
        case "SUBPATTERN":
            return [value[3]]
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            return [value[2]]
        case "ASSERT" | "ASSERT_NOT":
            return [value[1]]
        case "ATOMIC_GROUP":
            return [value]
        case "GROUPREF_EXISTS":
            return [part for part in value[1:] if part]
    return []


def _literals(items: Any) -> set[int]:
    """The characters that the pattern names."""
    found: set[int] = set()
    for item in items:
        op, value = str(item[0]), item[1]
        if op in ("LITERAL", "NOT_LITERAL"):
            found.add(value)
        elif op == "RANGE":
            found.update(value)
        elif op == "IN":
            found |= _literals(value)
        else:
            found = found.union(*(_literals(part) for part in _parts(item)))
    return found


def _anchored(items: list[tuple[Any, Any]], flags: int) -> bool:
    """Whether it can be found at the beginning of a text only."""
    if not items:
        return False
    op, value = str(items[0][0]), items[0][1]
    match op:
        case "AT":
            return str(value) == "AT_BEGINNING_STRING" or (str(value) == "AT_BEGINNING" and not flags & re.MULTILINE)
        case "SUBPATTERN":
            return _anchored(list(value[3]), flags)
        case "ATOMIC_GROUP":
            return _anchored(list(value), flags)
        case "BRANCH":
            return all(_anchored(list(each), flags) for each in value[1])
    return False

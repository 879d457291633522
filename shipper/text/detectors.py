"""What the `redact` filter can find: each detector is a cheap sign, an exact finder, and what of a value may stay.

The two tables are `identifiers` (people, cards, addresses) and `credentials` (keys, tokens, passwords).
A sign is looked for in whole chunks of lines by functions of `bytes`; it may be there without a value, but a
value is never there without it. A finder takes time linear in its text, whatever the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Span = tuple[int, int]
Find = Callable[[str], Iterable[Span]]
Text = Callable[[str], str]

DIGITS = b"0123456789"
AS_ZERO = bytes.maketrans(b"123456789", b"0" * 9)
LOWER = bytes.maketrans(bytes(range(65, 91)), bytes(range(97, 123)))


@dataclass(frozen=True, slots=True)
class Sign:
    """Bytes that are there wherever a value is, once `marks` has been applied (which keeps every newline)."""

    needle: bytes
    marks: Callable[[bytes], bytes] | None = None
    confirm: Callable[[bytes], bool] | None = None
    """Looks closer at one line that has it; False says that no value is there."""

    def shown(self, lines: bytes) -> bytes:
        return lines if self.marks is None else self.marks(lines)


def lines_with(needle: bytes, shown: bytes) -> list[int]:
    """The numbers of the lines that have it, ascending; costs little more than its hits."""
    found: list[int] = []
    if needle[:1] not in shown:  # one byte is found ten times as fast as several
        return found
    line = start = 0
    at = shown.find(needle)
    while at >= 0:
        line += shown.count(b"\n", start, at)
        found.append(line)
        start = shown.find(b"\n", at)
        if start < 0:
            break
        at = shown.find(needle, start)
    return found


def masked(value: str) -> str:
    """The partial form of what must not be shown even in part."""
    return "****"


def last_four(value: str) -> str:
    """`****1111`: the last four letters or digits, of values long enough to keep most of themselves hidden."""
    plain = bare(value)
    return f"****{plain[-4:]}" if len(plain) >= 9 else "****"


def bare(value: str) -> str:
    """Letters and digits only, upper case: equal however it was grouped."""
    return re.sub(r"[\W_]+", "", value).upper()


def unchanged(value: str) -> str:
    return value


@dataclass(frozen=True, slots=True)
class Detector:
    """One kind of value. `find` gives its spans in a text in ascending order, none overlapping another."""

    name: str
    find: Find
    signs: tuple[Sign, ...] = ()
    """Any of them is there wherever a value is; none at all: always look."""
    partial: Text = masked
    """What `action: partial` puts in the place of a value."""
    normal: Text = unchanged
    """What is hashed: the same for the same value in other clothes."""
    numbers: bool = False
    """Whether a JSON number can be such a value."""

    def possible(self) -> Callable[[str], bool]:
        """A quick function that says whether the exact finder must look at a text."""
        signs = self.signs
        if not signs:
            return lambda text: True
        if any(sign.marks for sign in signs):
            shortest = min(len(sign.needle) for sign in signs)
            if len(signs) == 1 and signs[0].marks:
                needle, marks = signs[0].needle, signs[0].marks
                return lambda text: len(text) >= shortest and needle in marks(text.encode("utf-8", "surrogatepass"))

            def seen(text: str) -> bool:
                if len(text) < shortest:
                    return False
                data = text.encode("utf-8", "surrogatepass")
                return any(sign.needle in sign.shown(data) for sign in signs)

            return seen
        first, *others = [sign.needle.decode() for sign in signs]
        if not others:
            return lambda text: first in text
        if len(others) == 1:
            second = others[0]
            return lambda text: first in text or second in text
        return lambda text: first in text or any(other in text for other in others)


def literal(*needles: str) -> tuple[Sign, ...]:
    """Signs that are in the text as they are."""
    return tuple(Sign(needle.encode()) for needle in needles)


def caseless(*needles: str) -> tuple[Sign, ...]:
    """Signs in any case (of ASCII)."""
    return tuple(Sign(needle.lower().encode(), lowered) for needle in needles)


def shaped(*needles: bytes, dashes: bytes = b"") -> tuple[Sign, ...]:
    """Signs such as `000-00-0000`: every digit is a zero, every byte of `dashes` a dash."""
    table = bytes.maketrans(DIGITS + dashes, b"0" * 10 + b"-" * len(dashes))

    def marks(lines: bytes) -> bytes:
        return lines.translate(table)

    return tuple(Sign(needle, marks) for needle in needles)


def lowered(lines: bytes) -> bytes:
    return lines.translate(LOWER)


def spans(
    pattern: str, *, group: int | str = 0, check: Callable[[re.Match[str]], object] | None = None, flags: int = 0
) -> Find:
    """A finder by a regular expression (ASCII classes), of what passes the check."""
    finditer = re.compile(pattern, re.ASCII | flags).finditer
    if check is None:
        return lambda text: [found.span(group) for found in finditer(text)]
    return lambda text: [found.span(group) for found in finditer(text) if check(found)]

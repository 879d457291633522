"""What every format gives: the fields of each line of a chunk, or None for a line that is not of the format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from shipper.batch import Event

__all__ = ["Found", "Line", "Many", "Parsed", "Reader", "reader", "with_gaps"]

Found = list[Event | None]
Parsed = tuple[Found, dict[int, str]]
"""And the lines that are not of the format, as text, by their number."""
Line = Callable[[str], Event | None]
Many = Callable[[list[str]], Found]


@dataclass(frozen=True, slots=True)
class Reader:
    """One format, ready to read. All three agree on every line; the chunks have one entry for each of theirs."""

    line: Line
    """One text; the obvious way, and the only one that takes newlines inside."""
    text: Callable[[str], Found]
    """Lines separated by newlines."""
    data: Callable[[bytes], Parsed]
    """The same as bytes, in which what is not UTF-8 becomes U+FFFD (and is no JSON); and what was not read, as text."""
    slow: dict[str, str] = field(default_factory=dict)
    """Lines that were not read for want of time or for their length, and why; whoever asks clears it."""


def reader(line: Line, many: Many, slow: dict[str, str] | None = None) -> Reader:
    """A format that works on lines of text."""

    def text(chunk: str) -> Found:
        return many(chunk.split("\n"))

    def data(raw: bytes) -> Parsed:
        lines = raw.decode("utf-8", "replace").split("\n")
        found = many(lines)
        if all(found):
            return found, {}
        return found, {at: lines[at] for at, event in enumerate(found) if event is None}

    return Reader(line, text, data, {} if slow is None else slow)


def with_gaps(found: Found, gaps: Iterable[int]) -> Found:
    """The same list, with None at these places, which ascend."""
    for at in gaps:
        found.insert(at, None)
    return found

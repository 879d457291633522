"""What every format gives: the fields of each line of a chunk, or None for a line that is not of the format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from shipper.batch import Event

__all__ = ["Found", "Line", "Parsed", "Reader", "by_line", "reader"]

Found = list[Event | None]
Parsed = list[Event | str]
Line = Callable[[str], Event | None]


@dataclass(frozen=True, slots=True)
class Reader:
    """One format, ready to read. All three agree on every line; the chunks have one entry for each of theirs."""

    line: Line
    """One text; the obvious way, and the only one that takes newlines inside."""
    text: Callable[[str], Found]
    """Lines separated by newlines."""
    data: Callable[[bytes], Parsed]
    """The same as bytes, in which what is not UTF-8 becomes U+FFFD (and is no JSON); a line that is none, as text."""
    slow: dict[str, str] = field(default_factory=dict)
    """Lines that were not read for want of time or for their length, and why; whoever asks clears it."""


def reader(line: Line, text: Callable[[str], Found] | None = None, slow: dict[str, str] | None = None) -> Reader:
    """A format that works on text; without `text`, line by line."""
    chunk = text or by_line(line)

    def data(raw: bytes) -> Parsed:
        lines = raw.decode("utf-8", "replace")
        found = chunk(lines)
        if None not in found:
            return cast(Parsed, found)
        return [one if event is None else event for event, one in zip(found, lines.split("\n"), strict=True)]

    return Reader(line, chunk, data, {} if slow is None else slow)


def by_line(line: Line) -> Callable[[str], Found]:
    """A chunk, each line by itself."""

    def text(chunk: str) -> Found:
        return [line(each) for each in chunk.split("\n")]

    return text

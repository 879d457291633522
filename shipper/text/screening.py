"""Which lines and which events a detector must look at: decided for whole batches at a time.

Most text holds nothing. What is left out here is never looked at, so every shortcut must be sound: a sign is
wherever a value is, and `tests/filters/test_redact.py` holds it against looking everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from shipper.text.detectors import Detector, lines_with

Work = list[tuple[Detector, Callable[[str], bool]]]
"""Detectors in the order in which they claim text, each with its quick test."""

STRICT = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS
BREAK = orjson.Fragment(b"\n")
"""Between two events: the only place where a line can end, as JSON has no bare newline inside a string."""
FEW = 16
"""Of so many lines one may be looked at in vain, before it pays to take all lines apart and look closer."""


class Screen:
    """Picks what the detectors must look at."""

    def __init__(self, detectors: Iterable[Detector]) -> None:
        self.work: Work = [(detector, detector.possible()) for detector in detectors]

    def lines(self, lines: bytes, count: int) -> dict[int, Work]:
        """Line number -> who must look at it, of `count` lines."""
        todo: dict[int, Work] = {}
        shown: dict[Any, bytes] = {None: lines}
        apart: list[bytes] = []
        for each in self.work:
            signs = each[0].signs
            hits: set[int] = set() if signs else set(range(count))
            for sign in signs:
                if sign.marks not in shown:
                    shown[sign.marks] = sign.shown(lines)
                found = lines_with(sign.needle, shown[sign.marks])
                if sign.confirm and len(found) > count // FEW:
                    apart = apart or lines.split(b"\n")
                    found = [line for line in found if sign.confirm(apart[line])]
                hits.update(found)
            for line in hits:
                todo.setdefault(line, []).append(each)
        return todo

    def events(self, events: Sequence[Any]) -> dict[int, Work]:
        """The place of an event (or of any value) -> who must look at it.

        The signs are looked for in its JSON, names of fields and all, or in the bare texts when all are texts.
        """
        lines = _texts(events) if events and type(events[0]) is str else None
        if lines is None:
            spread: list[Any] = [BREAK] * (2 * len(events) - 1)
            spread[::2] = events
            try:
                # In one go: many small results cost the allocator more than the work itself.
                lines = orjson.dumps(spread, None, STRICT)
            except TypeError:  # a value that JSON has no word for, such as a lone surrogate: look at everything
                return dict.fromkeys(range(len(events)), self.work)
        return self.lines(lines, len(events))


def _texts(values: Sequence[Any]) -> bytes | None:
    """Texts as lines; None when one is no text, or has more than one line itself."""
    try:
        text = "\n".join(values)
    except TypeError:
        return None
    return text.encode("utf-8", "surrogatepass") if text.count("\n") == len(values) - 1 else None

"""The patterns that a user gives to `redact`: what they find, and what is to be left as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from shipper.text.detectors import Detector, Span, last_four
from shipper.text.patience import BOUND, LONG, PATIENCE, Guard, Patience, TooSlow
from shipper.text.patterns import compile_pattern
from shipper.text.redaction import Unreadable

__all__ = ["OwnPatterns", "allowance"]

R = TypeVar("R")


class OwnPatterns:
    """Detectors made of patterns, and a test of what is allowed; risky ones run against the clock.

    A text on which one takes too long is Unreadable, counted in `timeouts`.
    """

    def __init__(
        self, patterns: Mapping[str, re.Pattern[str]], allow: Iterable[str], patience: Patience = PATIENCE
    ) -> None:
        self.patience = patience
        self.risky = False
        self.timeouts = 0
        self.detectors = [
            Detector(name, self._watched(pattern, _finder(pattern), whole=False), (), last_four, numbers=True)
            for name, pattern in patterns.items()
        ]
        self._allows = [self._allows_by(allowance(text)) for text in allow]
        self.allowed: Callable[[str], bool] | None = None
        if self._allows:
            self.allowed = lambda value: any(allows(value) for allows in self._allows)

    def _allows_by(self, given: str | re.Pattern[str]) -> Callable[[str], bool]:
        if isinstance(given, str):
            return lambda value: value == given
        fullmatch = given.fullmatch
        return self._watched(given, lambda value: fullmatch(value) is not None, whole=True)

    def _watched(self, pattern: re.Pattern[str], search: Callable[[str], R], whole: bool) -> Callable[[str], R]:
        if not Guard(pattern, whole).risky:
            return search
        self.risky = True

        def watched(text: str) -> R:
            if len(text) > BOUND:
                raise Unreadable(LONG)
            try:
                return self.patience.one(search, text)
            except TooSlow as error:
                self.timeouts += 1
                raise Unreadable(str(error)) from None

        return watched


def allowance(text: str) -> str | re.Pattern[str]:
    """A value as it is, or between slashes a pattern for the whole value; ValueError when it is none."""
    if len(text) > 2 and text.startswith("/") and text.endswith("/"):
        return compile_pattern(text[1:-1])
    return text


def _finder(pattern: re.Pattern[str]) -> Callable[[str], list[Span]]:
    group: int | str = "value" if "value" in pattern.groupindex else 0
    return lambda text: [span for found in pattern.finditer(text) if (span := found.span(group))[0] < span[1]]

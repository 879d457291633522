"""A scalar's text as the type that an annotation names, within its limits."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from shipper.options import Duration, Secret, Size
from shipper.text.patterns import compile_pattern

YES, NO = {"true", "yes", "on"}, {"false", "no", "off"}
CONVERTERS: dict[Any, Callable[[str], Any]] = {Duration: Duration.parse, Size: Size.parse, Path: Path}


def convert(kind: Any, text: str) -> Any:
    """A scalar's text as a type; raise ValueError with what was expected, or with nothing."""
    if kind is str:
        return text
    if kind is bool:
        if text.lower() in YES | NO:
            return text.lower() in YES
        raise ValueError
    if kind is int:
        try:
            return int(text.replace("_", ""))
        except ValueError:
            raise ValueError from None
    if kind is float:
        try:
            return float(text)
        except ValueError:
            raise ValueError from None
    if kind is re.Pattern:
        return compile_pattern(text)
    converter: Callable[[str], Any] = CONVERTERS.get(kind, kind)
    return converter(text)


def outside(value: Any, meta: msgspec.Meta) -> str:
    """What was expected of a value that lies outside a Meta's limits, or nothing."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        limits: tuple[tuple[float | None, Callable[[Any, Any], bool], str], ...] = (
            (meta.ge, operator.ge, "at least"),
            (meta.gt, operator.gt, "more than"),
            (meta.le, operator.le, "at most"),
            (meta.lt, operator.lt, "less than"),
        )
        for limit, fine, words in limits:
            if limit is not None and not fine(value, limit):
                return f"{words} {type(value)(limit) if isinstance(value, Duration | Size) else limit}"
    if isinstance(value, str) and meta.pattern is not None and not re.search(meta.pattern, value):
        return f"text such as {meta.examples[0]}" if meta.examples else f"text that matches {meta.pattern}"
    text = value.reveal() if isinstance(value, Secret) else value
    if isinstance(text, str) and meta.min_length is not None and len(text) < meta.min_length:
        return f"at least {meta.min_length} characters"
    return ""

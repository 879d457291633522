"""What conditions are made of: comparisons, arithmetic and functions that answer for any values and never raise."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from shipper.text.patterns import compile_pattern

if TYPE_CHECKING:  # not before there is a pattern
    from shipper.text.patience import Patience


def ordered(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    """`<`, `<=`, `>`, `>=`: False where the two cannot be ordered."""

    def answer(left: Any, right: Any) -> bool:
        if left is None or right is None:
            return False
        try:
            return bool(compare(left, right))
        except TypeError:
            return False

    return answer


def isin(item: Any, holder: Any) -> bool:
    """`item in holder`: text in text, an item in a list, a key in a mapping; else False."""
    try:
        return item in holder
    except TypeError:
        return False


def notin(item: Any, holder: Any) -> bool:
    """`item not in holder`; False where asking makes no sense (`"a" not in None`)."""
    try:
        return item not in holder
    except TypeError:
        return False


def number(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Arithmetic on numbers only: None for anything else and where there is no result (division by zero)."""

    def result(left: Any, right: Any) -> Any:
        if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
            return None
        try:
            return compute(left, right)
        except ArithmeticError:
            return None

    return result


def minus(value: Any) -> Any:
    return -value if isinstance(value, (int, float)) else None


def length(value: Any) -> int | None:
    return len(value) if isinstance(value, (str, list, tuple, Mapping)) else None


def lower(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) else None


def upper(value: Any) -> str | None:
    return value.upper() if isinstance(value, str) else None


def startswith(value: Any, start: Any) -> bool:
    return isinstance(value, str) and isinstance(start, (str, tuple)) and value.startswith(start)


def endswith(value: Any, end: Any) -> bool:
    return isinstance(value, str) and isinstance(end, (str, tuple)) and value.endswith(end)


def contains(value: Any, part: Any) -> bool:
    return isin(part, value)


def integer(value: Any) -> int | None:
    if not isinstance(value, (str, int, float)) or (isinstance(value, str) and len(value) > 100):
        return None
    try:
        return int(value)
    except (ValueError, OverflowError):
        return None


def floating(value: Any) -> float | None:
    if not isinstance(value, (str, int, float)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def text(value: Any) -> str | None:
    """A scalar as text; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, float)):
        return str(value)
    return str(value) if isinstance(value, int) and value.bit_length() < 1024 else None


def searcher(pattern: str) -> tuple[Callable[[Any], bool], re.Pattern[str], Patience | None]:
    """A function that searches a pattern in the beginning of what is text, and the pattern; ValueError when it is none.

    A risky one runs with the patience that is given besides, and raises TooSlow when it takes too long.
    """
    from shipper.text.patience import Guard

    compiled = compile_pattern(pattern)
    search, guard = compiled.search, Guard(compiled)
    longest = guard.longest

    def matches(value: Any) -> bool:
        return isinstance(value, str) and search(value[:longest]) is not None

    def watched(value: Any) -> bool:
        return isinstance(value, str) and guard.one(search, value[:longest]) is not None

    return (watched, compiled, guard.patience) if guard.risky else (matches, compiled, None)


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": ordered(operator.lt),
    "<=": ordered(operator.le),
    ">": ordered(operator.gt),
    ">=": ordered(operator.ge),
}
COMPUTE: dict[str, Callable[[Any, Any], Any]] = {
    "+": number(operator.add),
    "-": number(operator.sub),
    "*": number(operator.mul),
    "/": number(operator.truediv),
    "//": number(operator.floordiv),
    "%": number(operator.mod),
}
FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "len": (1, length),
    "lower": (1, lower),
    "upper": (1, upper),
    "startswith": (2, startswith),
    "endswith": (2, endswith),
    "contains": (2, contains),
    "int": (1, integer),
    "float": (1, floating),
    "str": (1, text),
    "bool": (1, bool),
}
"""Name -> how many arguments, and what is called. `matches`, `exists` and `field` are the compiler's own."""

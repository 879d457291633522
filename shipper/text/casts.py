"""Values as the type that a user wants them to be. Each raises ValueError or OverflowError when that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any

import orjson

__all__ = ["CASTS", "column"]

FALSE = frozenset(("false", "no", "off", "0", "f", "n"))
LEAST, MOST = -(2**63), 2**64 - 1
TRUE = frozenset(("true", "yes", "on", "1", "t", "y"))


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in TRUE and text not in FALSE:
        raise ValueError(text)
    return text in TRUE


def _int(value: Any) -> int:
    number = int(value) if type(value) is str else int(value if isinstance(value, int) else float(value))
    if not LEAST <= number <= MOST:
        raise OverflowError("beyond 64 bits")
    return number


def _float(value: Any) -> float:
    number = float(value)
    if not isfinite(number):  # NaN and the infinities, which JSON does not have
        raise ValueError("no finite number")
    return number


def _str(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


CASTS: dict[str, Callable[[Any], Any]] = {"int": _int, "float": _float, "bool": _bool, "str": _str}
"""By the name of the type: `int float bool str`. Integers are kept within 64 bits, floats finite, as JSON needs it."""


def column(name: str, values: Iterable[Any]) -> list[Any]:
    """Many values at once; TypeError, ValueError or OverflowError when one of them cannot be."""
    if name == "int":
        made = list(map(int, values))
        if made and not LEAST <= min(made) <= max(made) <= MOST:
            raise OverflowError("beyond 64 bits")
        return made
    if name == "float":
        numbers = list(map(float, values))
        if not all(map(isfinite, numbers)):
            raise ValueError("no finite number")
        return numbers
    values = list(values)
    if None in values:
        raise ValueError("nothing there")
    return list(map(CASTS[name], values))

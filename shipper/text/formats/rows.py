"""Rows of values as events, by code that is written for their names: half the time of `dict(zip(names, row))`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import CodeType, FunctionType
from typing import Any

from shipper.batch import Event
from shipper.text.formats.lines import Found

__all__ = ["by_name", "by_names"]

Row = Sequence[Any]

BODY = """
def made(rows):
    return [{event} if {full} else odd([{values}]) for [{values}] in rows]
"""


def by_name(names: Sequence[str | None]) -> Callable[[Row], Event]:
    """The event of a row: each value under its name, but for those that are empty or have no name."""

    def event(row: Row) -> Event:
        return {name: value for name, value in zip(names, row, strict=True) if value and name}

    return event


def by_names(
    names: Sequence[str | None], odd: Callable[[Row], Event | None] | None = None
) -> Callable[[Iterable[Row]], Found]:
    """The same for many rows, each as long as there are names (ValueError for others); `odd` does those with empty values."""
    values = [f"v{at}" for at in range(len(names))]
    named = [(name, value) for name, value in zip(names, values, strict=True) if name]
    body = BODY.format(
        event="{" + ", ".join(f"{name!r}: {value}" for name, value in named) + "}",
        full=" and ".join(value for _, value in named) or "False",
        values=", ".join(values),
    )
    code = next(each for each in compile(body, "<rows>", "exec").co_consts if isinstance(each, CodeType))
    made: Callable[[Iterable[Row]], Found] = FunctionType(code, {"odd": odd or by_name(names)})
    return made

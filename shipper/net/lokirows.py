"""Labels and structured metadata of a batch: columns, each a list of texts or one text for all, as rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat

__all__ = ["alike", "rows_of"]

Column = str | list[str | None] | None


def alike(columns: Sequence[Column], count: int) -> Iterable[tuple[tuple[str | None, ...], Sequence[int]]]:
    """The rows of some columns (a list, or one text for all rows) that there are, and where each of them is."""
    columns = [_same(texts) for texts in columns]
    if not any(isinstance(texts, list) for texts in columns):
        return [(tuple(columns), range(count))]  # type: ignore[arg-type]  # no lists among them
    rows = [texts if isinstance(texts, list) else repeat(texts, count) for texts in columns]
    groups: dict[tuple[str | None, ...], list[int]] = {}
    for at, key in enumerate(zip(*rows, strict=True)):
        groups.setdefault(key, []).append(at)
    return groups.items()


def rows_of(columns: Mapping[str, Column], count: int) -> list[dict[str, str]]:
    """Each row by the names of its columns; what has no text is left out. Rows may be one and the same mapping."""
    shared = {name: text for name, text in columns.items() if isinstance(text, str)}
    rows = [shared] * count
    for name, texts in columns.items():
        if isinstance(texts, list):
            rows = [row if text is None else {**row, name: text} for row, text in zip(rows, texts, strict=True)]
    return rows


def _same(texts: Column) -> Column:
    """One text instead of a list of equal ones."""
    return texts[0] if isinstance(texts, list) and texts.count(texts[0]) == len(texts) else texts

"""Conditions: `status >= 500 and "checkout" in path`, decided for one event or for a whole batch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

from shipper.batch import NO_ATTRS, Attrs, Batch, Event
from shipper.text.compiler import Compiler, Many, One
from shipper.text.paths import FieldPath
from shipper.text.patterns import TooSlow

if TYPE_CHECKING:  # not before there is a pattern
    from shipper.text.patience import Patience


class Condition:
    """A Python expression over the fields of an event; the event's own fields win over the batch's attributes.

    Fields are names, `labels.app`, `labels["a b"]`, `items[0]` or `field("@timestamp")`. There are `and or not`,
    comparisons (also `0 < a < 9`), `in`, `is None`, lists of constants, `+ - * / // %` on numbers, `x if c else y`,
    and the functions len lower upper startswith endswith contains matches exists int float str bool, which may
    also be written as methods (`path.startswith("/api")`). A missing field is None; a comparison that makes no
    sense is False (so is `"a" not in missing`), arithmetic that makes none is None; nothing raises, but for
    TooSlow. `matches` searches a regular expression in the first 64 Ki characters; one whose time can grow faster
    than the text in the first 8 Ki and for at most 25 ms, then it raises TooSlow. Raises ValueError that names
    what is not allowed, and its column.
    """

    __slots__ = ("_many", "_one", "_paths", "_patience", "fields", "patterns", "text")

    text: str
    fields: frozenset[str]
    """Names of the top-level fields it reads."""
    patterns: tuple[re.Pattern[str], ...]
    """What it searches for with `matches`."""
    _paths: tuple[FieldPath, ...]
    _patience: Patience | None
    """What its risky patterns are run with, if it has some."""
    _one: One
    _many: Many

    def __init__(self, text: str) -> None:
        compiled = Compiler(text)
        put = super().__setattr__
        put("text", text)
        put("fields", frozenset(path.first for path in compiled.paths))
        put("patterns", tuple(compiled.patterns))
        put("_patience", compiled.patience)
        put("_paths", tuple(compiled.paths))
        put("_one", compiled.one)
        put("_many", compiled.many)

    def __call__(self, event: Event, attrs: Attrs = NO_ATTRS) -> bool:
        return self._one(event, attrs)

    def select(self, batch: Batch) -> bool | list[bool]:
        """One answer for the whole batch when no event of it holds a field that is read, else one for each event."""
        if not any(path.within(batch) for path in self._paths):
            return self._one({}, batch.attrs)
        events, attrs = batch.events, batch.attrs
        if self._patience is not None and len(events) > 1:
            return self._patience.chunk(batch.size, lambda: self._many(events, attrs))
        return self._many(events, attrs)

    def one_by_one(self, batch: Batch) -> list[bool | str]:
        """One answer for each event; where a pattern took too long, why. For when `select` raised TooSlow."""
        from shipper.text.patience import Ticking

        with Ticking():
            return [self._answer(event, batch.attrs) for event in batch.events]

    def _answer(self, event: Event, attrs: Attrs) -> bool | str:
        try:
            return self._one(event, attrs)
        except TooSlow as error:
            return str(error)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"a Condition does not change: {name}")

    def __reduce__(self) -> Any:
        return Condition, (self.text,)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Condition) and other.text == self.text

    def __hash__(self) -> int:
        return hash(("Condition", self.text))

"""Warnings of regular expressions that can take very long, wherever a configuration holds one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from shipper.config.walk import walk
from shipper.options import Options
from shipper.text.conditions import Condition

__all__ = ["risky"]


def risky(options: Options) -> Iterator[tuple[str, str]]:
    """Pairs of an option's path and a sentence."""
    for path, value in walk(options):
        for pattern in (
            (value,) if isinstance(value, re.Pattern) else value.patterns if isinstance(value, Condition) else ()
        ):
            from shipper.text.patience import warning  # not before there is a pattern

            if said := warning(pattern, guarded=isinstance(value, Condition) or ours(options)):
                yield path, said


def ours(options: Options) -> bool:
    """Whether it is a component of the house, which runs its patterns against the clock, or a plugin, which may not."""
    return type(options).__module__.startswith("shipper.")

"""How often a scenario repeats its fault, by tier; and its seeds."""

from __future__ import annotations

import os

import pytest

_asked: set[str] = set()


def choose(markexpr: str) -> None:
    """`-m nightly` runs the large counts (called by conftest)."""
    _asked.update(name for name in ("faults", "nightly") if name in markexpr and f"not {name}" not in markexpr)


def chosen() -> bool:
    """Whether the command asked for the battery."""
    return bool(_asked)


def nightly() -> bool:
    return "nightly" in _asked


def tier(c: int, n: int) -> int:
    """`tier(c=20, n=100)`: 20 with each commit, 100 in the nightly tier. Ask inside the test, not at import."""
    return n if nightly() else c


seeded = pytest.mark.parametrize("seed", ["fixed", "fresh"], indirect=True)
"""The scenario runs twice: with the seed that never changes, and with a new one (SHIPPER_SEED=N repeats it)."""

FIXED = 20260804


def resolve(kind: str) -> int:
    if kind == "fixed":
        return FIXED
    return int(os.environ.get("SHIPPER_SEED") or int.from_bytes(os.urandom(4), "big"))

"""How often a scenario repeats its fault, by tier; and its seeds."""

from __future__ import annotations

import os

import pytest

_nightly = os.environ.get("SHIPPER_TIER") == "n"
_chosen = False


def choose(markexpr: str) -> None:
    """`-m nightly` runs the large counts, unless SHIPPER_TIER says which (called by conftest)."""
    global _nightly, _chosen
    said = os.environ.get("SHIPPER_TIER")
    _chosen = any(name in markexpr and f"not {name}" not in markexpr for name in ("faults", "nightly"))
    _nightly = said == "n" if said else "nightly" in markexpr and "not nightly" not in markexpr


def chosen() -> bool:
    """Whether the command asked for the battery."""
    return _chosen


def nightly() -> bool:
    return _nightly


def tier(c: int, n: int) -> int:
    """`tier(c=20, n=100)`: 20 with each commit, 100 in the nightly tier. Ask inside the test, not at import."""
    return n if _nightly else c


seeded = pytest.mark.parametrize("seed", ["fixed", "fresh"], indirect=True)
"""The scenario runs twice: with the seed that never changes, and with a new one (SHIPPER_SEED=N repeats it)."""

FIXED = 20260804


def resolve(kind: str) -> int:
    if kind == "fixed":
        return FIXED
    return int(os.environ.get("SHIPPER_SEED") or int.from_bytes(os.urandom(4), "big"))

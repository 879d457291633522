"""Memory of a backlog is given back."""

from __future__ import annotations

from pathlib import Path

from shipper.pipeline.budget import Budget
from shipper.pipeline.heap import HIGH, LOW, Heap


def resident() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_what_a_backlog_left_goes_back() -> None:
    """Holes between what stays are resident until somebody gives them back; only once, and not while there is a backlog."""
    budget = Budget(2**30)
    heap = Heap(budget)
    pieces = [b"x" * 60_000 for _ in range(1000)]
    budget.take(sum(map(len, pieces)))
    assert not heap.look()
    budget.give(budget.used)
    stays = pieces[::10]
    del pieces
    before = resident()
    assert heap.look()
    assert resident() < before - 32 * 2**20
    assert not heap.look()
    assert len(stays) == 100


def test_small_change_is_left_alone() -> None:
    """It is looked for only behind a backlog."""
    budget = Budget(2**30)
    heap = Heap(budget)
    budget.take(HIGH - 1)
    budget.give(HIGH - 1)
    assert not heap.look()
    budget.take(HIGH)
    budget.give(HIGH - 2 * LOW)
    assert not heap.look()
    budget.give(LOW)
    assert heap.look()

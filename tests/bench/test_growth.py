"""How growth is measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.growth import Curve, Point, by_connections, by_files, by_pipelines, parts, pieces
from bench.probe import Bench
from bench.run import sink
from bench.shipper import Shipper

SIZES = (1, 12)


def test_the_parts_of_a_file_are_the_file(tmp_path: Path) -> None:
    """Every line once, in order, in parts that differ by a line at most."""
    source = tmp_path / "in"
    source.write_text("".join(f"{n}\n" for n in range(1003)))
    found = [*parts(source, 1003, 10)]
    assert b"".join(line for part in found for line in part) == source.read_bytes()
    assert {len(part) for part in found} == {100, 101}


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_pieces_are_whole_lines(count: int) -> None:
    """Nothing is lost or cut where lines are joined for sending."""
    lines = [b"%d %s\n" % (n, b"x" * 40) for n in range(count)]
    found = pieces(lines)
    assert b"".join(found) == b"".join(lines)
    assert all(piece.endswith(b"\n") for piece in found)


def test_only_what_gets_dearer_counts_as_rise() -> None:
    """A curve that falls is no worse than a flat one."""

    def curve(*costs: float) -> Curve:
        return Curve("c", "c", "x", [Point(10**n, cost, 1.0) for n, cost in enumerate(costs)])

    assert curve(2.0, 1.0, 1.5).rise == 0
    assert curve(2.0, 3.0, 1.0).rise == pytest.approx(0.5)
    assert "<svg" in curve(2.0, 3.0).svg()


@pytest.mark.parametrize("measure", [by_files, by_pipelines, by_connections])
def test_each_size_is_run_and_counted(measure: Callable[..., Any], tmp_path: Path) -> None:
    """What is measured has delivered every line, once for each pipeline, or there would be no figure."""
    with sink() as server:
        curve = measure(Bench(Shipper(), tmp_path, server, 3000, 1), SIZES)
    assert [point.x for point in curve.points] == [*SIZES]
    assert all(point.memory > 2**20 for point in curve.points)

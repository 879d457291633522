"""The charts."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from bench.plot import HEIGHT, WIDTH, Panel, chart, short, ticks

SVG = "{http://www.w3.org/2000/svg}"


def test_a_chart_is_well_formed_and_everything_is_inside_it() -> None:
    """Names are escaped; no dot, grid line or label lies outside the picture."""
    panels = [Panel("CPU <us>", [(1, 2.0), (1000, 2.2)], band=0.1), Panel("memory & more", [(1, 40.0), (1000, 90.0)])]
    root = ElementTree.fromstring(chart("a < b", "files", panels))
    assert [each.text for each in root.iter(f"{SVG}title")] == ["a < b"]
    assert {"CPU <us>", "memory & more", "1", "1k"} <= {each.text for each in root.iter(f"{SVG}text")}
    for each in root.iter():
        for name, most in (("x", WIDTH), ("cx", WIDTH), ("y", HEIGHT), ("cy", HEIGHT)):
            assert 0 <= float(each.get(name, 0)) <= most


def test_what_is_flat_looks_flat() -> None:
    """The axis begins at 0: twice the value is twice as high."""
    root = ElementTree.fromstring(chart("t", "x", [Panel("p", [(1, 1.0), (10, 2.0), (100, 2.0)])]))
    first, second, third = (float(each.get("cy", 0)) for each in root.iter(f"{SVG}circle"))
    zero = max(float(re.split("[ Mh]", each.get("d", ""))[2]) for each in root.iter(f"{SVG}path"))
    assert second == third
    assert (zero - second) == pytest.approx(2 * (zero - first), abs=0.2)


def test_points_are_spread_by_their_logarithm() -> None:
    """1, 10 and 100 are equally far apart, in whatever order they come."""
    root = ElementTree.fromstring(chart("t", "x", [Panel("p", [(100, 1.0), (1, 1.0), (10, 1.0)])]))
    one, ten, hundred = (float(each.get("cx", 0)) for each in root.iter(f"{SVG}circle"))
    assert ten - one == pytest.approx(hundred - ten, abs=0.2)
    assert ten > one


def test_one_point_is_a_chart_and_none_is_not() -> None:
    """A single measurement stands in the middle; nothing to draw is an error, as is a number without a logarithm."""
    assert chart("t", "x", [Panel("p", [(5, 0.0)])]).count("<circle") == 1
    for points in ([], [(0, 1.0)]):
        with pytest.raises(ValueError, match="x > 0"):
            chart("t", "x", [Panel("p", points)])


@pytest.mark.parametrize(("top", "last"), [(0.37, 0.4), (1.0, 1.0), (2.1, 2.5), (99.0, 100.0), (120.0, 150.0)])
def test_ticks_are_round_and_few(top: float, last: float) -> None:
    """The highest tick is the first round number that is not below what is shown."""
    found = ticks(top)
    assert found[0] == 0
    assert found[-1] == pytest.approx(last)
    assert len(found) <= 6


def test_large_numbers_are_short() -> None:
    """An axis has little room."""
    assert [short(each) for each in (1, 1000, 100_000, 10_000_000, 0.5)] == ["1", "1k", "100k", "10M", "0.5"]

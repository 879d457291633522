"""The page that is written from what was measured, with made-up measurements."""

from __future__ import annotations

from typing import Any

import pytest

from bench.goals import verdicts
from bench.page import TEMPLATE, page
from bench.results import Results

MACHINE = {
    "processor": "a chip",
    "cpus": 2,
    "memory": 8 * 2**30,
    "system": "Linux",
    "python": "3.13.0",
    "packages": {"orjson": "3.0"},
    "peers": {"fluent-bit": "Fluent Bit v5.1.1"},
    "command": ["python", "-m", "bench.growth"],
}


def side(agent: str, *cpu: float, **more: Any) -> dict[str, Any]:
    runs = [{"cpu": each + 0.5, "lost": 0} for each in cpu]
    figures = {"cpu": cpu[0], "events_per_second": 1000.0, "rss": 50e6, "lost": 0.0, "stall": 0.01}
    return {"agent": agent, **figures, "idle": {"cpu": 0.5}, "runs": runs, **more}


def results(*sides: dict[str, Any], name: str = "json") -> Results:
    row = {"scenario": name, "title": "JSON -> file", "lines": 1_000_000, "agents": list(sides)}
    figure = {"probe": "start", "agent": "shipper", "what": "ready", "value": 400.0, "unit": "ms"}
    limit = {"goal": 300.0, "sign": "<=", "met": False}
    return Results({"command": ["python", "-m", "bench"], "rows": [row], "figures": [{**figure, **limit}]})


def growth(rise: float = 0.02) -> dict[str, Any]:
    points = [{"x": 1, "cost": 1.0, "memory": 1.0}, {"x": 1000, "cost": 1.0 + rise, "memory": 1.0}]
    curve = {"name": "files", "title": "More files", "across": "files", "points": points, "rise": rise, "goal": 0.1}
    return {**MACHINE, "curves": [curve]}


COUNTED = {
    "command": ["python", "-m", "bench.instructions"],
    "rows": {"json": {"title": "JSON -> file", "shipper": 20_000.0, "floor": 16_000.0}},
}
SIDES = (side("shipper", 1.0, 1.2, 1.4), side("floor", 1.0, 1.0, 1.0), side("fluent-bit", 5.0, 5.0, 5.0))


def test_ratios_are_taken_pair_by_pair() -> None:
    """The median of the ratios stands in the table, with the least and the most; start-up is off."""
    text = page(TEMPLATE.read_text(), results(*SIDES), growth(), COUNTED)
    assert "| 1.20x (1.00-1.40) | 5.00 | 0.24x (0.20-0.28) |" in text
    assert "| `json` JSON -> file | 20,000 | 16,000 | 1.25x |" in text
    assert "{{" not in text


def test_a_sentence_stands_where_there_is_no_figure() -> None:
    """A peer that cannot do the work has empty cells and its reason below the table, once for all its rows."""
    cannot = {"agent": "rsyslog", "why_not": "no module of it replaces text by a pattern"}
    text = page(TEMPLATE.read_text(), results(*SIDES, cannot), growth(), COUNTED)
    assert "- rsyslog, `json`: no module of it replaces text by a pattern." in text
    assert "| 0.24x (0.20-0.28) |  |  |" in text


def test_goals_are_judged_as_they_were_set() -> None:
    """Met and missed, by the median: the floor's 1.25, the peer's of that row, probes, growth."""
    found = {each.what: each.met for each in verdicts(results(*SIDES), growth(0.3))}
    assert found == {
        "`json`: CPU, of floor's": True,
        "`json`: CPU, of fluent-bit's": True,
        "memory under load, most of all rows": True,
        "stall of the event loop, longest of all rows": True,
        "start: ready": False,
        "growth with files: CPU an event": False,
    }
    text = page(TEMPLATE.read_text(), results(*SIDES), growth(0.3), COUNTED)
    assert "4 of 6 are met." in text
    assert "| start: ready | 400 ms | <= 300 ms | **not met** |" in text


@pytest.mark.parametrize(
    ("ours", "name", "missed"),
    [
        (side("shipper", 1.3, 1.3, 1.3), "json", "`json`: CPU, of floor's"),
        (side("shipper", 1.0, 1.0, 1.0, rss=130e6), "json", "`json`: memory"),
        (side("shipper", 1.0, 1.0, 1.0, stall=0.2), "json", "`json`: stall"),
        ({"agent": "shipper", "why_not": "lost a line"}, "json", "`json`"),
    ],
)
def test_a_row_over_its_goal_is_named(ours: dict[str, Any], name: str, missed: str) -> None:
    """What is missed says which scenario it was, and a scenario without a figure is missed."""
    found = verdicts(results(ours, *SIDES[1:], name=name), growth())
    assert missed in [each.what for each in found if not each.met]


def test_rows_that_write_nothing_have_no_floor_to_keep_to() -> None:
    """The goal against the floor is for rows that write somewhere."""
    ours = side("shipper", 3.0, 3.0, 3.0)
    found = verdicts(results(ours, *SIDES[1:], name="json-nothing"), growth())
    assert not [each for each in found if "floor" in each.what]

"""The benchmark itself, small: every scenario runs, and what came out is really checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.check import Wrong, check_file, check_samples
from bench.generate import generated
from bench.run import Run, Sink, sink
from bench.scenarios import SCENARIOS, Scenario

LINES = 2000


@pytest.fixture(scope="module")
def server() -> Iterator[Sink]:
    with sink() as running:
        yield running


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("who", ["agent", "floor"])
def test_what_comes_out_is_what_went_in(who: str, scenario: Scenario, server: Sink, tmp_path: Path) -> None:
    """Agent and floor do the same work: the count and the content of what came out are right for both."""
    source = generated(scenario.shape, LINES, tmp_path / "input")
    usage = getattr(Run(scenario, tmp_path / "run", source, LINES, server), who)()
    assert usage.cpu > 0
    assert usage.rss > 2**20


def test_the_same_seed_makes_the_same_lines(tmp_path: Path) -> None:
    """Two machines measure the same input; another seed makes another."""
    for shape in ("apache", "json", "syslog"):
        one, two, other = (
            generated(shape, 100, tmp_path / name, seed).read_text() for name, seed in (("a", 1), ("b", 1), ("c", 2))
        )
        assert one == two != other
        assert one.count("\n") == 100


def test_a_lost_or_changed_line_is_noticed(tmp_path: Path) -> None:
    """A missing line, a doubled one and a wrong one each mean that no time is printed."""
    source = generated("json", 10, tmp_path)
    lines = source.read_text().splitlines(keepends=True)
    out = tmp_path / "out"
    out.write_text("".join(lines))
    check_file("json", source, out, 10)
    for wrong in (lines[1:], [*lines, lines[0]], [lines[1], *lines[1:]]):
        out.write_text("".join(wrong))
        with pytest.raises(Wrong):
            check_file("json", source, out, 10)

    events = [json.loads(line) for line in lines]
    check_samples("json", source, {"events": 10, "samples": events}, 10)
    for tally in (
        {"events": 9, "samples": events[:9]},
        {"events": 10, "samples": [{**events[0], "msg": "changed"}]},
        {"events": 10, "samples": [{**events[0], "id": 11}]},
        {"events": 10, "samples": []},
    ):
        with pytest.raises(Wrong):
            check_samples("json", source, tally, 10)

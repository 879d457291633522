"""The benchmark itself, small: every scenario runs, and what came out is really checked."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import orjson
import pytest

from bench.agents import Agent, Cannot, Floor, Job
from bench.check import (
    COMPARE,
    Wrong,
    check_file,
    check_lossy,
    check_numbered,
    check_samples,
    expected,
    matches,
    records,
    wanted,
)
from bench.floor_parse import PARSERS
from bench.floor_read import reader
from bench.generate import SHAPES, generated
from bench.pairs import Row, Side, measured
from bench.probe import Bench, Figure
from bench.probes import PROBES as ALL_PROBES
from bench.probes.files import files
from bench.probes.idle import idle
from bench.probes.latency import latency
from bench.probes.outage import outage
from bench.probes.start import start
from bench.report import as_json, figure_line, lines
from bench.run import Run, Sink, Usage, sink
from bench.scenarios import SCENARIOS, Scenario, to
from bench.shipper import Shipper
from bench.sink import bulk

LINES = 2000
PROBES = {probe.name: probe for probe in ALL_PROBES}
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


@pytest.fixture(scope="module")
def server() -> Iterator[Sink]:
    with sink() as running:
        yield running


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("agent", [Shipper(), Floor()], ids=lambda agent: agent.name)
def test_what_comes_out_is_what_went_in(agent: Agent, scenario: Scenario, server: Sink, tmp_path: Path) -> None:
    """Agent and floor do the same work: the count and the content of what came out are right for both."""
    source = generated(scenario.shape, LINES, tmp_path / "input")
    usage = Run(scenario, tmp_path / "run", source, server)(agent)
    assert usage.cpu > 0
    assert usage.rss > 2**20


def test_the_same_seed_makes_the_same_lines(tmp_path: Path) -> None:
    """Two machines measure the same input; another seed makes another."""
    for shape in SHAPES:
        one, two, other = (
            generated(shape, 100, tmp_path / name, seed).read_text() for name, seed in (("a", 1), ("b", 1), ("c", 2))
        )
        assert one == two != other
        assert one.count("\n") == 100


def test_a_lost_or_changed_line_is_noticed(tmp_path: Path) -> None:
    """A missing line, a doubled one and a wrong one each mean that no time is printed."""
    source = generated("json", 10, tmp_path)
    rows = source.read_text().splitlines(keepends=True)
    out = tmp_path / "out"
    out.write_text("".join(rows))
    check_file("json", source, out, 10)
    check_numbered("json", source, out, 10)
    for wrong in (rows[1:], [*rows, rows[0]], [rows[1], *rows[1:]], ["{}\n", *rows[1:]]):
        out.write_text("".join(wrong))
        with pytest.raises(Wrong):
            check_file("json", source, out, 10)

    events = [json.loads(row) for row in rows]
    check_samples("json", source, {"events": 10, "samples": events}, 10)
    for tally in (
        {"events": 9, "samples": events[:9]},
        {"events": 10, "samples": [{**events[0], "msg": "changed"}]},
        {"events": 10, "samples": [{**events[0], "id": 11}]},
        {"events": 10, "samples": []},
    ):
        with pytest.raises(Wrong):
            check_samples("json", source, tally, 10)


def test_of_what_has_no_order_each_event_is_looked_for(tmp_path: Path) -> None:
    """Posted over several connections lines come in any order, but each once and as it was."""
    source = generated("json", 10, tmp_path)
    rows = source.read_text().splitlines(keepends=True)
    out = tmp_path / "out"
    out.write_text("".join(rows[::-1]))
    check_numbered("json", source, out, 10)
    for wrong in (rows[1:], [*rows, rows[0]], [rows[0].replace('"GET"', '"PUT"'), *rows[1:]]):
        out.write_text("".join(wrong))
        with pytest.raises(Wrong):
            check_numbered("json", source, out, 10)


def test_datagrams_may_be_missing_but_not_doubled_late_or_changed(tmp_path: Path) -> None:
    """What the kernel drops is counted; everything else is as wrong as ever."""
    source = generated("bsd", 4, tmp_path)
    events = [orjson.dumps(event).decode() + "\n" for event in PARSERS["bsd"](source.read_bytes().rstrip(b"\n"))]
    out = tmp_path / "out"
    out.write_text("".join(events[::2]))
    check_lossy(source, out)
    for wrong in ([events[0], events[0]], [events[1], events[0]], [events[0].replace("took", "gave")]):
        out.write_text("".join(wrong))
        with pytest.raises(Wrong):
            check_lossy(source, out)


def test_what_a_condition_lets_through_is_known_before(tmp_path: Path) -> None:
    """Each of the ten files is compared with the lines that fulfil its condition, and with no others."""
    source, ten = generated("json", 500, tmp_path), BY_NAME["ten"]
    counts = expected(source, ten)
    assert all(0 < count < 500 for count in counts)
    numbers = wanted(source, "json", tuple(route.where for route in ten.routes))
    rows = source.read_text().splitlines(keepends=True)
    out = tmp_path / "out"
    errors = [row for row in rows if '"level":"error"' in row]
    out.write_text("".join(errors))
    check_file("json", source, out, numbers[0])
    for wrong in (errors[1:], [*errors[:-1], next(row for row in rows if '"level":"info"' in row)]):
        out.write_text("".join(wrong))
        with pytest.raises(Wrong):
            check_file("json", source, out, numbers[0])


def test_malformed_lines_are_kept_and_marked() -> None:
    """A broken line that came out as it was is right only with its mark; a whole one only with its fields."""
    for parse, whole, broken in (
        ("json", '{"a":1}', '{"a":1'),
        ("regex", next(SHAPES["apache"](random.Random(1), 1))[:-1], "203.0.113.7 - - nothing"),
    ):
        right = PARSERS[parse](whole.encode())[0]
        kept = {"message": broken, "shipper_error": "parse: why"}
        assert matches(COMPARE[parse], whole, right)
        assert matches(COMPARE[parse], broken, kept)
        assert not matches(COMPARE[parse], whole, {**kept, "message": whole})
        assert not matches(COMPARE[parse], broken, {**kept, "message": broken[1:]})
        assert not matches(COMPARE[parse], broken, {"message": broken})
        assert not matches(COMPARE[parse], whole, dict.fromkeys(right, 2))


@pytest.mark.parametrize("shape", ["trace", "cri"])
def test_records_of_several_lines_are_the_same_for_floor_and_check(shape: str, tmp_path: Path) -> None:
    """However the chunks fall, the floor makes the events that the check expects."""
    source = generated(shape, 5000, tmp_path)
    found = [event["message"] for data in reader("file", shape, str(source)) for event in PARSERS[shape](data)]
    with source.open() as file:
        known = [*records(shape, file)]
    assert found == (known if shape == "trace" else [record.split(" ", 3)[3] for record in known])
    assert 1000 < len(found) < 5000


def test_a_bulk_answer_holds_what_was_asked_for() -> None:
    """`filter_path` leaves out what it does not name; of items of which nothing is left, nothing is said."""
    whole = orjson.loads(bulk("", 2))
    assert whole["took"] == 1
    assert len(whole["items"]) == 2
    assert bulk("errors,items.*.status,items.*.error.type", 2) == (
        b'{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}'
    )
    assert bulk("items.*.status", 1) == b'{"items":[{"create":{"status":201}}]}'
    assert bulk("errors,items.*.error", 1) == b'{"errors":false}'
    assert orjson.loads(bulk("took,items", 1)) == {"took": 1, "items": whole["items"][:1]}


class Unable:
    """An agent that cannot do it."""

    name = "unable"

    def command(self, job: Job) -> list[str]:
        raise Cannot("it has no files")

    def ends(self, job: Job) -> bool:
        return True

    def ready(self, job: Job) -> bool:
        return True

    def delivered(self, job: Job) -> int | None:
        return None

    def says(self, job: Job) -> dict[str, float]:
        return {}


def test_agents_stand_side_by_side_and_one_that_cannot_says_why(server: Sink, tmp_path: Path) -> None:
    """A row has a line for each agent; one that fails spoils nobody else's figures."""
    row = measured(BY_NAME["raw"], [Shipper(), Floor(), Unable()], tmp_path, LINES, 1, server)
    ours, floor, unable = row.sides
    assert not ours.why_not
    assert len(ours.runs) == len(floor.runs) == 1
    assert ours.observed is not None
    assert ours.figures()["stall"] >= 0  # asked of a run that was kept alive
    assert unable.why_not == "it has no files"
    assert "no figure: it has no files" in lines(row)
    assert [side["agent"] for side in json.loads(as_json([row], []))["rows"][0]["agents"]] == [
        "shipper",
        "floor",
        "unable",
    ]


def test_ratios_are_taken_pair_by_pair_without_the_start() -> None:
    """The start is taken off both, and what was lost is not counted as work."""
    usage = Usage(cpu=1.0, wall=1.0, rss=1)
    ours = Side("a", 1000, usage, [replace(usage, cpu=3.0), replace(usage, cpu=2.0, lost=500)])
    floor = Side("floor", 1000, usage, [replace(usage, cpu=2.0), replace(usage, cpu=2.0)])
    row = Row(BY_NAME["raw"], 1000, [ours, floor])
    assert row.ratios(ours, floor) == [2.0, 2.0]


def test_an_agent_that_loses_lines_gets_no_figure(server: Sink, tmp_path: Path) -> None:
    """The check stands between an agent and the table."""
    source = generated("apache", LINES, tmp_path / "input")

    class Lossy(Floor):
        def command(self, job: Job) -> list[str]:
            short = job.folder / "short.log"
            short.write_bytes(source.read_bytes()[:-500])
            return [*super().command(replace(job, source=short))]

    for write in ("file", "http"):
        scenario = replace(BY_NAME["raw"], routes=to(write))
        with pytest.raises(Wrong, match="were to come"):
            Run(scenario, tmp_path / "run", source, server)(Lossy())


SHORT: dict[str, Callable[[Bench], list[Figure]]] = {
    "start": partial(start, runs=1),
    "idle": partial(idle, settle=0.1, seconds=0.5),
    "latency": partial(latency, seconds=1),
    "files": partial(files, many=100, seconds=1),
    "malformed": PROBES["malformed"].measure,
    "outage": partial(outage, seconds=2),
    "workers": PROBES["workers"].measure,
}


MAY_BE_NOTHING = re.compile("CPU|stall")
"""So little that nothing was counted: start-up is taken off, and the loop of a quiet machine is never late."""


@pytest.mark.parametrize("name", PROBES)
def test_probes_give_figures(name: str, server: Sink, tmp_path: Path) -> None:
    """Each probe, as short as it can be, measures what its goals are about; an outage loses nothing, and sends nothing twice."""
    found = SHORT[name](Bench(Shipper(), tmp_path, server, lines=LINES, runs=1))
    assert all(figure.probe == name and figure.agent == "shipper" for figure in found)
    assert any(figure.goal is not None for figure in found)
    figures = {figure.what: figure.value for figure in found}
    lost, twice = f"503 for 2 s: lost of {LINES:,}", "503 for 2 s: twice"
    assert [figures.pop(what, 0) for what in (lost, twice)] == [0, 0]
    assert all(value > 0 for what, value in figures.items() if not MAY_BE_NOTHING.search(what))


def test_a_goal_that_is_missed_is_said() -> None:
    """The goal stands beside the figure, and the word behind it when it is not reached."""
    figure = Figure("start", "shipper", "file to file", 350, "ms", 300)
    assert figure_line(figure).endswith("<= 300 ms  missed")
    assert figure_line(replace(figure, value=250)).endswith("<= 300 ms")
    assert figure_line(replace(figure, goal=None)).endswith("350 ms")

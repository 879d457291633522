"""Which way dead letters go again, and what a running process says of those it could not keep."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shipper.api.metrics import page
from shipper.api.status import Status
from shipper.config.load import load
from shipper.config.model import Config
from shipper.delivery.letters import Letter
from shipper.pipeline.replay import NoWay, ways
from shipper.pipeline.runner import Runner

CONFIG = """
data_dir: ./data
api: null
dead_letters: {max_bytes: 1MiB, rotate: 64KiB, when_full: drop_oldest}
inputs: {app: {type: stdin}}
filters:
  a: {type: set, fields: {a: 1}}
  b: {type: set, fields: {b: 1}}
  same: {type: set, fields: {c: 1}}
outputs:
  out: {type: stdout}
  same: {type: stdout}
pipelines:
  one: {inputs: [app], filters: [a, b, same], outputs: [out, same]}
  two: {inputs: [app], filters: [b], outputs: [out]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "shipper.yaml").write_text(CONFIG)
    return load([tmp_path / "shipper.yaml"])


def told(config: Config, component: str, through: str | None = None) -> list[tuple[str, list[str], list[str]]]:
    return [
        (way.pipe.name, way.pipe.filters, [route.output for route in way.pipe.outputs])
        for way in ways(config, component, through)
    ]


def test_each_letter_has_one_way(config: Config) -> None:
    """An output's go to it, a filter's go on at it in their own pipeline, whatever else has that name."""
    assert told(config, "out") == [("dlq-replay", [], ["out"])]
    assert told(config, "a") == [("one", ["a", "b", "same"], ["out", "same"])]
    assert told(config, "b") == [("one", ["b", "same"], ["out", "same"]), ("two", ["b"], ["out"])]
    assert told(config, "same") == [("dlq-replay", [], ["same"]), ("one", ["same"], ["out", "same"])]
    assert told(config, "b", "one") == [("one", ["a", "b", "same"], ["out", "same"])]
    for component in ("out", "a", "b", "same"):
        for letter in ({"pipeline": "one"}, {"pipeline": "two"}, {}):
            taking = [way.pipe.name for way in ways(config, component) if way.accepts(letter)]
            if (component, letter) in [("b", {}), ("same", {"pipeline": "two"})]:
                assert taking == [], "nobody knows which"
            else:
                assert len(taking) == 1, (component, letter)
    assert [way.accepts({"pipeline": "one"}) for way in ways(config, "same")] == [False, True]


def test_nowhere_to_go_is_an_error(config: Config) -> None:
    """For a component that is configured no more, and a pipeline that is not there."""
    for component, through in (("gone", None), ("out", "nix")):
        with pytest.raises(NoWay):
            ways(config, component, through)


async def test_what_was_dropped_is_a_metric_and_the_options_follow_a_reload(config: Config, tmp_path: Path) -> None:
    """The oldest letters that gave way are in `shipper_dropped_events_total` with their component."""
    runner = Runner(config, reload=lambda: load([tmp_path / "shipper.yaml"]))
    letters = [Letter({"m": "x" * 1000}, "no")] * 100
    for _ in range(20):
        await asyncio.wait_for(runner.dead_letters.put("out", letters), 10)
    (flow,) = runner.dead_letters.flows
    assert flow.gave_way > 0
    assert f'shipper_dropped_events_total{{component="out",reason="dead_letters_full"}} {flow.gave_way}\n' in page(
        runner
    )
    assert Status(runner)()["dead_letters"] == {"out": {"gave_way": flow.gave_way, "last_error": None}}
    (tmp_path / "shipper.yaml").write_text(CONFIG.replace("1MiB", "2MiB"))
    assert await runner.reload()
    assert runner.dead_letters.policy.max_bytes == 2 * 2**20

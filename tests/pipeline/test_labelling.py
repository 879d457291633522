"""Ids go to the outputs that want them, and to no other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from shipper.batch import ID
from shipper.clock import Clock
from shipper.config.load import load
from shipper.config.model import Config
from shipper.delivery.dead_letters import DeadLetters
from shipper.delivery.letters import Letter
from shipper.delivery.replay import Stock
from shipper.delivery.shelf import Shelf
from shipper.pipeline.labelling import fitting, mark
from shipper.pipeline.replay import configured as replaying
from shipper.pipeline.replay import ways
from shipper.pipeline.runner import Runner

PLUGINS = Path(__file__).parent / "plugins"
FORM = re.compile("[0-9a-f]{16}-[0-9a-f]+")


def configured(folder: Path, text: str) -> Config:
    (folder / "shipper.yaml").write_text(f"data_dir: ./data\nplugins: [{PLUGINS}]\n{text}")
    return load([folder / "shipper.yaml"])


async def kept(config: Config) -> dict[str, list[dict[str, Any]]]:
    """What each output got, in one run to its end."""
    classes: set[Any] = {spec.cls for spec in config.outputs.values()}
    for cls in {*classes, *(spec.cls for spec in config.inputs.values() if hasattr(spec.cls, "committed"))}:
        if hasattr(cls, "kept"):
            cls.kept.clear()
        else:
            cls.committed = 0
    assert await Runner(config).run() == 0
    return {name: events for cls in classes for name, events in cls.kept.items()}


async def test_only_who_wants_ids_gets_them(tmp_path: Path) -> None:
    """An output with ids gets each event with one, its neighbour the same events without."""
    (tmp_path / "a.log").write_text("one\ntwo\n")
    config = configured(
        tmp_path,
        """
inputs:
  in: {type: lines, count: 3}
  log: {type: file, include: [a.log], follow: false, codec: ndjson}
outputs: {named: {type: named}, plain: {type: memory}}
pipelines:
  main:
    inputs: [in, log]
    outputs: [{output: plain, when: "n != 1"}, {output: named, when: "n != 2"}]
""",
    )
    found = await kept(config)
    assert sorted(event.get("n", event.get("message")) for event in found["named"] if "n" in event) == [0, 1]
    ids = [event[ID] for event in found["named"]]
    assert len(set(ids)) == 4 and all(FORM.fullmatch(name) for name in ids)
    assert len(found["plain"]) == 4 and not any(ID in event for event in found["plain"])


async def test_nobody_asks_nobody_pays(tmp_path: Path) -> None:
    """Without an output that wants ids no input gives any, also beside a pipeline that has some."""
    config = configured(
        tmp_path,
        """
inputs: {in: {type: lines, count: 3}, other: {type: lines, count: 3}}
outputs: {named: {type: named}, plain: {type: memory}}
pipelines:
  with: {inputs: [in], outputs: [named]}
  without: {inputs: [other], outputs: [plain]}
""",
    )
    assert [spec.ids for spec in config.inputs.values()] == [True, False]
    assert fitting(config, config.pipelines["without"], "plain") is None
    assert mark(config, config.pipelines["with"]) == ""


async def test_two_ways_are_two_documents(tmp_path: Path) -> None:
    """What reaches an output by two pipelines keeps both, and each has the same id whenever it is sent."""
    config = configured(
        tmp_path,
        """
inputs: {in: {type: lines, count: 2}}
filters: {mark: {type: set, fields: {again: true}}}
outputs: {named: {type: named}}
pipelines:
  first: {inputs: [in], outputs: [named]}
  second: {inputs: [in], filters: [mark], outputs: [named]}
""",
    )
    found = (await kept(config))["named"]
    once = [event[ID] for event in found if "again" not in event]
    again = [event[ID] for event in found if "again" in event]
    assert sorted(again) == sorted(f"{name}@second" for name in once) and len(set(once)) == 2


async def test_a_dead_letter_keeps_its_id(tmp_path: Path) -> None:
    """What a filter sets aside can be sent again later as the document that it would have been."""
    config = configured(
        tmp_path,
        """
inputs: {in: {type: lines, count: 2}}
filters: {strict: {type: parse, format: json, field: n, on_error: dead_letter}}
outputs: {named: {type: named}}
""",
    )
    assert not (await kept(config)).get("named")
    letters = (tmp_path / "data" / "dead_letters" / "strict.ndjson").read_text().splitlines()
    ids = [json.loads(line)["event"][ID] for line in letters]
    assert len(set(ids)) == 2 and all(FORM.fullmatch(name) for name in ids)


@pytest.mark.parametrize(("kind", "there"), [("named", True), ("memory", False)])
async def test_a_letter_that_is_sent_again_is_the_same_document(kind: str, there: bool, tmp_path: Path) -> None:
    """With the id that it was set aside with, where ids are wanted; without it elsewhere."""
    config = configured(tmp_path, f"inputs: {{in: {{type: lines}}}}\noutputs: {{out: {{type: {kind}}}}}")
    await DeadLetters(tmp_path / "data" / "dead_letters", Clock()).put("out", [Letter({"n": 1, ID: "f-0@x"}, "no")])
    shelf = Shelf(tmp_path / "data" / "dead_letters")
    (way,) = ways(config, "out")
    found = await kept(replaying(config, way, Stock(shelf, "out", Clock(), 1.0)))
    assert found == {"out": [{"n": 1, **({ID: "f-0@x"} if there else {})}]}


@pytest.mark.parametrize(("before", "after", "same"), [("memory", "named", False), ("named", "named", True)])
def test_ids_need_an_input_that_gives_them(before: str, after: str, same: bool, tmp_path: Path) -> None:
    """A reload after which ids are wanted begins the input anew; one that changes nothing leaves it alone."""
    text = "inputs: {{in: {{type: lines}}}}\noutputs: {{out: {{type: {}}}}}"
    old = configured(tmp_path, text.format(before))
    new = configured(tmp_path, text.format(after))
    assert new.inputs["in"].same(old.inputs["in"]) is same

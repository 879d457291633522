"""A whole process in one test: started, fed, stopped, reloaded."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipper.api.metrics import page
from shipper.api.status import Status, not_ready
from shipper.clock import Clock
from shipper.config.load import load
from shipper.config.model import Config
from shipper.pipeline.ledger import Ledger
from shipper.pipeline.runner import Locked, Runner
from shipper.pipeline.topology import OpenError

PLUGINS = Path(__file__).parent / "plugins"
BASE = """
data_dir: ./data
shutdown_grace: 300ms
plugins: [{plugins}]
inputs:
  in: {{type: lines, count: {count}, forever: {forever}{more}}}
filters:
  mark: {{type: set, fields: {{mark: true}}}}
outputs:
  out: {{type: memory{output}}}
"""


class World:
    """A folder with a configuration, and what its run left behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "shipper.yaml"
        self.runner: Runner | None = None

    def write(self, text: str = BASE, **values: Any) -> Path:
        given = {"plugins": PLUGINS, "count": 10, "forever": "false", "more": "", "output": "", **values}
        self.file.write_text(text.format(**given))
        return self.file

    def config(self) -> Config:
        return load([self.file])

    def start(self) -> Runner:
        config = self.config()
        self.lines, self.memory = config.inputs["in"].cls, config.outputs["out"].cls
        self.lines.committed = 0  # type: ignore[attr-defined]
        for kept in (self.memory.kept, self.memory.tries):  # type: ignore[attr-defined]
            kept.clear()
        self.runner = Runner(config, reload=self.config)
        return self.runner

    def kept(self, name: str = "out") -> list[dict[str, Any]]:
        kept: list[dict[str, Any]] = self.memory.kept[name]  # type: ignore[attr-defined]
        return kept


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.005)


async def test_ends_by_itself_when_everything_is_delivered(world: World) -> None:
    """Inputs that end, end the process, with 0 and with everything delivered."""
    world.write()
    runner = world.start()
    assert await runner.run() == 0
    assert [event["n"] for event in world.kept()] == list(range(10))
    assert all(event["file"] == "lines" and event["mark"] is True for event in world.kept())
    assert world.lines.committed == 10  # type: ignore[attr-defined]


async def test_an_input_that_fails_goes_on_where_it_was(world: World) -> None:
    """What it raised is seen, and no line is lost or doubled."""
    world.write(more=", fail_at: 5")
    runner = world.start()
    runner.clock.sleep = lambda seconds: asyncio.sleep(0)  # type: ignore[method-assign, assignment]
    assert await runner.run() == 0
    assert [event["n"] for event in world.kept()] == list(range(10))
    assert "disk went away" in runner.topology.sources["in"].feed.flow.last_error


async def test_a_stop_while_the_output_is_down_keeps_the_position(world: World) -> None:
    """After the grace the process ends with 0: the source says again what was not delivered."""
    world.write(forever="true", output=", broken_until: 1000000")
    runner = world.start()
    running = asyncio.ensure_future(runner.run())
    await until(lambda: runner.topology.in_flight == 10)
    assert not_ready(runner) == []
    runner.stop()
    assert await asyncio.wait_for(running, 5) == 0
    assert world.lines.committed == 0  # type: ignore[attr-defined]
    flow = runner.topology.pipelines["main"].flow
    assert (flow.returned, flow.unaccounted) == (10, 0)


async def test_the_sums_add_up_and_the_page_says_so(world: World) -> None:
    """Metrics and status can be read at any time, with no event unaccounted for."""
    world.write(forever="true")
    runner = world.start()
    running = asyncio.ensure_future(runner.run())
    await until(lambda: len(world.kept()) == 10 and runner.topology.in_flight == 0)
    text = page(runner)
    assert 'shipper_input_events_total{input="in"} 10' in text
    assert 'shipper_output_events_total{output="out"} 10' in text
    assert 'shipper_unaccounted_events{pipeline="main"} 0' in text
    assert 'shipper_unaccounted_events{output="out"} 0' in text
    status = Status(runner)()
    assert status["outputs"]["out"]["delivered"] == 10
    assert status["ready"]["ok"]
    runner.stop()
    assert await running == 0


async def test_one_process_per_data_folder(world: World) -> None:
    """A second one says who holds it."""
    world.write(forever="true")
    runner = world.start()
    running = asyncio.ensure_future(runner.run())
    await runner.opened.wait()
    with pytest.raises(Locked, match="in use by process"):
        await Runner(world.config()).run()
    runner.stop()
    await running


async def test_what_cannot_be_opened_is_named(world: World) -> None:
    """The error says which component, where it is written, and why."""
    world.write(output=", cannot_open: true")
    with pytest.raises(
        OpenError, match=r"shipper.yaml:\d+: outputs.out: cannot be opened: Permission denied: /somewhere"
    ):
        await world.start().run()


async def test_reload_exchanges_what_changed(world: World) -> None:
    """A new option of an output applies to what comes next, and nothing is lost or doubled on the way."""
    world.write(forever="true")
    runner = world.start()
    running = asyncio.ensure_future(runner.run())
    await until(lambda: len(world.kept()) == 10)
    world.write(forever="true", count=20, output=", label: new")
    assert await runner.reload()
    await until(lambda: len(world.kept()) == 20)
    assert [event["n"] for event in world.kept()] == list(range(20))
    assert [event.get("label") for event in world.kept()] == [None] * 10 + ["new"] * 10
    assert runner.reloads == {"ok": 1}
    runner.stop()
    assert await running == 0


async def test_a_bad_reload_changes_nothing(world: World) -> None:
    """Mistakes, outputs that cannot be opened and what needs a restart leave everything as it was, and are seen."""
    world.write(forever="true")
    runner = world.start()
    running = asyncio.ensure_future(runner.run())
    await until(lambda: len(world.kept()) == 10)
    before = (runner.topology.outlets["out"], runner.topology.sources["in"], runner.topology.pipelines["main"])
    for text, word in (
        ("inputs: [", "valid YAML"),
        (BASE.replace("type: memory", "type: memory, cannot_open: true"), "cannot be opened"),
        (BASE.replace("./data", "./other"), "restart"),
    ):
        world.file.write_text(text if "{plugins}" not in text else "")
        if "{plugins}" in text:
            world.write(text, forever="true")
        assert not await runner.reload()
        assert word in runner.last_reload["reason"]
    assert runner.reloads == {"failed": 3}
    assert before == (runner.topology.outlets["out"], runner.topology.sources["in"], runner.topology.pipelines["main"])
    runner.stop()
    assert await running == 0


async def test_an_output_that_leaves_delivers_what_it_holds(world: World) -> None:
    """After a reload the old output drains beside the new one."""
    world.write(forever="true", output=", broken_until: 3, delivery: {retry: {first: 50ms}}")
    runner = world.start()
    running = asyncio.ensure_future(runner.run())
    await until(lambda: runner.topology.in_flight == 10)
    kept = world.kept()
    text = BASE.replace("  out: {{type: memory{output}}}", "  two: {{type: memory}}")
    world.write(text, forever="true")
    assert await runner.reload()
    await until(lambda: len(kept) == 10 and not runner.topology.leaving)
    assert list(runner.topology.outlets) == ["two"]
    runner.stop()
    assert await running == 0


async def test_a_reload_takes_a_changed_python_file(world: World) -> None:
    """The configuration is the same, the file it names is not: the new code runs."""
    text = BASE.replace("{{type: set, fields: {{mark: true}}}}", "{{type: python, file: f.py, function: f}}")
    code = "def f(event):\n    event['v'] = {}\n    return event\n"
    (world.folder / "f.py").write_text(code.format(1))
    world.write(text, forever="true")
    runner = world.start()
    running = asyncio.ensure_future(runner.run())
    await until(lambda: len(world.kept()) == 10)
    (world.folder / "f.py").write_text(code.format(2))
    world.write(text, forever="true", count=20)
    assert await runner.reload()
    await until(lambda: len(world.kept()) == 20)
    assert [event["v"] for event in world.kept()] == [1] * 10 + [2] * 10
    runner.stop()
    assert await running == 0


async def test_a_reload_that_exchanges_the_only_input_does_not_end_the_process(world: World) -> None:
    """Between the input that left and the one that comes there is none, and that is not the end."""
    slow = ", broken_until: 20, delivery: {retry: {first: 10ms, max: 10ms}}"
    world.write(forever="true", output=slow)
    runner = world.start()
    running = asyncio.ensure_future(runner.run())
    await until(lambda: runner.topology.in_flight == 10)
    world.write(forever="true", count=20, output=slow)
    assert await runner.reload()  # the old input drains first, and that takes some tries
    await until(lambda: len(world.kept()) == 20)
    assert not running.done()
    runner.stop()
    assert await running == 0


async def test_what_a_removed_input_had_on_its_way_stays_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An input that a reload takes out while its output is down is still accounted for at the stop."""
    monkeypatch.setattr("shipper.pipeline.inputs.DRAIN", 0.05)
    world.write(forever="true", output=", broken_until: 1000000")
    runner = world.start()
    running = asyncio.ensure_future(runner.run())
    await until(lambda: runner.topology.in_flight == 10)
    text = BASE.replace("  in: {{", "  other: {{")
    world.write(text, forever="true", count=0, output=", broken_until: 1000000")
    assert await runner.reload()
    assert list(runner.topology.sources) == ["other"]
    assert runner.topology.in_flight == 10
    assert runner.held() == 0  # it can say them again
    runner.topology.left[0].input.repeatable = False  # type: ignore[misc]
    assert runner.held() == 10
    runner.stop()
    assert await asyncio.wait_for(running, 5) == 3


LEAVING = """
data_dir: ./data
shutdown_grace: 300ms
plugins: [{plugins}]
inputs:
  stays: {{type: lines, count: 0, forever: true}}
  goes: {{type: parting, pause: {pause}}}
filters:
  mark: {{type: set, fields: {{mark: true}}}}
outputs:
  out: {{type: memory}}
  gone: {{type: memory}}
pipelines:
  kept: {{inputs: [stays], outputs: [out]}}
  main: {{inputs: [goes], filters: [mark], outputs: [gone]}}
"""
STAYING = LEAVING.replace("  main:", "#").replace("  goes:", "#").replace("  gone:", "#")


async def leaving(world: World, pause: float) -> tuple[Runner, asyncio.Future[int]]:
    """A process that is about to lose an input with its whole pipeline at the next reload."""
    config = load([world.write(LEAVING, pause=pause)])
    world.memory = config.outputs["gone"].cls
    world.memory.kept.clear()  # type: ignore[attr-defined]
    runner = Runner(config, reload=world.config)
    running = asyncio.ensure_future(runner.run())
    await until(lambda: runner.state == "running")
    world.write(STAYING, pause=pause)
    return runner, running


async def test_what_a_leaving_input_says_last_still_goes_its_way(world: World) -> None:
    """What an input hands on when a reload stops it passes the filters and the output that leave with it."""
    runner, running = await leaving(world, 0.05)
    assert await runner.reload()
    await until(lambda: world.kept("gone"))
    assert [(event["n"], event["mark"]) for event in world.kept("gone")] == [(1, True)]
    await until(lambda: not runner.topology.leaving)
    runner.stop()
    assert await running == 0


async def test_a_stop_in_the_middle_of_a_reload_ends_the_process(world: World) -> None:
    """A reload that waits for an input to stop does not keep the process from ending."""
    runner, running = await leaving(world, 0.2)
    source = runner.topology.sources["goes"]
    source.input.deliveries.clear()  # type: ignore[attr-defined]
    runner.hangup()
    await until(lambda: source.task and source.task.cancelling())
    runner.stop()
    assert await asyncio.wait_for(running, 5) == 0
    assert list(runner.topology.sources) == ["stays", "goes"]  # the reload went no further
    assert len(source.input.deliveries) == 1  # type: ignore[attr-defined]
    assert [event["n"] for event in world.kept("gone")] == [
        1
    ]  # what it said last was waited for, and it was not begun anew


BUFFERED = """
data_dir: ./data
plugins: [{plugins}]
inputs:
  in: {{type: lines, count: {count}, forever: true}}
outputs:
  out: {{type: memory{output}, delivery: {{retry: {{first: 50ms, max: 50ms}}, buffer: {{disk: {disk}}}}}}}
  two: {{type: memory{two}}}
pipelines:
  main: {{inputs: [in], outputs: [{outputs}]}}
"""


async def test_a_reload_that_is_rolled_back_leaves_the_counts_alone(world: World) -> None:
    """What a new buffer of the same output was found to hold counts only once it is used."""
    plain = {"count": 0, "output": "", "two": "", "outputs": "out"}
    world.write(BUFFERED, **plain, disk="0")
    runner = world.start()
    running = asyncio.ensure_future(runner.run())
    await until(lambda: runner.state == "running")
    flow = runner.topology.outlets["out"].flow
    before = flow.buffer_bytes
    world.write(BUFFERED, **{**plain, "outputs": "out, two", "two": ", cannot_open: true"}, disk="1MiB")
    assert not await runner.reload()
    assert flow.buffer_bytes is before
    world.write(BUFFERED, **plain, disk="1MiB")
    assert await runner.reload()
    assert flow.buffer_bytes is not before
    runner.stop()
    assert await running == 0


async def test_an_output_that_comes_back_while_it_leaves_stays_counted(world: World) -> None:
    """The ledger is right about what the old one still delivered."""
    world.write(BUFFERED, count=10, output=", broken_until: 20", two="", outputs="out", disk="0")
    runner = world.start()
    running = asyncio.ensure_future(runner.run())
    await until(lambda: runner.topology.in_flight == 10)
    world.write(BUFFERED, count=10, output=", broken_until: 20", two="", outputs="two", disk="0")
    assert await runner.reload()
    assert runner.topology.leaving
    world.write(BUFFERED, count=10, output="", two="", outputs="out", disk="0")
    assert await runner.reload()
    await until(lambda: not runner.topology.leaving)
    total = runner.topology.ledger.total("output", "out")
    assert (total["delivered"], total.get("in_flight", 0), total["unaccounted"]) == (10, 0, 0)
    runner.stop()
    assert await running == 0


async def test_the_ledger_is_kept_while_it_drains(world: World) -> None:
    """A drain may take hours: a crash in the middle of it finds sums that are as fresh as ever."""
    text = "checkpoint_interval: 10ms\n" + BUFFERED.replace("forever: true", "forever: false")
    down = ", broken_until: 1000000000"
    world.write(text, count=10, output=down, two=down, outputs="out, two", disk="0")
    runner = world.start()
    running = asyncio.ensure_future(runner.run())
    await until(lambda: runner.state == "draining")
    world.memory.tries["two"] = 10**9  # type: ignore[attr-defined]
    await until(lambda: world.kept("two"))
    saved = Ledger(world.folder / "data", Clock())

    def delivered() -> int:
        saved.load()
        return saved.base.get("output two", Counter())["delivered"]

    await until(lambda: delivered() == 10)
    assert runner.state == "draining"
    runner.stop()
    assert await running == 0


def handed(runner: Runner) -> int:
    return runner.topology.ledger.totals().get("output out", Counter())["handed"]


SPILLING = BUFFERED.replace("disk: {disk}", "disk: {disk}, spill_after: 0s").replace(
    "forever: true", "forever: {forever}"
)


async def test_a_reload_there_and_back_leaves_nothing_behind(world: World) -> None:
    """Two folders that one output can take are both delivered after a start, and nothing of it is told as stranded."""
    down = {"output": ", broken_until: 1000000000", "two": "", "outputs": "out", "forever": "true"}
    world.write(SPILLING, **down, count=3, disk="1MiB")
    runner = world.start()
    running = asyncio.ensure_future(runner.run())
    await until(lambda: handed(runner) == 3 and not runner.topology.in_flight)
    world.write(SPILLING, **down, count=3, disk="0")
    assert await runner.reload()
    world.write(SPILLING, **down, count=7, disk="1MiB")
    assert await runner.reload()
    await until(lambda: handed(runner) == 7 and not runner.topology.in_flight)
    runner.stop()
    assert await running == 0
    committed = world.lines.committed  # type: ignore[attr-defined]
    world.write(SPILLING, **{**down, "output": "", "forever": "false"}, count=7, disk="1MiB")
    runner = world.start()
    world.lines.committed = committed  # type: ignore[attr-defined]
    assert await runner.run() == 0
    assert sorted(event["n"] for event in world.kept()) == list(range(7))
    assert runner.topology.ledger.total("output", "out")["unaccounted"] == 0


@pytest.mark.parametrize("now", ["disk", "output"])
async def test_a_buffer_that_nobody_takes_is_said_at_the_start(
    world: World, caplog: pytest.LogCaptureFixture, now: str
) -> None:
    """Its output has no buffer any more, or is gone: what was acknowledged stays on disk, and the log says so."""
    down = {"output": ", broken_until: 1000000000", "two": "", "outputs": "out"}
    world.write(SPILLING, **down, count=3, forever="true", disk="1MiB")
    runner = world.start()
    running = asyncio.ensure_future(runner.run())
    await until(lambda: handed(runner) == 3 and not runner.topology.in_flight)
    runner.stop()
    assert await running == 0
    gone = {"disk": "0"} if now == "disk" else {"disk": "1MiB", "outputs": "two"}
    text = SPILLING if now == "disk" else SPILLING.replace("  out:", "#")
    world.write(text, **{**down, "output": "", **gone}, count=0, forever="false")
    runner = Runner(world.config())
    assert await runner.run() == 0
    assert "were left by an output with a buffer (memory) and stay there" in caplog.text

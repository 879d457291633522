"""SIGHUP to several workers: one first, then all; what one refuses none gets."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

from tests.e2e.agent import Agent, ndjson, shipper
from tests.workers.sources import SOURCES, append

TEXT = """
data_dir: ./data
checkpoint_interval: 50ms
workers: 2
api: {listen: 127.0.0.1:0, token: first}
inputs: {app: {type: file, include: [./in/*.log], poll_interval: 50ms}}
filters: {parse: {type: parse, format: json}, mark: {type: set, fields: {mark: one}}}
outputs: {out: {type: file, path: ./out.ndjson, delivery: {batch: {bytes: 64KiB, wait: 20ms}}}}
"""


def marks(folder: Path) -> Counter[tuple[int, str]]:
    """How many events of each source have which mark."""
    return Counter((event["source"], event["mark"]) for event in ndjson(folder / "out.ndjson"))


def change(agent: Agent, text: str) -> None:
    new = agent.config.with_suffix(".new")
    new.write_text(text)
    new.replace(agent.config)
    agent.signal(signal.SIGHUP)


def status(agent: Agent, token: str = "first") -> dict[int, dict[str, object]]:
    return {each["worker"]: each for each in json.loads(agent.get("/status", token))["workers"]}


def test_all_have_the_new_configuration(tmp_path: Path) -> None:
    """After one SIGHUP every worker goes by the new one, each line is marked once, and it counts as one reload."""
    append(tmp_path, range(100))
    with Agent(TEXT, tmp_path) as agent:
        agent.wait_for(lambda: marks(tmp_path).total() == 100 * SOURCES)
        change(agent, TEXT.replace("mark: one", "mark: two").replace("first", "second"))
        agent.wait_for(lambda: "all workers have the new configuration" in agent.stderr)
        append(tmp_path, range(100, 200))
        agent.wait_for(lambda: marks(tmp_path).total() == 200 * SOURCES)
        assert agent.metric("shipper_reloads_total", outcome="ok") == 1
        agent.wait_for(lambda: agent.get("/status", "second"), what="for the new token")
        assert agent.stop() == 0
    assert marks(tmp_path) == {(source, mark): 100 for source in range(SOURCES) for mark in ("one", "two")}


def test_a_bad_configuration_reaches_nobody(tmp_path: Path) -> None:
    """It is refused by the first, said, counted once and shown; everything goes on as it was, for all."""
    append(tmp_path, range(10))
    with Agent(TEXT, tmp_path) as agent:
        changes = [("type: set", "type: sett"), ("workers: 2", "workers: 3"), ("./data", "./other")]
        for wrong in [TEXT.replace(*each) for each in changes]:
            before = agent.metric("shipper_reloads_total", outcome="failed")
            change(agent, wrong)
            agent.wait_for(lambda before=before: agent.metric("shipper_reloads_total", outcome="failed") == before + 1)
        assert agent.metric("shipper_reloads_total", outcome="ok") == 0
        reloads = {number: each["reload"] for number, each in status(agent).items()}
        assert not reloads[1]
        append(tmp_path, range(10, 20))
        agent.wait_for(lambda: marks(tmp_path) == {(source, "one"): 20 for source in range(SOURCES)})
        assert agent.stop() == 0
    assert agent.stderr.count("nobody else was asked") == 3
    assert "workers: found 3, it was 2: this needs a restart" in agent.stderr


def test_who_is_started_again_has_the_new_one(tmp_path: Path) -> None:
    """A worker that dies after a reload comes back with what was reloaded, not with what was there at the start."""
    append(tmp_path, range(10))
    with Agent(TEXT, tmp_path) as agent:
        agent.wait_for(lambda: marks(tmp_path).total() == 10 * SOURCES)
        change(agent, TEXT.replace("mark: one", "mark: two"))
        agent.wait_for(lambda: "all workers have the new configuration" in agent.stderr)
        agent.config.write_text("what stands here now was never reloaded")
        for each in status(agent).values():
            os.kill(int(str(each["pid"])), signal.SIGKILL)
        agent.wait_for(lambda: agent.metric("shipper_worker_restarts_total") == 2)
        agent.ready()
        append(tmp_path, range(10, 20))
        agent.wait_for(lambda: marks(tmp_path).total() >= 20 * SOURCES)
        assert agent.stop() == 0
    assert {mark for _, mark in marks(tmp_path)} == {"one", "two"}
    assert all(marks(tmp_path)[source, "two"] >= 10 for source in range(SOURCES))


def test_who_had_nothing_to_do_may_have_something_then(tmp_path: Path) -> None:
    """A worker that no input was for is started when a reload brings one that is divided."""
    append(tmp_path, range(10))
    files = "app: {type: file, include: [./in/*.log], poll_interval: 50ms}"
    alone = TEXT.replace(files, "pipe: {type: plugin_input}").replace("workers: 2", "workers: 2\nplugins: [./plugins]")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "plugin_input.py").write_text(PLUGIN)
    with Agent(alone, tmp_path) as agent:
        agent.wait_for(lambda: status(agent)[1]["state"] == "ended")
        change(agent, alone.replace("inputs: {", f"inputs: {{{files}, "))
        agent.wait_for(lambda: marks(tmp_path).total() >= 10 * SOURCES)
        agent.wait_for(lambda: status(agent)[1]["state"] == "running")
        assert list(dict(status(agent)[1]["inputs"])) == ["app"]  # type: ignore[call-overload]
        assert sorted(dict(status(agent)[0]["inputs"])) == ["app", "pipe"]  # type: ignore[call-overload]
        assert agent.stop() == 0
    assert set(marks(tmp_path).values()) == {10}


PLUGIN = '''
import asyncio

from shipper import Input, Send


class PluginInput(Input):
    """Says nothing, for ever; nothing in it says that it can be divided."""

    async def run(self, send: Send) -> None:
        await asyncio.Event().wait()
'''


def test_plan_knows_what_runs(tmp_path: Path) -> None:
    """`shipper plan` compares with what all workers run; another number of workers is refused."""
    append(tmp_path, range(1))
    with Agent(TEXT, tmp_path) as agent:
        same = shipper("plan", "-c", agent.config, "--json")
        assert {each["action"] for each in json.loads(same.stdout)} == {"keeps"}
        (tmp_path / "new.yaml").write_text(TEXT.replace("workers: 2", "workers: 3"))
        other = shipper("plan", "-c", tmp_path / "new.yaml", "--json")
        assert [each["name"] for each in json.loads(other.stdout) if each["action"] == "refused"] == ["workers"]

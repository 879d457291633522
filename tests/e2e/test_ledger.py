"""The two sums over all runs of a data folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.e2e.agent import Agent
from tests.e2e.fake import Destination, Say

CONFIG = """
data_dir: ./data
checkpoint_interval: 50ms
inputs: {app: {type: file, include: [./app.log], poll_interval: 50ms}}
filters: {parse: {type: parse, format: json}, odd: {type: drop, when: "id % 2 == 1"}}
outputs: {out: {type: http, url: "URL", delivery: {batch: {wait: 10ms}, retry: {max: 50ms}, buffer: {spill_after: 50ms}}}}
"""


def append(path: Path, count: int, first: int = 0) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps({"id": n}) + "\n" for n in range(first, first + count))


def totals(agent: Agent) -> tuple[dict[str, Any], dict[str, Any]]:
    status = agent.status()
    return status["pipelines"]["main"]["total"], status["outputs"]["out"]["total"]


def test_totals_go_on_over_stops_and_crashes(tmp_path: Path) -> None:
    """Through a stop with a full buffer and a kill the sums add up at every look, and a crash is told of."""
    down: list[int] = []
    with Destination(lambda _: Say(503 if down else 200)) as server:
        with Agent(CONFIG.replace("URL", server.url), tmp_path) as agent:
            append(tmp_path / "app.log", 100)
            agent.wait_for(lambda: agent.metric("shipper_output_events_total", output="out") == 50)
            assert agent.stop() == 0
            down.append(1)
            agent.start()
            agent.ready()
            append(tmp_path / "app.log", 100, 100)
            agent.wait_for(lambda: agent.metric("shipper_buffer_bytes", output="out") > 500)
            agent.wait_for(lambda: agent.metric("shipper_in_flight_events", pipeline="main") == 0)
            pipeline, output = totals(agent)
            assert (pipeline["received"], pipeline["dropped: odd: filtered"], pipeline["unaccounted"]) == (200, 100, 0)
            assert (output["handed"], output["delivered"], output["unaccounted"]) == (100, 50, 0)
            assert agent.stop() == 0
            agent.start()
            agent.ready()
            agent.wait_for(lambda: totals(agent)[1].get("in_flight", 0) + totals(agent)[1].get("buffered", 0) == 50)
            assert totals(agent)[1]["unaccounted"] == 0
            agent.wait_for(lambda: (tmp_path / "data" / "ledger" / "0").exists())
            assert "did not come to its end" not in agent.stderr
            agent.kill()
            down.clear()
            agent.start()
            agent.ready()
            assert "the last run did not come to its end" in agent.stderr
            agent.wait_for(lambda: totals(agent)[1]["delivered"] >= 100)
            agent.wait_for(lambda: not totals(agent)[1].get("in_flight"))
            pipeline, output = totals(agent)
            assert pipeline["unaccounted"] == output["unaccounted"] == 0
            assert output["delivered"] == 100
            assert agent.stop() == 0
    assert sorted({event["id"] for event in server.events()}) == list(range(0, 200, 2))


def test_a_damaged_ledger_begins_anew(tmp_path: Path) -> None:
    """It is no reason not to start, and is said."""
    with Destination() as server, Agent(CONFIG.replace("URL", server.url), tmp_path) as agent:
        append(tmp_path / "app.log", 10)
        agent.wait_for(lambda: agent.metric("shipper_output_events_total", output="out") == 5)
        assert agent.stop() == 0
        for slot in (tmp_path / "data" / "ledger").iterdir():
            slot.write_bytes(b"\0" * 100)
        agent.start()
        agent.ready()
        assert "ledger: totals begin anew" in agent.stderr
        assert totals(agent)[0]["unaccounted"] == 0
        assert agent.stop() == 0

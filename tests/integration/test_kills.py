"""SIGKILL again and again during a run from a file to a real OpenSearch."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path

from tests.e2e.agent import Agent, shipper
from tests.integration.rest import documents
from tests.servers import Url

LINES = 30_000


def delivered(agent: Agent, count: int) -> bool:
    """Whether this life of the agent has delivered so many events."""
    return agent.metric("shipper_output_events_total", output="es") >= count


def test_ten_kills_lose_no_line(opensearch: Url, tmp_path: Path) -> None:
    """After ten kills in the middle of the work and one run to its end every line is there; some may be twice."""
    log = tmp_path / "app.log"
    log.write_text("".join(json.dumps({"id": n, "message": f"line {n} " + "x" * 150}) + "\n" for n in range(LINES)))
    config = {
        "checkpoint_interval": "50ms",
        "inputs": {"app": {"type": "file", "include": [str(log)]}},
        "filters": {"parse": {"type": "parse", "format": "json"}},
        "outputs": {
            "es": {
                "type": "elasticsearch",
                "endpoints": [str(opensearch)],
                "index": "killed",
                "delivery": {"batch": {"bytes": "64KiB", "wait": "100ms"}, "concurrency": 2},
            }
        },
    }
    agent, moments = Agent(config, tmp_path), random.Random(7)
    for _ in range(10):
        with agent:
            agent.wait_for(partial(delivered, agent, moments.randrange(1, 2000)))
            assert not delivered(agent, LINES), "it was done before it was killed"
            assert agent.kill() == -9

    done = shipper("run", "--once", "-c", agent.config)
    assert done.returncode == 0, done.stderr
    found = [event["id"] for event in documents(opensearch, "killed")]
    assert set(found) == set(range(LINES))
    assert len(found) < 2 * LINES, "positions were kept across the kills, so most lines went once"

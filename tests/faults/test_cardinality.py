"""T43: a million different values where each could become something that is kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.bench.answers import Answer
from tests.faults.bench.destination import Destination
from tests.faults.bench.scenario import Bench
from tests.faults.bench.wire import Asked

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]
MILLION = 1_000_000
MIB = 2**20
Config = dict[str, Any]


def refuse_each(asked: Asked) -> Answer:
    """Every document is wrong in a way of its own."""
    items = [
        {verb: {"status": 400, "error": {"type": f"type_{event['user']}", "reason": f"wrong is {event['user']}"}}}
        for (verb, _), event in zip(asked.actions, asked.events, strict=True)
    ]
    return Answer(body=json.dumps({"errors": True, "items": items}).encode(), take=False)


def loki(url: str) -> Config:
    return {"type": "loki", "url": url, "labels": {"user": "{user}"}}


def index(url: str) -> Config:
    return {"type": "elasticsearch", "endpoints": [url], "index": "app-{user}"}


def path(_: str) -> Config:
    return {"type": "file", "path": "./out/{user}.log", "fsync": False}


KEYED = {
    "throttle": {"type": "throttle", "events": 1000, "per": "1h", "key": "{user}"},
    "dedupe": {"type": "dedupe", "fields": ["user"], "window": "1h"},
    "sample": {"type": "sample", "rate": 1, "key": "{user}"},
}
CASES: dict[str, tuple[Callable[[str], Config], int]] = {
    "label": (loki, MILLION),
    "index": (index, MILLION),
    "reason of a dead letter": (index, 100_000),
    "keys of filters": (index, MILLION),
    "file name": (path, 50_000),  # a million are as many inodes, and an fsync of the folder each
}


@pytest.mark.parametrize("place", CASES)
def test_t43_cardinality(bench: Bench, place: str) -> None:
    """T43: a million values in a label, an index, the keys of filters (100,000 in refusals, 50,000 in file names): own
    series <= 1,000, open files <= 256, memory <= 200 MiB, and every event is where it belongs.
    """
    output, count = CASES[place]
    log = bench.folder / "app.log"
    with log.open("w") as file:
        file.writelines(f'{{"user":"u{n:07}","message":"x"}}\n' for n in range(count))
    answer = refuse_each if place == "reason of a dead letter" else lambda _: Answer()
    with Destination(answer, keep=lambda _: 0) as server:
        config = {
            "data_dir": "./data",
            "inputs": {"app": {"type": "file", "include": ["./app.log"]}},
            "filters": {"parse": {"type": "parse", "format": "json"}, **(KEYED if "keys" in place else {})},
            "outputs": {"out": output(server.url)},
        }
        with bench.agent(config) as agent:
            files = 0

            def done() -> bool:
                nonlocal files
                files = max(files, agent.fds())
                delivered = agent.metric("shipper_output_events_total", output="out")
                return delivered + agent.metric("shipper_dead_letter_events_total") >= count

            agent.wait_for(done, 600, f"to deliver {count} events", every=0.2)
            series, peak = len(agent.metrics()), agent.rss(peak=True)
            assert agent.metric("shipper_dropped_events_total") == 0
            bench.sound(agent)
            assert agent.stop() == 0
    bench.figure("values", f"{count}", count)
    bench.figure("own series", "<= 1,000", series)
    bench.figure("open files", "<= 256", files)
    bench.figure("MiB of memory", "<= 200", peak / MIB)
    assert series <= 1000
    assert files <= 256
    assert peak <= 200 * MIB
    if place == "file name":
        assert len(os.listdir(bench.folder / "out")) == count
        assert Path(bench.folder, "out", "u0000000.log").read_text().count("\n") == 1
    elif place == "reason of a dead letter":
        assert not server.taken
    else:
        assert len(server.taken) == count

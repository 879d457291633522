"""T47: patterns that never come to an end, and events that never end."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.faults.bench.abuse import percentile, spare, stalls
from tests.faults.bench.clients import HttpClient
from tests.faults.bench.configs import http
from tests.faults.bench.destination import Destination
from tests.faults.bench.ports import free_port
from tests.faults.bench.scenario import Bench

pytestmark = pytest.mark.faults
QUICK = {"wait": "20ms"}

CATASTROPHES = {
    r"words": (r"^(?P<a>(\w+\s?)*)$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"),
    r"plusses": (r"(?P<a>(a+)+)$", "a" * 60 + "!"),
    r"alternatives": (r"^(?P<a>(a|aa)+)$", "a" * 80 + "!"),
    r"commas": (r"^(?P<a>(.*?,){25})P", ",".join(map(str, range(60)))),
    r"squares": (r"(?P<a>x*x*x*)y", "x" * 6000),
}


@pytest.mark.parametrize("shape", CATASTROPHES)
def test_t47_patterns(bench: Bench, shape: str) -> None:
    """T47: 200 lines on which a pattern would take years, among 2,000 good ones: no stall above 250 ms, each of them is
    delivered as it came and marked, the good ones are not, and another input's p99 stays <= 1 s.
    """
    pattern, poison = CATASTROPHES[shape]
    log, port, source = bench.folder / "app.log", free_port(), bench.oracle.source("app")
    with Destination() as server, Destination() as other:
        config: dict[str, Any] = {
            "data_dir": "./data",
            "inputs": {
                "app": {"type": "file", "include": ["./app.log"], "poll_interval": "50ms"},
                "web": {"type": "http", "listen": f"127.0.0.1:{port}"},
            },
            "filters": {"parse": {"type": "parse", "format": "regex", "pattern": pattern, "keep_original": True}},
            "outputs": {"out": http(server, concurrency=1), "web": http(other, batch=QUICK)},
            "pipelines": {
                "main": {"inputs": ["app"], "filters": ["parse"], "outputs": ["out"]},
                "web": {"inputs": ["web"], "outputs": ["web"]},
            },
        }
        with bench.agent(config) as agent:
            with HttpClient(bench.oracle, port, rate=50, batch=1) as canary:
                agent.wait_for(lambda: canary.done > 10, what="to answer the good client")
                for _ in range(20):
                    source.append(log, 100)
                    with log.open("a") as file:
                        file.write(f"{poison}\n" * 10)
                bench.oracle.wait(agent, server.taken, 60, only=[source])
                agent.wait_for(lambda: len(server.taken) == 2200, what="to deliver all")
                canary.stop()
            late = stalls(agent)
            bench.sound(agent)
            assert agent.stop() == 0
    bad = [event for event in server.taken if event["message"] == poison]
    marked = [event for event in bad if "shipper_error" in event]
    verdict = bench.oracle.verdict(server.taken, [source])
    p99 = percentile(canary.latencies, 0.99)
    bench.figure("stalls above 250 ms", "0", late)
    bench.figure("poison delivered; marked", "200; 200", f"{len(bad)}; {len(marked)}")
    bench.figure("p99 of another input", "<= 1 s", p99)
    assert late <= spare()
    assert len(bad) == len(marked) == 200
    assert not verdict.missing
    assert verdict.duplicates == 0
    assert p99 <= 1


@pytest.mark.parametrize("pattern", ["^never$", r"^(\w+\s?)*$"])
def test_t47_endless_events(bench: Bench, pattern: str) -> None:
    """T47: behind a start that never comes again 1,000,000 lines (of a risky pattern 100,000) are given out at the caps (500 lines, 1 MiB, and after
    1 s without more), every line once and in order; no stall above 250 ms; memory bounded.
    """
    log, count = bench.folder / "app.log", 1_000_000 if pattern == "^never$" else 100_000
    rows = "".join(f"line {n:07}?\n" for n in range(count))
    multiline = {"type": "start", "pattern": pattern, "timeout": "1s"}
    with Destination(keep=lambda event: event["message"]) as server:
        config = {
            "data_dir": "./data",
            "inputs": {
                "app": {"type": "file", "include": ["./app.log"], "poll_interval": "50ms", "multiline": multiline}
            },
            "outputs": {"out": http(server, concurrency=1)},
        }
        log.write_text(rows)
        with bench.agent(config) as agent:
            wanted = count // 500
            agent.wait_for(lambda: sum(map(lines, server.taken)) >= count - 500, 120, "to read a million lines")
            with log.open("a") as file:
                file.write("the end\n")
            began = time.monotonic()
            agent.wait_for(lambda: server.taken[-1].endswith("the end"), 10, "to give out what waits")
            waited = time.monotonic() - began
            late = stalls(agent)
            peak = agent.rss(peak=True)
            bench.sound(agent)
            assert agent.stop() == 0
    found = "\n".join(server.taken) + "\n"
    bench.figure("lines lost, twice or out of order", "0", "0" if found == rows + "the end\n" else "some")
    bench.figure("most lines in an event", "<= 500", max(map(lines, server.taken)))
    bench.figure("events", f">= {wanted}", len(server.taken))
    bench.figure("seconds until what waits is given out", "<= 2", waited)
    bench.figure("stalls above 250 ms", "0", late)
    bench.figure("MiB of memory in all", "<= 200", peak / 2**20)
    assert found == rows + "the end\n"
    assert max(map(lines, server.taken)) <= 500
    assert waited <= 2
    assert late <= spare()
    assert peak <= 200 * 2**20


def lines(text: str) -> int:
    return text.count("\n") + 1

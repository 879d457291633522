"""T51 and T52: SIGHUP, many times and with everything else in the place of what was."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agent import Agent, ndjson, write_config
from tests.faults.bench.clients import HttpClient, TcpClient
from tests.faults.bench.destination import Destination
from tests.faults.bench.ports import free_port
from tests.faults.bench.scenario import Bench
from tests.faults.bench.writers import FileWriter

pytestmark = pytest.mark.faults
MIB = 1 << 20
POOL = (os.cpu_count() or 1) + 4
"""Threads of the loop's pool (for what touches the disk), which grows to this as it is needed."""
TASKS = """
import asyncio, threading
def count(event):
    names = [thread.name for thread in threading.enumerate()]
    pool = sum(name.startswith(("uvloop_", "asyncio_")) for name in names)
    return {"tasks": len(asyncio.all_tasks()), "threads": len(names) - pool, "pool": pool}
"""


def hangup(agent: Agent, config: Mapping[str, Any] | str, outcome: str = "ok") -> None:
    """Another configuration, SIGHUP, and wait until its outcome is counted."""
    before = agent.metric("shipper_reloads_total", outcome=outcome)
    written(agent, config)
    agent.signal(signal.SIGHUP)
    agent.wait_for(lambda: agent.metric("shipper_reloads_total", outcome=outcome) > before, what="to reload")


def written(agent: Agent, config: Mapping[str, Any] | str) -> None:
    """As careful people do it: whoever reads the file sees all of the old one or all of the new one."""
    folder = agent.folder / "next"
    folder.mkdir(exist_ok=True)
    write_config(config, folder).replace(agent.config)


@pytest.mark.timeout(180)
def test_t51_a_storm_of_reloads(bench: Bench) -> None:
    """T51: 50 reloads at 2/s under 2,000 events/s from a file, TCP and HTTP, each with another filter, every second one
    with other options of the output: nothing lost, doubled or refused; handles, tasks and threads are what they were, the pool within its bound,
    and at most 10 MiB more are resident.
    """
    log, tcp, web, probe = bench.folder / "app.log", free_port(), free_port(), free_port()
    (bench.folder / "tasks.py").write_text(TASKS)
    with Destination() as server:

        def config(turn: int) -> dict[str, Any]:
            delivery = {"batch": {"wait": f"{100 + turn // 2}ms"}, "concurrency": 1}
            return {
                "data_dir": "./data",
                "inputs": {
                    "app": {"type": "file", "include": [str(log)], "poll_interval": "100ms"},
                    "tcp": {"type": "syslog", "listen": f"tcp://127.0.0.1:{tcp}"},
                    "web": {"type": "http", "listen": f"127.0.0.1:{web}"},
                    "probe": {"type": "http", "listen": f"127.0.0.1:{probe}"},
                },
                "filters": {
                    "mark": {"type": "set", "fields": {"turn": turn}},
                    "tasks": {"type": "python", "file": "./tasks.py", "function": "count"},
                },
                "outputs": {
                    "out": {"type": "http", "url": server.url, "delivery": delivery},
                    "probes": {"type": "file", "path": "./probes.ndjson"},
                },
                "pipelines": {
                    "main": {"inputs": ["app", "tcp", "web"], "filters": ["mark"], "outputs": ["out"]},
                    "probe": {"inputs": ["probe"], "filters": ["tasks"], "outputs": ["probes"]},
                },
            }

        with bench.agent(config(0)) as agent:
            with loaded(bench, log, tcp, web):
                for turn in range(1, 11):  # threads and caches are made when they are needed first
                    hangup(agent, config(turn))
            before = usage(bench, agent, server, probe)
            with loaded(bench, log, tcp, web) as (syslog, client):
                began = time.monotonic()
                for number in range(50):
                    written(agent, config(100 + number))
                    agent.signal(signal.SIGHUP)
                    time.sleep(max(0.0, began + (number + 1) / 2 - time.monotonic()))  # two a second
                agent.wait_for(lambda: agent.metric("shipper_reloads_total") >= 60, what="to have reloaded")
            after = usage(bench, agent, server, probe)
            bench.sound(agent)
            reloads = agent.metric("shipper_reloads_total", outcome="ok"), agent.metric("shipper_reloads_total")
            assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("reloads that were made", "60 of 60", reloads[0])
    bench.figure("lost, twice", "0, 0", f"{len(verdict.missing)}, {verdict.duplicates}")
    bench.figure(
        "requests and connections refused", "0, 0", f"{client.statuses.total() - client.statuses[200]}, {syslog.lost}"
    )
    for name in ("fds", "tasks", "threads"):
        bench.figure(f"{name} more", "0", after[name] - before[name])
    bench.figure("threads of the pool", f"<= {POOL}", after["pool"])
    bench.figure("MiB more", "<= 10", (after["rss"] - before["rss"]) / MIB)
    assert reloads == (60, 60)
    assert client.statuses.keys() == {200}
    assert syslog.lost == 0
    verdict.clean(floor=40_000, duplicates=0)
    assert max(int(event["turn"]) for event in server.taken) == 149
    assert [after[name] - before[name] for name in ("fds", "tasks", "threads")] == [0, 0, 0]
    assert after["pool"] <= POOL
    assert after["rss"] - before["rss"] <= 10 * MIB


@contextlib.contextmanager
def loaded(bench: Bench, log: Path, tcp: int, web: int) -> Iterator[tuple[TcpClient, HttpClient]]:
    """2,000 events a second in the block."""
    syslog, client = TcpClient(bench.oracle, tcp, rate=500), HttpClient(bench.oracle, web, rate=500, batch=50)
    with FileWriter(bench.oracle, log, 1000), syslog, client:
        yield syslog, client


def usage(bench: Bench, agent: Agent, server: Destination, probe: int) -> dict[str, int]:
    """What it has once everything is delivered; the least over a second, for a poll or a save may be under way."""
    bench.oracle.wait(agent, server.taken, 60)
    agent.wait_for(lambda: agent.metric("shipper_in_flight_events") == 0)
    found: list[dict[str, int]] = []
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", probe)) as link:
        for _ in range(20):
            link.request("POST", "/", b"{}", {"Content-Type": "application/json"})
            assert link.getresponse().read()
            said = list(ndjson(agent.folder / "probes.ndjson"))[-1]
            found.append({**said, "fds": agent.fds(), "rss": agent.rss()})
            time.sleep(0.05)  # 20 samples in a second
    return {name: min(each[name] for each in found) for name in ("tasks", "threads", "pool", "fds", "rss")}


def log_to(server: Destination, *names: str) -> dict[str, Any]:
    """From files beside the configuration to plain HTTP."""
    inputs = {name: {"type": "file", "include": [f"./{name}.log"], "poll_interval": "50ms"} for name in names}
    delivery = {"batch": {"events": 500, "wait": "50ms"}, "concurrency": 1, "retry": {"first": "100ms", "max": "500ms"}}
    return {
        "data_dir": "./data",
        "inputs": inputs,
        "outputs": {"out": {"type": "http", "url": server.url, "delivery": delivery}},
    }


def test_t52_a_bad_configuration(bench: Bench) -> None:
    """T52: five bad configurations are refused, counted and shown at `/status`; the old one keeps running and loses nothing."""
    app, log = bench.oracle.source("app.log"), bench.folder / "app.log"
    with Destination() as server:
        good = log_to(server, "app")
        bad: list[Any] = [
            "inputs: [",
            {**good, "inputs": {"app": {"type": "fiel", "include": ["./app.log"]}}},
            {**good, "data_dir": "./other"},
            {**good, "outputs": {"out": {"type": "file", "path": "/proc/nothing/out.ndjson"}}},
            {**good, "filters": {"cut": {"type": "keep", "when": "level =="}}},
        ]
        with bench.agent(good) as agent:
            for number, each in enumerate(bad, 1):
                app.append(log, 300)
                if isinstance(each, str):
                    agent.config.write_text(each)
                    agent.signal(signal.SIGHUP)
                    agent.wait_for(
                        lambda: agent.metric("shipper_reloads_total", outcome="failed") == 1, what="to refuse"
                    )
                else:
                    hangup(agent, each, "failed")
                assert agent.metric("shipper_reloads_total", outcome="failed") == number
                assert agent.status()["reload"]["outcome"] == "failed"
                assert agent.answers("/readyz") == 200
                app.append(log, 300)
                bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("bad configurations refused, and counted", f"{len(bad)} of {len(bad)}", number)
    verdict.clean(floor=2999, duplicates=0)


def test_t52_an_output_that_moves(bench: Bench) -> None:
    """T52: line 1 goes to A, and line 2, after a reload, to B."""
    first, second, log = bench.oracle.source("first"), bench.oracle.source("second"), bench.folder / "app.log"
    with Destination() as a, Destination() as b, bench.agent(log_to(a, "app")) as agent:
        first.append(log, 1001)
        bench.oracle.wait(agent, a.taken, only=[first])
        hangup(agent, log_to(b, "app"))
        second.append(log, 1001)
        bench.oracle.wait(agent, b.taken, only=[second])
        bench.sound(agent)
        assert agent.stop() == 0
    for server, source in ((a, first), (b, second)):
        verdict = bench.oracle.verdict(server.taken, [source])
        verdict.clean(floor=1000, duplicates=0)
        assert verdict.delivered == 1001


def test_t52_an_output_that_moves_with_a_backlog(bench: Bench) -> None:
    """T52: what waits for A, on disk and in memory, is taken along to B when the address changes: all of it is delivered,
    in order and once, and nothing waits for A any more.
    """
    app, log = bench.oracle.source("app.log"), bench.folder / "app.log"
    with Destination() as a, Destination() as b:
        a.close()
        with bench.agent(log_to(a, "app")) as agent:
            app.append(log, 10_000)
            agent.wait_for(
                lambda: agent.metric("shipper_buffer_events", output="out") >= 5000, what="to have a backlog"
            )
            app.append(log, 500)
            hangup(agent, log_to(b, "app"))
            began = time.monotonic()
            bench.oracle.wait(agent, b.taken)
            took = time.monotonic() - began
            app.append(log, 500)
            bench.oracle.wait(agent, b.taken)
            agent.wait_for(lambda: agent.metric("shipper_buffer_events") == 0, what="to have an empty buffer")
            bench.sound(agent)
            assert agent.stop() == 0
        assert not a.taken
    verdict = bench.oracle.verdict(b.taken)
    bench.figure("of the backlog delivered", "100 %", f"{100 * verdict.delivered / 11_000:.6g} %")
    bench.figure("seconds until the backlog is there", "<= 30", took)
    verdict.clean(floor=10_999, duplicates=0)


def test_t52_another_type_of_source(bench: Bench) -> None:
    """T52: the input of a name is a file, then a listener, then the file again: each time all of it is delivered, and the
    file goes on where it was.
    """
    app, log, port = bench.oracle.source("app.log"), bench.folder / "app.log", free_port()
    with Destination() as server:
        of_file = log_to(server, "app")
        of_http = {**of_file, "inputs": {"app": {"type": "http", "listen": f"127.0.0.1:{port}"}}}
        with bench.agent(of_file) as agent:
            app.append(log, 1000)
            hangup(agent, of_http)
            app.append(log, 500)
            with HttpClient(bench.oracle, port, rate=1000, total=500) as client:
                client.finish()
            hangup(agent, of_file)
            app.append(log, 500)
            bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("lost, twice", "0, 0", f"{len(verdict.missing)}, {verdict.duplicates}")
    verdict.clean(floor=2499, duplicates=0)


def test_t52_all_sources_at_once(bench: Bench) -> None:
    """T52: every input is exchanged for others while lines are written to all files: none is lost or doubled."""
    names = ["a", "b", "c", "d"]
    with Destination() as server, contextlib.ExitStack() as load:
        with bench.agent(log_to(server, *names[:2])) as agent:
            for name in names:
                load.enter_context(FileWriter(bench.oracle, bench.folder / f"{name}.log", 1000))
            for part in (names[2:], names[:2], names[2:], names):
                seen = len(server.taken)
                agent.wait_for(lambda seen=seen: len(server.taken) > seen + 1000)
                hangup(agent, log_to(server, *part))
            load.close()
            bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("lost, twice", "0, 0", f"{len(verdict.missing)}, {verdict.duplicates}")
    verdict.clean(floor=2000, duplicates=0)

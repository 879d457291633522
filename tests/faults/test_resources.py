"""T33 to T38: no room, no handles, no memory, no time, and a clock that jumps."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.bench.answers import Answer
from tests.faults.bench.clients import HttpClient
from tests.faults.bench.destination import Destination
from tests.faults.bench.needs import requires
from tests.faults.bench.ports import free_port
from tests.faults.bench.scenario import Bench
from tests.faults.bench.under import prlimit
from tests.faults.bench.wallclock import WallClock
from tests.faults.bench.wire import Asked

pytestmark = pytest.mark.faults
DAY = 86_400


def log_to(server: Destination, **delivery: Any) -> dict[str, Any]:
    """From one file, `app.log` beside the configuration, to plain HTTP."""
    return {
        "data_dir": "./data",
        "inputs": {"app": {"type": "file", "include": ["./app.log"], "poll_interval": "50ms"}},
        "outputs": {"out": {"type": "http", "url": server.url, "delivery": delivery}},
    }


@requires("prlimit")
def test_t35_too_few_file_handles(bench: Bench) -> None:
    """T35: with 64 file handles, 500 files and 200 clients that hold their connections open, all 500 files are read and
    delivered, at most 30 % of a core is used while nothing can be accepted, and it does not exit.
    """
    logs, port, idle = bench.folder / "logs", free_port(), 5.0
    logs.mkdir()
    for n in range(500):
        bench.oracle.source(f"{n}.log").append(logs / f"{n}.log", 3)
    with Destination() as server, contextlib.ExitStack() as clients:
        config = log_to(server, batch={"wait": "100ms"}, concurrency=1)
        config["inputs"]["app"]["include"] = [f"{logs}/*.log"]
        config["inputs"]["web"] = {"type": "http", "listen": f"127.0.0.1:{port}"}
        agent = bench.agent(config, under=prlimit(nofile=64)).start()
        agent.ready()
        pid = agent.pid
        for _ in range(200):  # more than there are handles: most of them wait in the kernel's queue
            link = clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            link.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n{")
        for n in range(500):
            bench.oracle.source(f"{n}.log").append(logs / f"{n}.log", 3)
        bench.oracle.wait(agent, server.taken, 60)
        used = agent.cpu_seconds()
        time.sleep(idle)
        load = (agent.cpu_seconds() - used) / idle
        assert (agent.pid, agent.answers("/livez")) == (pid, 200)
        clients.close()
        with HttpClient(bench.oracle, port, rate=500, total=100) as client:
            client.finish()
        bench.oracle.wait(agent, server.taken)
        bench.sound(agent)
        assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    seen = bench.oracle.reading(server.taken).seen
    bench.figure("files read", "500 of 500", sum(len(seen[f"{n}.log"]) == 6 for n in range(500)))
    bench.figure("share of a core while nothing can be accepted", "<= 0.3", load)
    verdict.clean(floor=3000, duplicates=0)
    assert load <= 0.3


@requires("gcc")
def test_t38_the_clock_jumps(bench: Bench) -> None:
    """T38: a wall clock that jumps a day back or forth changes neither the flush (3 s) nor a retry (2 s), each +-10 %;
    26 h that pass while it is stopped make it read nothing again and leave nothing out.
    """
    log, app, clock = bench.folder / "app.log", bench.oracle.source("app.log"), WallClock(bench.folder)
    refuse: Iterator[Answer] = iter(())

    def rule(_: Asked) -> Answer:
        return next(refuse, Answer())

    with Destination(rule) as server:
        config = log_to(server, batch={"wait": "3s"}, concurrency=1, retry={"first": "100ms", "max": "5s"})
        with bench.agent(config, env=clock.env) as agent:
            for jump in (0, -DAY, DAY):
                clock.jump(jump)
                before, refuse = len(server.requests), iter([Answer(429, headers={"Retry-After": "2"})])
                began = time.monotonic()
                app.append(log, 500)
                bench.oracle.wait(agent, server.taken)
                flush, retry = (each.at for each in server.requests[before:])
                bench.figure(f"flush after a jump of {jump} s", "3 s +-10 %", flush - began)
                bench.figure(f"retry after a jump of {jump} s", "2 s +-10 %", retry - flush)
                assert 2.7 <= flush - began <= 3.3
                assert 1.8 <= retry - flush <= 2.2
            bench.sound(agent)
            assert agent.stop() == 0

            clock.jump(DAY + 26 * 3600)
            app.append(log, 500)
            agent.start().ready()
            bench.oracle.wait(agent, server.taken)
            assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("lost, twice", "0, 0", f"{len(verdict.missing)}, {verdict.duplicates}")
    verdict.clean(floor=1999, duplicates=0)  # positions were still used
    lately = max(event["timestamp"] for event in server.taken)
    wanted = time.strftime("%Y-%m-%d", time.gmtime(time.time() + clock.offset))
    assert lately.startswith(wanted)  # else the shim was not there and the scenario is void

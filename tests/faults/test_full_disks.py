"""T33 and T34: disks without room, and disks that go read-only, below the buffer, the positions and the output's own file."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agent import Agent
from tests.faults.bench.clients import HttpClient
from tests.faults.bench.configs import file_and_web, log_to, logs_to
from tests.faults.bench.destination import Destination
from tests.faults.bench.disks import LoopDisk, SmallDisk
from tests.faults.bench.dying import saved
from tests.faults.bench.needs import requires
from tests.faults.bench.oracle import Source
from tests.faults.bench.ports import free_port
from tests.faults.bench.scenario import Bench
from tests.faults.bench.tiers import tier
from tests.faults.bench.writers import FileWriter

pytestmark = pytest.mark.faults
MIB = 1 << 20
OFTEN = {"checkpoint_interval": "200ms"}


@requires("mount")
@pytest.mark.nightly
@pytest.mark.timeout(240)
def test_t33_no_room_for_the_buffer(bench: Bench) -> None:
    """T33: with the output down and its buffer's disk full (tmpfs, 8 MiB) for 15 s (nightly 60 s) the process stays, the
    file is not read on, HTTP clients get 503; once there is room it takes events again within 5 s, and nothing is
    lost or doubled.
    """
    log, port, seconds = bench.folder / "app.log", free_port(), tier(c=15, n=60)
    bench.oracle.source("app.log").append(log, 20_000)  # more than the disk has room for
    clients = [HttpClient(bench.oracle, port, f"client{n}", rate=500, batch=500, timeout=150) for n in range(12)]
    with (
        SmallDisk(bench.folder / "data/buffers", 8 * MIB) as disk,
        Destination() as server,
        contextlib.ExitStack() as load,
    ):
        server.close()  # before there is anybody: an answer that it cuts would be sent again
        agent = load.enter_context(bench.agent(file_and_http_to(server, log, port)))
        pid, began = agent.pid, time.monotonic()
        writer = load.enter_context(FileWriter(bench.oracle, log, rate=1000))
        for client in clients:
            load.enter_context(client)
        agent.wait_for(lambda: "No space left on device" in agent.stderr, 30, "to fill the disk")
        agent.wait_for(lambda: said(clients)[503] > 0, 30, "to turn clients away")
        read = steady(agent)
        turned_away = said(clients)[503]
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))  # so long it stays full
        assert (agent.pid, agent.answers("/livez")) == (pid, 200)
        assert agent.metric("shipper_input_events_total", input="app") == read  # files are not read on
        assert agent.metric("shipper_input_lag_bytes", input="app") > 0
        assert said(clients).keys() <= {200, 503}
        assert said(clients)[503] > turned_away
        assert disk.free < MIB
        acked = said(clients)[200]
        disk.resize(256 * MIB)
        began = time.monotonic()
        agent.wait_for(lambda: agent.metric("shipper_input_events_total", input="app") > read, 30, "to read on")
        agent.wait_for(lambda: said(clients)[200] > acked, 30, "to take what clients send")
        resumed = time.monotonic() - began
        server.open()
        for each in (writer, *clients):
            each.stop()
        bench.oracle.wait(agent, server.taken, 60)
        bench.sound(agent)
        assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("seconds until it takes events again", "<= 5", resumed)
    bench.figure("clients turned away with 503", "> 0", said(clients)[503])
    bench.figure("lost, twice", "0, 0", f"{len(verdict.missing)}, {verdict.duplicates}")
    assert resumed <= 5
    verdict.clean(floor=20_000, duplicates=0)


def file_and_http_to(server: Destination, log: Path, port: int) -> dict[str, Any]:
    delivery = {"batch": {"bytes": "256KiB"}, "concurrency": 1, "retry": {"max": "1s"}}
    return {
        "data_dir": "./data",
        "memory_limit": "2MiB",
        "inputs": file_and_web(log, port),
        "outputs": {"out": {"type": "http", "url": server.url, "delivery": delivery}},
    }


def steady(agent: Agent) -> float:
    """How much of the file was read, once no more of it is."""
    seen = [-1.0]

    def same() -> bool:
        seen.append(agent.metric("shipper_input_events_total", input="app"))
        return seen[-1] == seen[-2]

    agent.wait_for(same, 15, "to read no more", every=1.0)
    return seen[-1]


def said(clients: list[HttpClient]) -> Counter[int]:
    return sum((client.statuses for client in clients), Counter[int]())


@requires("mount")
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_t34_positions_cannot_be_saved(bench: Bench, fault: str) -> None:
    """T34: while positions cannot be saved, delivery goes on, and the old ones stay intact: a kill repeats what came since
    they were saved last, and no more; afterwards they are saved again by themselves.
    """
    log, app = bench.folder / "app.log", bench.oracle.source("app.log")
    with SmallDisk(bench.folder / "data/state", MIB) as disk, Destination() as server:
        config = log_to(server, batch={"wait": "50ms"}, concurrency=1)
        agent = bench.agent({**config, **OFTEN}).start()
        agent.ready()
        app.append(log, 2000)
        bench.oracle.wait(agent, server.taken)
        agent.wait_for(lambda: saved(agent) == log.stat().st_size, what="to save its positions")
        before = saved(agent)
        if fault == "full":
            ballast = disk.fill()
        else:
            disk.protect()
        app.append(log, 1000)
        bench.oracle.wait(agent, server.taken)  # delivery goes on
        agent.wait_for(lambda: agent.metric("shipper_failed_checkpoints_total", component="app") > 0)
        bench.sound(agent)
        assert saved(agent) == before
        assert agent.kill() == -9
        agent.start().ready()
        app.append(log, 1000)
        bench.oracle.wait(agent, server.taken)
        repeated = bench.oracle.verdict(server.taken).duplicates
        bench.figure("repeated after a kill", "<= 1000, what came since", repeated)
        assert 0 < repeated <= 1000
        if fault == "full":
            ballast.unlink()
        else:
            disk.protect(False)
        began = time.monotonic()
        agent.wait_for(lambda: saved(agent) == log.stat().st_size, 30, "to save its positions again")
        resumed = time.monotonic() - began
        bench.figure("seconds until positions are saved again", "<= 5", resumed)
        assert resumed <= 5
        assert agent.stop() == 0
        agent.start().ready()
        app.append(log, 1)
        bench.oracle.wait(agent, server.taken)
        assert agent.stop() == 0
    bench.oracle.verdict(server.taken).clean(floor=3999, duplicates=repeated)  # no more since


def file_to_file() -> dict[str, Any]:
    delivery = {"batch": {"events": 500}, "retry": {"first": "100ms", "max": "500ms"}}
    return {**logs_to({"out": {"type": "file", "path": "./out/all.ndjson", "delivery": delivery}}), **OFTEN}


def refused(agent: Agent) -> bool:
    return agent.metric("shipper_output_retries_total", output="out") >= 3


def whole(path: Path) -> list[dict[str, Any]]:
    """The events in a file; fails when one of its lines is torn."""
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b"", f"the last line of {path} is torn"
    return [json.loads(line) for line in lines]


@requires("mount")
def test_t34_no_room_for_the_output(bench: Bench) -> None:
    """T34: a full disk below the output's file is refused and tried again; no line is torn, lost or doubled, and it goes on
    within 5 s of there being room.
    """
    app, log = bench.oracle.source("app.log"), bench.folder / "app.log"
    with SmallDisk(bench.folder / "out", 4 * MIB) as disk, bench.agent(file_to_file()) as agent:
        out, pid = disk.folder / "all.ndjson", agent.pid
        app.append(log, 2000)
        agent.wait_for(lambda: delivered(agent) == 2000)
        ballast = disk.fill(leave=100_000)  # part of a request fits
        app.append(log, 3000)
        agent.wait_for(lambda: refused(agent), what="to try again")
        settled = delivered(agent)
        agent.wait_for(lambda: not torn(out), what="to take back half a write")
        bench.sound(agent)
        assert (agent.pid, agent.answers("/livez")) == (pid, 200)
        assert 2000 <= settled < 5000
        ballast.unlink()
        resumed = caught_up(bench, agent, [app])
        assert agent.stop() == 0
        taken = whole(out)  # a torn line would have joined what came behind it
    verdict = bench.oracle.verdict(taken)
    bench.figure("torn lines, lost, twice", "0, 0, 0", f"0, {len(verdict.missing)}, {verdict.duplicates}")
    verdict.clean(floor=4999, duplicates=0)
    assert resumed <= 5


@requires("loop")
def test_t34_the_output_s_disk_goes_read_only(bench: Bench) -> None:
    """T34: when the kernel makes the disk of the output's file read-only, events wait; once it was mounted anew the same
    process goes on within 5 s, with no line torn or lost, and at most the request under way twice.
    """
    app, log = bench.oracle.source("app.log"), bench.folder / "app.log"
    with LoopDisk(bench.folder / "out", 64 * MIB) as disk, bench.agent(file_to_file()) as agent:
        out, pid = disk.folder / "all.ndjson", agent.pid
        app.append(log, 2000)
        agent.wait_for(lambda: delivered(agent) == 2000)
        disk.go_read_only()
        app.append(log, 3000)
        agent.wait_for(lambda: refused(agent), what="to try again")
        bench.sound(agent)
        assert (agent.pid, agent.answers("/livez")) == (pid, 200)
        assert delivered(agent) == 2000
        disk.restore(disk.cut("mended"))
        resumed = caught_up(bench, agent, [app])
        assert agent.stop() == 0
        taken = whole(out)
    verdict = bench.oracle.verdict(taken)
    bench.figure("torn lines, lost, twice", "0, 0, <= 500", f"0, {len(verdict.missing)}, {verdict.duplicates}")
    verdict.clean(floor=4999, duplicates=500)
    assert resumed <= 5


def delivered(agent: Agent) -> int:
    return int(agent.metric("shipper_output_events_total", output="out"))


def torn(path: Path) -> bool:
    return not path.read_bytes().endswith(b"\n")


def caught_up(bench: Bench, agent: Agent, sources: list[Source]) -> float:
    """Seconds until all is delivered."""
    began, all_of_it = time.monotonic(), sum(len(source.written) for source in sources)
    agent.wait_for(lambda: delivered(agent) == all_of_it, 30, "to go on")
    resumed = time.monotonic() - began
    bench.figure("seconds until all is there", "<= 5", resumed)
    return resumed

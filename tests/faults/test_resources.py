"""T33 to T38: no room, no handles, no memory, no time, and a clock that jumps."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.agent import Agent
from tests.faults.bench.answers import Answer
from tests.faults.bench.clients import HttpClient, TcpClient, UdpClient
from tests.faults.bench.configs import log_to
from tests.faults.bench.destination import Destination
from tests.faults.bench.needs import requires
from tests.faults.bench.oracle import line
from tests.faults.bench.ports import free_port, udp_queue
from tests.faults.bench.scenario import Bench
from tests.faults.bench.tiers import tier
from tests.faults.bench.under import busy, memory_cgroup, nice, prlimit
from tests.faults.bench.wallclock import WallClock
from tests.faults.bench.wire import Asked
from tests.faults.bench.writers import FileWriter

pytestmark = pytest.mark.faults
DAY = 86_400
MIB = 1 << 20


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
        time.sleep(idle)  # what it uses is measured over this time
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


class Slim:
    """An event of `app.log` that is as it should be, kept as its number: there are millions of them."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def get(self, _: str) -> str:
        return line("app.log", self.number, 1024)

    @classmethod
    def of(cls, event: dict[str, Any]) -> Slim | dict[str, Any]:
        slim = cls(int(event["message"].split(" ", 2)[1]))
        return slim if slim.get("message") == event["message"] else event


@requires("cgroup")
@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_t36_memory(bench: Bench) -> None:
    """T36: with the output down for 60 s (nightly 30 min), events of 1 KiB, a buffer of 4 GiB and 256 MiB for the process,
    the kernel kills nothing, resident memory stays within 200 MiB, and then everything arrives.
    """
    log, rate, seconds = bench.folder / "app.log", tier(c=3000, n=2000), tier(c=60, n=1800)
    bench.oracle.source("app.log", 1024).append(log, 60_000)  # and as fast as it can read
    with Destination(keep=Slim.of) as server, memory_cgroup(256 << 20) as group:
        config = log_to(server, batch={}, buffer={"disk": "4GiB"}, concurrency=1, retry={"max": "1s"})
        server.close()
        with bench.agent(config, under=group.words()) as agent:
            with FileWriter(bench.oracle, log, rate, size=1024):
                ends = time.monotonic() + seconds
                agent.wait_for(lambda: time.monotonic() >= ends, seconds + 10, every=1.0)
            down = agent.rss(peak=True)
            assert agent.metric("shipper_buffer_events", output="out") > 60_000 + rate * seconds * 0.8
            server.open()
            bench.oracle.wait(agent, server.taken, 60 + seconds)
            peak = agent.rss(peak=True)
            bench.sound(agent)
            assert agent.stop() == 0
        killed = group.kills
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("killed for want of memory", "0", killed)
    bench.figure("MiB resident at most, output down", "<= 200", down / MIB)
    bench.figure("MiB resident at most, catching up", "<= 200", peak / MIB)
    bench.figure("lost, twice", "0, 0", f"{len(verdict.missing)}, {verdict.duplicates}")
    assert (killed, peak <= 200 * MIB) == (0, True)
    verdict.clean(floor=100_000, duplicates=0)


def test_t37_starved(bench: Bench) -> None:
    """T37: stopped for 10 s (SIGSTOP), then at nice 19 beside two busy loops for 8 s, nothing of files, TCP and HTTP is
    lost or doubled; of UDP, received + dropped by the kernel == sent.
    """
    log, udp, tcp, web = bench.folder / "app.log", free_port(socket.SOCK_DGRAM), free_port(), free_port()
    with Destination() as server, contextlib.ExitStack() as load:
        config = log_to(server, batch={"wait": "200ms"}, concurrency=1)
        config["inputs"]["udp"] = {"type": "syslog", "listen": f"udp://127.0.0.1:{udp}"}
        config["inputs"]["tcp"] = {"type": "syslog", "listen": f"tcp://127.0.0.1:{tcp}"}
        config["inputs"]["web"] = {"type": "http", "listen": f"127.0.0.1:{web}"}
        with bench.agent(config, under=nice(19)) as agent:
            sender = UdpClient(bench.oracle, udp, rate=1000)
            clients = (
                FileWriter(bench.oracle, log, 500),
                TcpClient(bench.oracle, tcp),
                HttpClient(bench.oracle, web, timeout=60),
            )
            for each in (sender, *clients):
                load.enter_context(each)
            agent.wait_for(lambda: len(server.taken) > 1000)
            agent.signal(signal.SIGSTOP)
            time.sleep(10)  # so long it stands still
            agent.signal(signal.SIGCONT)
            with busy(2):
                time.sleep(8)  # and so long it is starved
            for each in (sender, *clients):
                each.stop()
            bench.oracle.wait(agent, server.taken, 60)
            agent.wait_for(lambda: udp_seen(agent) + udp_dropped(agent) >= sender.done, what="to count all datagrams")
            received, dropped = udp_seen(agent), udp_dropped(agent)
            by_kernel = udp_queue(udp)[1]
            agent.wait_for(lambda: agent.metric("shipper_in_flight_events") == 0)
            bench.sound(agent)
            assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    arrived = bench.oracle.reading(server.taken).seen["udp"].total()
    bench.figure("UDP received + dropped - sent", "0", received + dropped - sender.done)
    bench.figure("UDP sent, dropped by the kernel", "counted", f"{sender.done}, {by_kernel}")
    bench.figure("lost, twice on file, TCP and HTTP", "0, 0", f"{len(verdict.missing)}, {verdict.duplicates}")
    assert (received + dropped, dropped, arrived) == (sender.done, by_kernel, received)
    assert clients[1].lost == 0
    assert clients[2].statuses.keys() == {200}
    verdict.clean(floor=10_000, duplicates=0)


def udp_seen(agent: Agent) -> int:
    return int(agent.metric("shipper_input_events_total", input="udp"))


def udp_dropped(agent: Agent) -> int:
    return int(agent.metric("shipper_dropped_events_total", component="udp", reason="kernel_udp_drops"))


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

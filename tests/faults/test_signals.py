"""T49 and T50: told to stop under load, while the output is slow or hangs."""

from __future__ import annotations

import contextlib
import http.client
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agent import Agent
from tests.faults.bench.answers import OK, Answer, always
from tests.faults.bench.clients import HttpClient
from tests.faults.bench.configs import file_and_web
from tests.faults.bench.destination import Destination
from tests.faults.bench.oracle import Chunk
from tests.faults.bench.ports import free_port
from tests.faults.bench.scenario import Bench
from tests.faults.bench.tiers import tier
from tests.faults.bench.writers import FileWriter

pytestmark = pytest.mark.faults
FILE_RATE, HTTP_RATE = 1500, 500
B = 500 * 2 + (FILE_RATE + HTTP_RATE) * 1  # batch x requests in flight + rate x checkpoint interval


def files_and_http_to(server: Destination, log: Path, port: int, grace: int = 30, **delivery: Any) -> dict[str, Any]:
    batch = {"bytes": "256KiB", "events": 500, "wait": "200ms"}
    return {
        "data_dir": "./data",
        "memory_limit": "4MiB",
        "shutdown_grace": f"{grace}s",
        "inputs": file_and_web(log, port),
        "outputs": {
            "out": {
                "type": "http",
                "url": server.url,
                "delivery": {"batch": batch, "retry": {"max": "1s"}, **delivery},
            },
        },
    }


class Open(threading.Thread):
    """One request, open until it is answered; 0 when it never was."""

    def __init__(self, port: int, chunk: Chunk) -> None:
        super().__init__(daemon=True)
        self.port, self.chunk, self.status, self.sent = port, chunk, 0, False
        self.start()

    def run(self) -> None:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(link):
            link.request("POST", "/", self.chunk.text, {"Content-Type": "text/plain"})
            self.sent = True
            self.status = link.getresponse().status
            if self.status == 200:
                self.chunk.acked()


def asked_now(port: int) -> int:
    """What a new request gets: a status, 503 also for a port that is closed; 0 when it is cut off or hangs."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
    try:
        with contextlib.closing(link):
            link.request("POST", "/", b"{}")
            return link.getresponse().status
    except ConnectionRefusedError:
        return 503
    except (OSError, http.client.HTTPException) as error:
        print(f"a new request met {error!r}")
        return 0


@pytest.mark.nightly
@pytest.mark.timeout(180)
def test_t49_told_to_stop_under_load(bench: Bench) -> None:
    """T49: SIGTERM with a slow output, full buffers (disk and memory) and 50 open requests: `/readyz` says 503 within 1 s,
    new requests are refused cleanly, each open one is answered, it ends within the grace (10 s, nightly 30 s) + 1 s with
    0, and after the next start nothing is lost.
    """
    log, port, grace = bench.folder / "app.log", free_port(), tier(c=10, n=30)
    bench.oracle.source("app.log").append(log, 30_000)
    with Destination(Answer(delay=4)) as server:
        config = files_and_http_to(server, log, port, grace, concurrency=1, buffer={"disk": "2MiB"})
        agent = bench.agent(config).start()
        agent.ready()
        agent.wait_for(lambda: "its buffer is full" in agent.stderr, 40, "to fill its buffer")
        with FileWriter(bench.oracle, log, FILE_RATE):
            requests = [Open(port, bench.oracle.source(f"open{n}").mint(100)) for n in range(50)]
            agent.wait_for(lambda: all(request.sent for request in requests), what="to be asked")
            agent.wait_for(lambda: heard(port) >= 50, what="to have read 50 requests")
            agent.signal(signal.SIGTERM)
            told = time.monotonic()
            agent.wait_for(lambda: agent.answers("/readyz") == 503, what="to say that it stops")
            unready = time.monotonic() - told
            refusals: Counter[int] = Counter()
            while agent.process is not None and agent.process.poll() is None:
                refusals[asked_now(port)] += 1
                time.sleep(0.2)  # five a second
            status, took = agent.wait(), time.monotonic() - told
        for request in requests:
            request.join(10)
        answers = Counter(request.status for request in requests)
        server.answer = always(OK)
        agent.start().ready()
        bench.oracle.wait(agent, server.taken, 60)
        bench.sound(agent)
        assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("seconds until it has ended", f"<= {grace + 1}", took)
    bench.figure("seconds until /readyz says 503", "<= 1", unready)
    bench.figure("answers to the 50 open requests", "200 and 503 only", dict(answers))
    bench.figure("answers to new requests", "503 or refused", dict(refusals))
    bench.figure("lost", "0", len(verdict.missing))
    assert (status, took <= grace + 1, unready <= 1) == (0, True, True)
    assert answers.keys() <= {200, 503}
    assert refusals.keys() == {503}
    verdict.clean(floor=30_000, duplicates=B)


def heard(port: int) -> int:
    """Connections to this port that are established and of which nothing waits to be read, by the kernel's count."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" and row[4].endswith(":00000000") for row in rows)


@pytest.mark.parametrize("disk", ["64MiB", 0], ids=["buffer", "memory"])
def test_t50_told_twice(bench: Bench, disk: str | int) -> None:
    """T50: a second SIGTERM a second after the first, while the output hangs, ends it within 1 s with 1; after the next
    start nothing is lost and at most B = 3,000 events come twice.
    """
    log, port = bench.folder / "app.log", free_port()
    with Destination() as server:
        agent = bench.agent(files_and_http_to(server, log, port, concurrency=2, buffer={"disk": disk})).start()
        agent.ready()
        with (
            FileWriter(bench.oracle, log, FILE_RATE),
            HttpClient(bench.oracle, port, rate=HTTP_RATE, batch=100) as client,
        ):
            agent.wait_for(lambda: len(server.taken) > 3000)
            server.answer, asked = always(Answer(hang=True, cut=0, take=False)), len(server.requests)
            agent.wait_for(lambda: len(server.requests) >= asked + 2, what="to have two requests that hang")
            agent.signal(signal.SIGTERM)
            time.sleep(1)  # the second comes a second after the first
            assert running(agent)
            agent.signal(signal.SIGTERM)
            told = time.monotonic()
            status, took = agent.wait(), time.monotonic() - told
            server.close()
            server.open()
            server.answer = always(OK)
            agent.start().ready()
            client.stop()
        bench.oracle.wait(agent, server.taken, 60)
        bench.sound(agent)
        assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("seconds until it has ended", "<= 1", took)
    bench.figure("exit status", "1", status)
    bench.figure("lost", "0", len(verdict.missing))
    bench.figure("twice", f"<= {B}", verdict.duplicates)
    assert (status, took <= 1) == (1, True)
    verdict.clean(floor=3000, duplicates=B, ordered=False)  # two requests at a time


def running(agent: Agent) -> bool:
    return agent.process is not None and agent.process.poll() is None

"""T13 to T15: the process is killed, at random moments and at each of its calls to the disk."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest

from tests.e2e.agent import Agent
from tests.faults.bench.clients import HttpClient
from tests.faults.bench.destination import Destination
from tests.faults.bench.dying import (
    EVENTS,
    REPEATS,
    Load,
    died,
    down,
    flow,
    half_down,
    moment,
    positions,
    saved,
    size,
)
from tests.faults.bench.faultpoint import EVER, FaultPoint
from tests.faults.bench.needs import requires
from tests.faults.bench.oracle import SIZE, Verdict
from tests.faults.bench.ports import free_port
from tests.faults.bench.scenario import Bench
from tests.faults.bench.tiers import seeded, tier

pytestmark = pytest.mark.faults
READY = 5.0  # seconds
CHUNK = 65_536 // (SIZE + 1) + 1  # lines that are read at a time
CALLS = ("write", "fsync", "rename", "unlink", "create")


def killed_at_random(bench: Bench, server: Destination, kills: int, **output: Any) -> tuple[HttpClient, Verdict]:
    """Under load, while the destination is down half of the time; then everything has to arrive."""
    log, port = bench.folder / "app.log", free_port()
    in_use = 0
    agent = bench.agent(flow(server, log, port, **output)).start()
    with Load(bench.oracle, log, port) as load:
        with half_down(server, bench.rng):
            for number in range(kills):
                in_use += moment(agent, bench.rng, number)
                assert agent.kill() == -9
                agent.start()
        agent.ready()
    began = time.monotonic()
    bench.oracle.wait(agent, server.taken, 60)
    caught_up = time.monotonic() - began
    bench.sound(agent)
    assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("kills", str(kills), kills)
    bench.figure("of these while the buffer was in use", "> 0", in_use)
    bench.figure("events written or acknowledged", "> 1,000", verdict.delivered)
    bench.figure("of these lost", "0", len(verdict.missing))
    bench.figure("seconds until caught up", "<= 60", caught_up)
    assert len(load.client.source.acked) > 100, load.client.statuses  # K is not empty
    assert in_use  # else the buffer was not tried
    return load.client, verdict


@pytest.mark.nightly
@pytest.mark.timeout(900)
@seeded
def test_t13_kills_lose_nothing(bench: Bench) -> None:
    """T13: killed again and again under load, the destination down half of the time, it owes nothing and repeats little.

    W\\D = 0 and K\\D = 0 after 20 kills (nightly 100) over both seeds; duplicates at most
    2 x (batch wait + checkpoint interval) x rate a crash, and some in total (or no kill hit anything); order kept.
    """
    kills = tier(c=10, n=50)
    with Destination() as server:
        _, verdict = killed_at_random(bench, server, kills)
    bench.figure("duplicates a crash", f"<= {REPEATS}", verdict.duplicates / kills)
    verdict.clean(floor=1000, duplicates=REPEATS * kills)
    assert verdict.duplicates > 0  # else the kills hit nothing


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_t13_with_ids_a_line_is_one_document(bench: Bench) -> None:
    """T13 with `id: auto`: after 10 kills (nightly 100) no line of the file is two documents.

    What a client posts again because it got no answer is another event: at most its unanswered posts are there twice.
    """
    with Destination() as server:
        client, verdict = killed_at_random(bench, server, tier(c=10, n=100), id="auto")
    verdict.clean(floor=1000, duplicates=None)
    seen = bench.oracle.reading(server.taken).seen
    twice = {name: counts.total() - len(counts) for name, counts in seen.items()}
    unanswered = client.statuses[0] * client.batch
    bench.figure("lines of the file that are two documents", "0", twice["app.log"])
    bench.figure("events of the client that are two", f"<= {unanswered} posted and not answered", twice["client"])
    assert twice["app.log"] == 0
    assert twice["client"] <= unanswered
    assert len(server.documents) == len(server.taken)  # each has an id of its own


@pytest.mark.nightly
def test_t13_killed_while_it_drains(bench: Bench) -> None:
    """T13: however fast a backlog goes out, a kill in its middle repeats at most what fits twice below the buffer, 3 times
    (nightly 20): 2 x (concurrency + 1) requests, and a chunk of lines more each.
    """
    log, port = bench.folder / "app.log", free_port()
    app, most, bound = bench.oracle.source("app.log"), 0, 2 * (2 * EVENTS + CHUNK)
    with Destination() as server:
        agent = bench.agent(flow(server, log, port))
        for _ in range(tier(c=3, n=20)):
            with down(server):
                agent.start().ready(READY)
                app.append(log, 30_000)
                agent.wait_for(lambda: agent.metric("shipper_buffer_events") > 28_000, what="to use its buffer")
                agent.wait_for(lambda: not agent.metric("shipper_in_flight_events", pipeline="main"), what="to be safe")
                agent.wait_for(lambda: saved(agent) == log.stat().st_size, what="to save its positions")
            before = len(server.taken)
            enough = before + bench.rng.randrange(2000, 20_000)
            agent.wait_for(partial(arrived, server, enough), what="to deliver", every=0.001)
            assert agent.kill() == -9
            twice = bench.oracle.verdict(server.taken).duplicates
            agent.start().ready(READY)
            bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            assert agent.stop() == 0
            most = max(most, bench.oracle.verdict(server.taken).duplicates - twice)
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("lost", "0", len(verdict.missing))
    bench.figure("twice after a kill in the middle of a backlog, at most", f"<= {bound}", most)
    assert most <= bound
    verdict.clean(duplicates=None)


def arrived(server: Destination, count: int) -> bool:
    return len(server.taken) >= count


class Starts:
    """Starts of an agent, and how long the slowest took to be ready."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.slowest = 0.0

    def __call__(self) -> None:
        began = time.monotonic()
        self.agent.start().ready(READY)
        self.slowest = max(self.slowest, time.monotonic() - began)

    def saved(self) -> None:
        """The same, and until it saved positions twice: who dies before that repeats the life before, too."""
        began = time.time()
        self()
        self.agent.wait_for(lambda: any(path.stat().st_mtime > began for path in positions(self.agent)[-2:-1]))


def arrives(bench: Bench, agent: Agent, server: Destination) -> Verdict:
    """What is owed is delivered, the sums are exact, it stops well."""
    bench.oracle.wait(agent, server.taken, 60)
    bench.sound(agent)
    assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("lost", "0", len(verdict.missing))
    return verdict


@requires("gcc")
@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_t14_killed_at_each_call(bench: Bench) -> None:
    """T14: SIGKILL in place of the n-th write, fsync, rename, unlink and create below `data_dir`, while the buffer fills
    and while it is drained: as T13, at 30 points (nightly 160), ready again within 5 s. (It shortens files when it starts,
    which is T15's, and after writes that failed.)
    """
    log, port = bench.folder / "app.log", free_port()
    points = [(call, number) for number in range(1, tier(c=3, n=16) + 1) for call in CALLS]
    point, hits = FaultPoint(bench.folder, bench.folder / "data"), []
    with Destination() as server:
        agent = bench.agent(flow(server, log, port), env=point.env)
        start = Starts(agent)
        with Load(bench.oracle, log, port, share=0.5):
            for call, number in points:
                with down(server):
                    start.saved()
                    point.kill(at=number, calls=[call])
                    died(agent)
                    hits += point.hits()
                    point.off()
                    start.saved()
                point.kill(at=number, calls=[call])
                died(agent)
                hits += point.hits()
                point.off()
        start()
        verdict = arrives(bench, agent, server)
    crashes = 2 * len(points)
    files = {hit.partition(".")[2] or hit.partition(" ")[2] for hit in hits}
    bench.figure("points", f">= {crashes}", len(hits))
    bench.figure("files they hit", "the buffer's and the positions'", " ".join(sorted(files)))
    bench.figure("seconds until ready, at most", f"<= {READY}", start.slowest)
    bench.figure("duplicates a crash", f"<= {REPEATS}", verdict.duplicates / crashes)
    assert len(hits) == crashes
    assert {"seg", "new"} <= files, hits
    verdict.clean(floor=1000, duplicates=REPEATS * crashes)


@requires("gcc")
def test_t15_killed_while_it_recovers(bench: Bench) -> None:
    """T15: SIGKILL at each call to the disk that a start makes, three times each: as T13, and `data_dir` does not grow
    (by at most 16 KiB over all these starts together: none leaves files behind).
    """
    log, port = bench.folder / "app.log", free_port()
    point = FaultPoint(bench.folder, bench.folder / "data")

    with Destination() as server:
        agent = bench.agent(flow(server, log, port), env=point.env)
        start = Starts(agent)
        with down(server):
            start()
            with Load(bench.oracle, log, port):
                agent.wait_for(lambda: agent.metric("shipper_buffer_events") > 2000, what="to use its buffer")
            agent.wait_for(lambda: not agent.metric("shipper_in_flight_events", pipeline="main"), what="to be safe")
            agent.wait_for(lambda: saved(agent) == log.stat().st_size, what="to save its positions")
            assert agent.kill() == -9
            point.kill(at=EVER)
            start()
            calls = point.count
            assert agent.kill() == -9
            before = size([path for path in agent.data_dir.rglob("*") if path.is_file()])
            for number in range(1, calls + 1):
                for _ in range(3):
                    point.kill(at=number)
                    agent.start()
                    died(agent)
            point.off()
            grown = size([path for path in agent.data_dir.rglob("*") if path.is_file()]) - before
            start()
        verdict = arrives(bench, agent, server)
    bench.figure("calls to the disk in a start", ">= 5", calls)
    bench.figure("bytes that data_dir grew by", "<= 16384", grown)
    bench.figure("seconds until ready, at most", f"<= {READY}", start.slowest)
    bench.figure("duplicates", f"<= {REPEATS}", verdict.duplicates)
    assert calls >= 5
    assert grown <= 16_384
    verdict.clean(floor=1000, duplicates=REPEATS)

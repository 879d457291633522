"""Fuzzing: the parsers for ten minutes in the night, the listeners of a running agent, and configurations.

What is found goes to `tests/corpus/found.json`, so that `tests/properties/test_odd_inputs.py` tries it from then on.
"""

from __future__ import annotations

import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings

from tests.e2e.agent import Agent
from tests.faults.bench.abuse import MIB, cost, exchange
from tests.faults.bench.clients import HttpClient
from tests.faults.bench.configs import http
from tests.faults.bench.destination import Destination
from tests.faults.bench.mutants import corpus, mutate, odd
from tests.faults.bench.ports import free_port
from tests.faults.bench.scenario import Bench
from tests.faults.bench.tiers import seeded, tier
from tests.faults.test_syslog_abuse import good, say
from tests.properties.targets import TARGETS, config

HANDS = 8
"""Connections at a time."""


def for_seconds(seconds: float, rng: random.Random, one: Callable[[random.Random], None]) -> int:
    """Do it with many hands; how often it was done."""
    end = time.monotonic() + seconds
    seeds = [rng.random() for _ in range(HANDS)]

    def hand(seed: float) -> int:
        own = random.Random(seed)
        for done in count():
            if time.monotonic() > end:
                return done
            one(own)
        raise AssertionError

    with ThreadPoolExecutor(HANDS) as pool:
        return sum(pool.map(hand, seeds))


def healthy(bench: Bench, agent: Agent, base: int) -> None:
    """It is ready, lets go of its handles, its sums are exact."""
    assert agent.answers("/readyz") == 200
    agent.wait_for(lambda: agent.fds() <= base + 5, what="to let go of its handles")
    bench.sound(agent)


@pytest.mark.faults
@pytest.mark.nightly
@seeded
def test_fuzz_http(bench: Bench) -> None:
    """Mutants of requests, at the input and at its own API, for 5 s (nightly 75 s): no answer is 5xx, nothing crashes,
    memory +<= 32 MiB, and the next good request is answered 200 and its event arrives.
    """
    port, seeds = free_port(), corpus("http")
    statuses: Counter[int] = Counter()
    with Destination() as server:
        web = {"type": "http", "listen": f"127.0.0.1:{port}", "read_timeout": "1s", "idle_timeout": "1s"}
        out = http(server, batch={"wait": "20ms"})
        config = {"data_dir": "./data", "inputs": {"web": web}, "outputs": {"out": out}}
        with bench.agent(config) as agent, HttpClient(bench.oracle, port, rate=50, batch=1) as canary:
            agent.wait_for(lambda: canary.done > 20, what="to answer the good client")
            api, base = int(agent.url.rpartition(":")[2]), agent.fds()

            def one(rng: random.Random) -> None:
                statuses.update(exchange(rng.choice((port, api)), mutate(rng, seeds), 5, half=True)[0])

            with cost(agent) as paid:
                tried = for_seconds(tier(c=5, n=75), bench.rng, one)
            more = canary.done + 10
            agent.wait_for(lambda: canary.done > more, what="to answer the good client still")
            canary.stop()
            bench.oracle.wait(agent, server.taken)
            healthy(bench, agent, base)
            assert agent.stop() == 0
    bad = sum(times for status, times in statuses.items() if status >= 500)
    bench.figure("requests", ">= 500", tried)
    bench.figure("answers", "all kinds", f"{sorted(statuses)}")
    bench.figure("of them 5xx", "0", bad)
    bench.figure("MiB of memory", "<= 32", paid.rss / MIB)
    assert tried >= 500
    assert statuses[200] and statuses[400]
    assert not bad, statuses
    assert paid.rss <= 32 * MIB
    assert canary.statuses.keys() == {200}
    assert not bench.oracle.verdict(server.taken).missing


@pytest.mark.faults
@pytest.mark.nightly
@seeded
def test_fuzz_syslog(bench: Bench) -> None:
    """Mutants of messages and frames by TCP and UDP for 5 s (nightly 75 s): nothing crashes, memory +<= 32 MiB, and the
    next good message arrives, on another connection and by UDP.
    """
    tcp, udp, seeds = free_port(), free_port(socket.SOCK_DGRAM), corpus("syslog") + corpus("syslog_mutants")
    after, datagram = bench.oracle.source("after"), bench.oracle.source("datagram")
    with Destination() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        listen = [f"tcp://127.0.0.1:{tcp}", f"udp://127.0.0.1:{udp}"]
        config = {
            "data_dir": "./data",
            "inputs": {"syslog": {"type": "syslog", "listen": listen, "idle_timeout": "2s"}},
            "outputs": {"out": http(server)},
        }
        with bench.agent(config) as agent:
            base = agent.fds()

            def one(rng: random.Random) -> None:
                data = mutate(rng, seeds)
                say(tcp, [data[: len(data) // 2], data[len(data) // 2 :]])
                sender.sendto(data[:60_000], ("127.0.0.1", udp))

            with cost(agent) as paid:
                tried = for_seconds(tier(c=5, n=75), bench.rng, one)
            say(tcp, [good(after)])
            bench.oracle.wait(agent, server.taken)
            sender.sendto(good(datagram), ("127.0.0.1", udp))
            bench.oracle.wait(agent, server.taken)
            healthy(bench, agent, base)
            assert agent.stop() == 0
    bench.figure("connections and datagrams", ">= 1,000", tried)
    bench.figure("MiB of memory", "<= 32", paid.rss / MIB)
    assert tried >= 1000
    assert paid.rss <= 32 * MIB
    assert not bench.oracle.verdict(server.taken).missing


@pytest.mark.faults
@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_fuzz_config(bench: Bench) -> None:
    """300 mutants of configurations (nightly 10,000) are read, or refused with sentences, each within 1 s of the processor."""
    tried, slowest = 0, 0.0

    @settings(max_examples=tier(c=300, n=10_000), database=None, suppress_health_check=list(HealthCheck))
    @given(odd(corpus("config")))
    def property_(data: bytes) -> None:
        nonlocal tried, slowest
        began = time.thread_time()
        config(data)
        tried, slowest = tried + 1, max(slowest, time.thread_time() - began)

    property_()
    bench.figure("configurations", f">= {tier(c=300, n=10_000)}", tried)
    bench.figure("seconds of CPU for the slowest", "<= 1", slowest)
    assert tried >= tier(c=300, n=10_000)
    assert slowest <= 1


@pytest.mark.nightly
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", TARGETS)
def test_fuzz_parsers(bench: Bench, name: str) -> None:
    """Each parser and decoder for ten seconds: what must be true of any bytes (`tests/properties/targets.py`)."""
    seeds, check = TARGETS[name]
    end, tried = time.monotonic() + 10, 0

    @settings(max_examples=1000, database=None, suppress_health_check=list(HealthCheck))
    @given(odd(corpus(seeds)))
    def property_(data: bytes) -> None:
        nonlocal tried
        check(data)
        tried += 1

    while time.monotonic() < end:
        property_()
    bench.figure(f"inputs for {name}", ">= 1,000", tried)
    assert tried >= 1000
